"""A segmentation network that knows nothing of DSRL, as a host: three of its layers are named."""

import math
import threading
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.models.host import Features
from dsrl_lib.models.modes import modes_kept

STRIDE = (4, 4)
"""Of `low`, from which the SISR head makes 8 x 8 pixels each."""
DEEP_STRIDES = (4, 64)
_here = threading.local()
"""`calls`, only while the maps of this thread's images are computed: what the noted layers were given and gave."""


def _note(layer: nn.Module, inputs: tuple, named: dict, output: object) -> None:
    """The forward hook of every named layer. It holds nothing, so copies and replicas of a network may share it."""
    if (calls := getattr(_here, "calls", None)) is not None:
        calls.setdefault(layer, []).append(((*inputs, *named.values()), output))


class NamedLayers(nn.Module):
    """Any network of RGB images whose prediction layer is a convolution, as it is: `DSRL(NamedLayers(network, ...))`.

    low, deep: the layers whose outputs are the maps of these names (`host.Features`), at stride 4 and at the end of the
    encoder. classifier: the prediction layer, an `nn.Conv2d` with one output channel per class, background included;
    its input is `last`. All three are names of `network.named_modules()`. size: height and width of the black RGB image
    that finds the channels.

    The logits are those of the prediction layer alone. What the network computes beside or behind it, such as the
    logits of an auxiliary head or those that LR-ASPP adds, runs in every step, but is neither used nor trained
    (DistributedDataParallel then needs `find_unused_parameters=True`). A host of the registry (CONTRIBUTING.md) does
    not pay for that, and can be trained by its name. A class map finer than half of the input, such as that of a U-Net,
    is interpolated to that size for the SSSR head.

    ValueError for a name, a prediction layer or a map that cannot be used: the message lists layers that can.
    """

    align_corners = False

    def __init__(
        self, network: nn.Module, *, low: str, deep: str, classifier: str, size: tuple[int, int] = (64, 64)
    ) -> None:
        super().__init__()
        self.network, self.names = network, {"low": low, "deep": deep, "classifier": classifier}
        if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(isinstance(x, int) and x > 0 for x in size):
            raise ValueError(f"size = {size!r}; allowed: height and width, two whole numbers above 0")
        layers = dict(network.named_modules())
        for role, name in self.names.items():
            if name not in layers:
                near = ", ".join(get_close_matches(name, layers, n=5, cutoff=0.0))
                raise ValueError(f"{role} = {name!r}; allowed: names of network.named_modules(), such as {near}")
        last = layers[classifier]
        if not isinstance(last, nn.Conv2d):
            raise ValueError(f"classifier = {classifier!r} is of type {type(last).__name__}; allowed: an nn.Conv2d")
        if last.out_channels < 2:
            raise ValueError(f"classifier = {classifier!r} has one output channel; allowed: one per class, from 2 on")
        self.classes, self.last_channels = last.out_channels, last.in_channels
        unnoted = [layer for layer in layers.values() if _note not in layer._forward_hooks.values()]
        hooks = {layer: layer.register_forward_hook(_note, with_kwargs=True) for layer in unnoted}
        kept: set[nn.Module] = set()
        try:
            maps = self._maps_of_black(size)
            kept = {layers[name] for name in self.names.values()}
        finally:
            for layer in hooks.keys() - kept:
                hooks[layer].remove()
        self.low_channels, self.deep_channels = maps.low.shape[1], maps.deep.shape[1]

    def _maps_of_black(self, size: tuple[int, int]) -> Features:
        """The maps of a black image. ValueError, with layers that can be named, unless `low` is at stride 4 and `deep`
        nowhere finer. All layers are noted."""
        weight = next(self.network.parameters())
        try:
            with torch.no_grad(), modes_kept(self):
                calls = self.eval()._calls(weight.new_zeros(1, 3, *size))
        except Exception as error:
            error.add_note(
                f"NamedLayers gave the network a black RGB image of {size[0]}x{size[1]}; `size` sets another"
            )
            raise
        maps = self._named(calls)
        outputs = {name: calls[x][0][1] for name, x in self.network.named_modules() if len(calls.get(x, ())) == 1}
        outputs.pop("", None)  # the network itself
        for role, allowed in (("low", STRIDE), ("deep", DEEP_STRIDES)):
            given = getattr(maps, role)
            if not _at_stride(given, size, allowed):
                able = [name for name, output in outputs.items() if _at_stride(output, size, allowed)]
                able.sort(key=lambda name: name.count("."))
                raise ValueError(
                    f"{role} = {self.names[role]!r} gives {tuple(given.shape)} for an image of {size[0]}x{size[1]}; "
                    f"allowed: maps (B, C, h, w) at stride {' to '.join(map(str, sorted({*allowed})))}, such as those "
                    f"of {', '.join(able[:5]) or '(this network has none)'}"
                )
        return maps

    def features(self, x: Tensor) -> Features:
        """x: (B, 3, H, W). ValueError unless the network passes each named layer once."""
        return self._named(self._calls(x))

    def _calls(self, x: Tensor) -> dict[nn.Module, list]:
        """What each noted layer is given and gives, call by call."""
        calls: dict[nn.Module, list] = {}
        _here.calls = calls
        try:
            self.network(x)
        finally:
            _here.calls = None
        return calls

    def _named(self, calls: dict[nn.Module, list]) -> Features:
        maps = {}
        for role, name in self.names.items():
            made = calls.get(self.network.get_submodule(name), [])
            if len(made) > 1:
                raise ValueError(
                    f"{role} = {name!r}, which the network calls {len(made)} times; allowed: a layer that it calls once"
                )
            given, output = made[0] if made else ((None,), None)
            found = given[0] if role == "classifier" else output
            if not isinstance(found, Tensor) or found.ndim != 4:
                raise ValueError(f"{role} = {name!r}; allowed: a layer that the network calls with (B, C, h, w) maps")
            maps[role] = found
        return Features(maps["low"], maps["deep"], maps["classifier"])

    def classify(self, last: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, h, w)."""
        return self.network.get_submodule(self.names["classifier"])(last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, H, W) logits."""
        return F.interpolate(self.classify(self.features(x).last), x.shape[2:], mode="bilinear", align_corners=False)


def _at_stride(output: object, size: tuple[int, int], allowed: tuple[int, int]) -> bool:
    """Whether a layer gives maps at a stride of this range for an image of `size`: to the next power of two, since some
    networks lose pixels at the border. Maps (B, h, w, C), as some transformers have, are not."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        return False
    strides = [2 ** round(math.log2(side / length)) for side, length in zip(size, output.shape[2:], strict=True)]
    return all(allowed[0] <= stride <= allowed[1] for stride in strides)
