"""What an arm costs at inference: parameters, MACs, latency and peak memory, of the full and of the pruned network.

One convention: MACs are multiply-accumulates of convolutions and matrix products (PyTorch's flop counter / 2), batch 1.
Latency is from the normalised input to class ids at HR size, with the SSSR head, the last resize and the arg-max.
"""

import resource
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from dsrl_lib.config import Config
from dsrl_lib.device import autocast
from dsrl_lib.evaluation.forward import class_ids
from dsrl_lib.models.downsampling.downsampler import without_labels
from dsrl_lib.models.dsrl import DSRL

WARM_UP, REPEATS = 2, 9


def measure(network: DSRL, config: Config) -> dict[str, Any]:
    """Cost of one frame for the `full` network, the `pruned` one and the `host` alone at the same input.

    Also whether the logits of the pruned network equal those of the full one bit by bit.
    """
    x = example_input(config).to(next(network.parameters()).device)
    variants = _variants(network, x)
    result: dict[str, Any] = {"input": list(variants["host"][1].shape[2:])}
    result["prune_bit_equal"] = prune_is_exact(network, x, config)
    sizes = {variant: _sizes(*variant, config) for variant in set(variants.values())}
    for name, variant in variants.items():
        result |= {f"{what}_{name}": value for what, value in sizes[variant].items()}
    return result | latencies(network, config)


def _sizes(model: nn.Module, x: Tensor, config: Config) -> dict[str, float]:
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "macs": macs(model, x),
        "peak_mib": round(activation_peak_mib(model, x, config), 2),
    }


def latencies(network: DSRL, config: Config) -> dict[str, float]:
    """latency_ms_full, latency_ms_pruned and latency_ms_host of one frame, in milliseconds."""
    variants = _variants(network, example_input(config).to(next(network.parameters()).device))
    distinct = list(dict.fromkeys(variants.values()))
    times = dict(zip(distinct, latency_ms(distinct, config), strict=True))
    return {f"latency_ms_{name}": round(times[variant], 3) for name, variant in variants.items()}


def _variants(network: DSRL, x: Tensor) -> dict[str, tuple[DSRL, Tensor]]:
    """Each form of the network with its input. The host alone gets x as the network gives it to the host.

    Forms are one object where an arm has nothing that they lack, so that they are measured once.
    """
    network.eval()
    full = (network, x)
    auxiliary = hasattr(network.host, "pruned")
    pruned = full if network.sisr is None and not auxiliary else (network.prune().eval(), x)
    if network.sssr is None and network.downsampling is None:
        return {"full": full, "pruned": pruned, "host": pruned}
    seen = x if network.downsampling is None else network.downsampling.evenly(x)
    return {"full": full, "pruned": pruned, "host": (DSRL(network.host, sssr=False).prune().eval(), seen)}


def example_input(config: Config) -> Tensor:
    """A normalised random frame of the size that the network of `config` is given, (1, 3, h, w)."""
    size = [round(side * config.frame_scale) for side in (config.data.height, config.data.width)]
    frame = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    return frame.contiguous(memory_format=torch.channels_last)


@torch.no_grad()  # not inference_mode, in which the counter takes apart every interpolation by itself
def macs(model: nn.Module, x: Tensor) -> int:
    """Multiply-accumulates of one forward pass on x, (1, 3, h, w)."""
    with FlopCounterMode(display=False) as counter:
        without_labels(model)(x)
    return counter.get_total_flops() // 2


@torch.inference_mode()
def macs_by_module(model: nn.Module, x: Tensor) -> dict[str, int]:
    """Multiply-accumulates of the convolutions of one forward pass on x, by the name of the module; "" is the whole.

    Each convolution counts itself and is added to every module above it by name. So a module counts even if it is not
    called itself, such as a host that gives only its features.
    """
    counts = {name: 0 for name, _ in model.named_modules()}

    def counter(name: str) -> Callable:
        parts = name.split(".")
        above = ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]

        def count(module: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
            pixels = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
            for place in above:
                counts[place] += pixels.numel() * module.weight[0].numel()

        return count

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    hooks = [m.register_forward_hook(counter(name)) for name, m in model.named_modules() if isinstance(m, kinds)]
    without_labels(model)(x)
    for hook in hooks:
        hook.remove()
    return counts


@torch.inference_mode()
def latency_ms(models: Sequence[tuple[nn.Module, Tensor]], config: Config) -> list[float]:
    """Median milliseconds of each model from its input to class ids at HR size, after warm-up.

    The models take turns, so that other work of the machine slows all of them alike.
    """
    times: list[list[float]] = [[] for _ in models]
    for _ in range(WARM_UP + REPEATS):
        for (model, x), series in zip(models, times, strict=True):
            begin = time.perf_counter()
            _infer(model, x, config)  # ends with a copy to the host, which waits for the device
            series.append(time.perf_counter() - begin)
    return [1e3 * statistics.median(series[WARM_UP:]) for series in times]


@torch.inference_mode()
def activation_peak_mib(model: nn.Module, x: Tensor, config: Config) -> float:
    """Largest memory in MiB that one inference holds in tensors, not counting weights and input."""
    with _LiveTensors() as live:
        _infer(model, x, config)
    return live.peak / 2**20


class _LiveTensors(TorchDispatchMode):
    """Adds up the storages of all tensors that operators have returned and Python still holds."""

    def __init__(self) -> None:
        super().__init__()
        self.holders: dict[int, tuple[int, list[weakref.ref]]] = {}  # storage address -> bytes, tensors on it
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # Those that died since the last operator go first: a new storage may lie at the address of an old one.
        alive = {a: (n, [r for r in refs if r() is not None]) for a, (n, refs) in self.holders.items()}
        self.holders = {address: entry for address, entry in alive.items() if entry[1]}
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                _, holders = self.holders.setdefault(storage.data_ptr(), (storage.nbytes(), []))
                holders.append(weakref.ref(tensor))
        self.peak = max(self.peak, sum(size for size, _ in self.holders.values()))
        return result


@torch.inference_mode()
def prune_is_exact(network: DSRL, x: Tensor, config: Config) -> bool:
    """Whether pruning leaves the logits of x bit-equal."""
    network.eval()
    same = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)  # algorithms in both networks
    with same, autocast(x.device, config.optim.precision):
        full, pruned = without_labels(network), without_labels(network.prune())
        return torch.equal(full(x)["logits"], pruned(x)["logits"])


def mac_matched_scale(config: Config, network: DSRL) -> float:
    """Input side / HR side at which the host alone costs what `network` costs at `config`'s input.

    MACs of a fully convolutional host grow with the area of its input.
    """
    variants = _variants(network, example_input(config))
    return config.model.input_scale * (macs(*variants["pruned"]) / macs(*variants["host"])) ** 0.5


def peak_memory_mib(device: torch.device) -> int:
    """Peak memory of this process so far: of the GPU's allocator, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10


def _infer(model: nn.Module, x: Tensor, config: Config) -> None:
    with autocast(x.device, config.optim.precision):
        logits = without_labels(model)(x)["logits"]
    class_ids(logits, (config.data.height, config.data.width))
