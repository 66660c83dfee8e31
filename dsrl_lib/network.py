"""The network of a configuration: built, saved and loaded together with what gives its numbers a meaning."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import nn

from dsrl_lib import runs
from dsrl_lib.allowed import check, each_once
from dsrl_lib.config import Config, datasets
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.models.build import build_host, load_strictly
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.folding import fold_batch_norms
from dsrl_lib.models.modes import modes_kept
from dsrl_lib.models.published import published_weights
from dsrl_lib.models.sync_batch_norm import synchronise
from dsrl_lib.normalisation import MEAN, STD
from dsrl_lib.overrides import override
from dsrl_lib.own_data import origin
from dsrl_lib.paths import CLASSES, MADE_FROM, data_dir
from dsrl_lib.records import write_atomically
from dsrl_lib.registry import HOSTS


def build(config: Config) -> DSRL:
    """The network of `config`, with published host weights if it asks for them, else from `config.seed`."""
    table = class_table(config.data.dataset)
    model = config.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if model.pretrained == "none":
            host = build_host(model.host, len(table.classes))
        else:
            weights = published_weights(model.host, model.pretrained)
            encoder = HOSTS[model.host].weights[model.pretrained].encoder
            host = build_host(model.host, len(table.classes), weights, rows=table.cityscapes_rows, encoder=encoder)
    network = _around(host, config)
    if model.sync_bn:
        synchronise(network)
    if model.frozen_bn:
        for norm in batch_norms(network):
            norm.requires_grad_(False)
    if model.sisr_frozen:
        for part in (network.sisr, network.ftm):
            if part is not None:
                part.requires_grad_(False)
    if network.downsampling is not None:  # one stage trains what the other does not
        for part in network.children():
            if (part is network.downsampling) == (config.downsampling.stage == "host"):
                part.requires_grad_(False)
    return network


def shapes(config: Config, classes: int) -> dict[str, torch.Size]:
    """The shape of every tensor of the network of `config`, if it had so many classes."""
    with torch.random.fork_rng(devices=[]):
        network = _around(build_host(config.model.host, classes), config)
    return {key: value.shape for key, value in network.state_dict().items()}


def _around(host: nn.Module, config: Config) -> DSRL:
    """A host with what `config` adds to it."""
    model = config.model
    return DSRL(
        host,
        sssr=model.sssr,
        sssr_head=model.sssr_head,
        sssr_start=model.sssr_start,
        sssr_norm=model.sssr_norm,
        sisr=model.sisr,
        sisr_taps=model.sisr_taps,
        sisr_residual=model.sisr_residual,
        sisr_decoder=model.sisr_decoder,
        fa=model.fa,
        fa_placement=model.fa_placement,
        ftm=model.ftm,
        downsampling=_downsampler(config),
        seed=config.seed,
    )


def _downsampler(config: Config) -> Downsampler | None:
    if config.downsampling.locations == "none":
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # on its own, so that it moves no other start
        return Downsampler(config.downsampling, config.model.input_scale)


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """The batch norms of a network, those of libraries too."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@contextmanager
def training_mode(network: nn.Module, config: Config) -> Iterator[None]:
    """The mode in which `config` trains a network; afterwards each module is in its own mode again."""
    with modes_kept(network):
        set_training_mode(network, config)
        yield


def set_training_mode(network: nn.Module, config: Config) -> None:
    """Training mode, but for batch norms that `config` freezes and an auxiliary network that is trained already."""
    network.train()
    for norm in batch_norms(network) if config.model.frozen_bn else ():
        norm.eval()
    if config.downsampling.locations == "predicted" and config.downsampling.stage == "host":
        network.downsampling.auxiliary.eval()


def save(network: DSRL, config: Config, path: Path, folded: bool = False) -> None:
    """Write safetensors with the configuration, class table and normalisation in the metadata.

    folded: batch norms were folded into convolutions (`models.folding`), which a reader must know.
    """
    table, source = class_table(config.data.dataset), origin(config.data.dataset)
    metadata = {
        "config": json.dumps(config.to_dict(), sort_keys=True),
        "classes": json.dumps(table.classes),
        "normalisation": json.dumps({"mean": MEAN, "std": STD}),
        **({"made_from": json.dumps(source)} if source not in (None, config.data.dataset) else {}),
        **({"folded": "true"} if folded else {}),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    content = serialised(tensors, metadata)  # written by safetensors itself, a full disk would not be an OSError
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def load(path: Path) -> tuple[DSRL, Config]:
    """The network that `save` wrote, on the CPU and in evaluation mode, and its configuration.

    ValueError if the file does not fit itself.
    """
    tensors, config = read(path)
    found = metadata(path)
    source = stored(path, "made_from", str | None)
    _check_classes(config.data.dataset, stored(path, "classes", list[str]), source, path)
    network = build(override(config, "model.pretrained", "none"))  # downloads nothing
    if "folded" in found:
        fold_batch_norms(network)
    load_strictly(network, tensors, str(path))
    return network.eval(), config


def _check_classes(dataset: str, names: list[str], source: str | None, path: Path) -> None:
    """The classes of your own data set come with it: those of the file have to be the ones that are here.

    source: the published data set that it was made from, which decides the size of frames; None for no such one.
    """
    folder = data_dir() / dataset
    if dataset not in datasets():
        beside = f", and {MADE_FROM} beside it with the line {source}" if source else ""
        raise ValueError(
            f"{path} is of the data set {dataset!r}, which is not here. Its classes suffice to use the weights: write "
            f"{folder / CLASSES} with a line for each of {', '.join(names)}{beside}"
        )
    if source and (found := origin(dataset)) != source:
        raise ValueError(f"{path} is of a data set made from {source}; {folder / MADE_FROM} names {found}; "
                         f"allowed: {source}")  # fmt: skip
    here = class_table(dataset).classes
    if tuple(names) != here:
        raise ValueError(f"{path} has the classes {', '.join(names)}; here {dataset} has {', '.join(here)}")


def read(path: Path) -> tuple[dict[str, torch.Tensor], Config]:
    """Tensors and configuration of a file that `save` wrote. ValueError if its images were normalised otherwise."""
    if not path.exists():
        raise FileNotFoundError(runs.missing_weights(path))
    found = metadata(path)
    try:
        config = Config.from_dict(_parsed(found["config"]))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"the configuration in {path} cannot be read: {error}") from None
    here = {"mean": list(MEAN), "std": list(STD)}
    if (there := stored(path, "normalisation", dict)) != here:
        raise ValueError(f"{path} takes images normalised by {there}; this library normalises by {here}")
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, config  # noqa: SIM118


def metadata(path: Path) -> dict[str, str]:
    """What `save` wrote beside the tensors. ValueError for a file that is damaged or was not written by `save`."""
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, or is damaged: {error}") from None
    if "config" not in found:
        raise ValueError(f"{path} holds no configuration: it was not written by this library")
    return found


def stored(path: Path, name: str, kind: Any) -> Any:
    """A value of the metadata; None if it is missing. ValueError if it is not of its kind."""
    try:
        value = _parsed(metadata(path).get(name, "null"))
        check(name, value, kind)
    except ValueError as error:
        raise ValueError(f"the metadata of {path} cannot be read: {error}") from None
    return value


def _parsed(text: str) -> Any:
    """JSON of the metadata. ValueError for a name that stands twice, and for what is nested too deeply."""
    try:
        return json.loads(text, object_pairs_hook=each_once)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def warm_start(network: DSRL, path: Path, run_id: str) -> None:
    """Start from the weights of the run `run_id`: each finds its place, and only parts that may be new are missing.

    A part says so itself, by `new_at_warm_start`. ValueError if the file does not fit, or is that of another run.
    """
    tensors, config = read(path)
    if config.run_id != run_id:
        raise ValueError(f"{path} holds the weights of {config.run_id}; expected those of {run_id}")
    new = tuple(f"{name}." for name, part in network.named_children() if getattr(part, "new_at_warm_start", False))
    own = network.state_dict()
    extra = sorted(set(tensors) - set(own))
    missing = sorted(key for key in set(own) - set(tensors) if not key.startswith(new))
    if extra or missing:
        raise ValueError(f"{path} cannot start this network; not in it: {extra}; not in the file: {missing}")
    network.load_state_dict(tensors, strict=False)
