"""Start a run from any weights (fine-tuning): of another run, released ones, or a published state dict.

The configuration names the file by its SHA-256 (`model.start`), and a copy is kept under that name. So the run can be
repeated whatever happens to the file. Classes are matched by their names, also for another data set.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from dsrl_lib import network, runs
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import CITYSCAPES, class_table, same_named
from dsrl_lib.download import sha256_of
from dsrl_lib.models.build import can_take, is_finite, read_state_dict
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import DataError, cache_dir, check_folder
from dsrl_lib.records import write_atomically
from dsrl_lib.registry import HOSTS

ClassAxes = dict[str, dict[int, int]]
"""Name of a tensor -> axis -> values per class."""
MOST_NAMES = 12
"""Of tensors, in a line that a run prints."""


@dataclass
class Started:
    """What a network took from a file of weights, and what it did not."""

    sha256: str
    run: str | None
    """The run that the file is of; None for a published state dict."""
    taken: list[str] = field(default_factory=list)
    """Tensors of the network that come from the file."""
    missing: list[str] = field(default_factory=list)
    """Tensors of the network that the file lacks: they start as without it."""
    misfits: dict[str, str] = field(default_factory=dict)
    """Tensors of another shape or type in the file, and both: they start as without it too."""
    unused: list[str] = field(default_factory=list)
    """Tensors of the file that the network has no place for."""
    classes: dict[str, str] = field(default_factory=dict)
    """Each class whose rows come from the file -> its name there."""
    new_classes: list[str] = field(default_factory=list)
    """The other classes, whose rows start as without the file."""

    def __str__(self) -> str:
        every = len(self.taken) + len(self.missing) + len(self.misfits)
        lines = [f"starts from {self.run or 'a state dict'} ({self.sha256[:8]}): {len(self.taken)} of {every} tensors"]
        lists = {
            "not in the file": _listed(self.missing),
            "of another shape or type in the file": _listed([f"{key} ({how})" for key, how in self.misfits.items()]),
            "in the file alone": _listed(self.unused),
            "classes that start anew": ", ".join(self.new_classes),
        }
        return "\n  ".join([*lines, *(f"{what}: {names}" for what, names in lists.items() if names)])


def _listed(names: Sequence[str]) -> str:
    """All names, or the parts of the network that they belong to if they are many: start.json has them all."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    parts = Counter(name.partition(".")[0] for name in names)
    return ", ".join(f"{part} ({count})" for part, count in parts.items()) + "; start.json names them"


def keep_weights(path: str | Path) -> str:
    """Copy a file of weights, or that of a run directory, to where runs look for it; its SHA-256, for `model.start`.

    FileNotFoundError if there is none, ValueError for another kind of file, and for one that cannot be read.
    """
    path = runs.weights_file(Path(path))
    if not path.is_file():
        raise FileNotFoundError(runs.missing_weights(path))
    if path.suffix not in runs.SUFFIXES:
        raise ValueError(f"cannot start from {path}; allowed: files that end in {', '.join(runs.SUFFIXES)}")
    if path.suffix == ".safetensors":
        network.read(path)
    else:
        read_state_dict(path)
    digest = sha256_of(path)
    target = _folder() / f"{digest}{path.suffix}"
    if target.exists() and sha256_of(target) == digest:  # also where nothing can be written
        return digest
    check_folder(target.parent, "DSRL_CACHE")
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):  # runs of several seeds often start at once from one file
        if not (target.exists() and sha256_of(target) == digest):
            write_atomically(target, lambda temporary: shutil.copyfile(path, temporary))
    return digest


def kept_weights(config: Config) -> Path | None:
    """The file that `config.model.start` names; None if it names none, or if the run starts from another run.

    FileNotFoundError if it is not there, ValueError if it has changed.
    """
    digest = config.model.start
    if digest == "none" or config.warm_start is not None:
        return None
    for path in (path for path in _folder().glob(f"{digest}.*") if path.suffix in runs.SUFFIXES):
        if (found := sha256_of(path)) != digest:
            raise ValueError(f"{path} is damaged: its SHA-256 is {found}; delete it, and give its source with --start")
        return path
    raise FileNotFoundError(f"{config.run_id} starts from weights with the SHA-256 {digest}, which are not in "
                            f"{_folder()}: give that file again with --start")  # fmt: skip


def start_from(model: DSRL, path: Path, config: Config) -> Started:
    """Give a network of `config` the weights of a file, as far as they fit; says what was taken and what was not.

    Rows of the prediction layer and of all that follows it belong to classes: a class takes those of the class with
    the same name in the file, or with the same match in Cityscapes. ValueError if the file is of another host, if
    nothing fits, or if it holds NaN.
    """
    axes = class_axes(config)
    stored, names, dataset, run = _read(model, path, config, axes)
    own = class_table(config.data.dataset)
    rows = _matches(own.classes, own.cityscapes_rows, names, dataset)
    done = Started(path.stem, run, unused=[key for key in stored if key not in model.state_dict()])
    if names:
        done.classes = {name: names[row] for name, row in zip(own.classes, rows, strict=True) if row is not None}
        done.new_classes = [name for name, row in zip(own.classes, rows, strict=True) if row is None]
    state = model.state_dict()
    for key, value in state.items():
        if key not in stored:
            done.missing.append(key)
            continue
        found, grouped = stored[key], axes.get(key, {})
        shape = [grouped[axis] * len(names) if axis in grouped else side for axis, side in enumerate(value.shape)]
        if list(found.shape) != shape:
            done.misfits[key] = f"{tuple(found.shape)} instead of {tuple(shape)}"
            continue
        if not can_take(value, found):
            done.misfits[key] = f"{found.dtype} instead of {value.dtype}"
            continue
        if not is_finite(found):
            raise ValueError(f"{path}: {key} holds NaN or infinite values")
        state[key] = _with_rows(value, found.to(value.dtype), grouped, rows)
        done.taken.append(key)
    if not done.taken:
        raise ValueError(f"nothing in {path} fits the network of {config.run_id}; the file begins with: "
                         f"{', '.join(list(stored)[:4]) or 'nothing'}")  # fmt: skip
    model.load_state_dict(state)
    return done


def class_axes(config: Config) -> ClassAxes:
    """Which axes of which tensors of the network belong to classes.

    They are those that grow if the network gets one class more.
    """
    classes = len(class_table(config.data.dataset).classes)
    before, after = (network.shapes(config, classes + more) for more in (0, 1))
    grown = {
        key: {axis: more - side for axis, (side, more) in enumerate(zip(shape, after[key], strict=True)) if more > side}
        for key, shape in before.items()
    }
    return {key: axes for key, axes in grown.items() if axes}


def _with_rows(own: Tensor, found: Tensor, groups: Mapping[int, int], rows: Sequence[int | None]) -> Tensor:
    """`own` with the entries of those classes that have a row in the file; `found` itself without class axes."""
    if not groups:
        return found
    (axis, group), *others = groups.items()
    kept = [(k, row) for k, row in enumerate(rows) if row is not None]
    here, there = (
        torch.tensor([group * pair[side] + i for pair in kept for i in range(group)], dtype=torch.long)
        for side in (0, 1)
    )
    here = here.to(own.device)
    part = found.index_select(axis, there)
    if others:
        part = _with_rows(own.index_select(axis, here), part, dict(others), rows)
    return own.index_copy(axis, here, part.to(own.device))


def _matches(
    classes: Sequence[str], cityscapes: Sequence[int | None], names: Sequence[str], dataset: str | None
) -> list[int | None]:
    """For each class the row of the file that means the same, or None. dataset: that of the file, if it says so."""
    matched = same_named(names)
    if dataset is not None:
        try:
            table = class_table(dataset)
        except (ValueError, DataError):  # a data set that is not here: its names have to do
            table = None
        matched = table.cityscapes_rows if table and list(table.classes) == list(names) else matched
    by_name = {name.lower(): row for row, name in enumerate(names)}
    by_match: dict[int | None, int] = {match: row for row, match in enumerate(matched) if match is not None}
    return [by_name.get(name.lower(), by_match.get(match)) for name, match in zip(classes, cityscapes, strict=True)]


def _read(
    model: DSRL, path: Path, config: Config, axes: ClassAxes
) -> tuple[dict[str, Tensor], list[str], str | None, str | None]:
    """Tensors, names of the classes, data set and run of a file; the last two are None for a published state dict."""
    host = config.model.host
    if path.suffix == ".safetensors":
        stored, made = network.read(path)
        found = network.metadata(path)
        if _without_head(made.model.host) != _without_head(host):
            raise ValueError(f"model.start: {path}, of {made.run_id}, holds the weights of host {made.model.host}; "
                             f"allowed: those of {host}, which this run trains")  # fmt: skip
        if "folded" in found:
            raise ValueError(f"model.start: the batch norms of {path} are folded, so it cannot be trained further; "
                             "allowed: the file from which it was pruned")  # fmt: skip
        return stored, network.stored(path, "classes", list[str]), made.data.dataset, made.run_id
    stored = {key: value for key, value in read_state_dict(path).items() if isinstance(value, Tensor)}
    if not any(key.startswith("host.") for key in stored):
        translated = getattr(model.host, "published_state", dict)(stored)
        stored = {f"host.{key}": value for key, value in translated.items()}
    return stored, _names_in_state_dict(stored, config, axes), None, None


def _without_head(host: str) -> str:
    """The same for a host with and without its auxiliary head: they can start from each other."""
    return HOSTS[host].pruned or host


def _names_in_state_dict(stored: Mapping[str, Tensor], config: Config, axes: ClassAxes) -> list[str]:
    """A state dict names no classes. With as many rows as the host's published files, they are those of Cityscapes;
    with as many rows as the run has classes, they are taken in their order; else none is known."""
    own = class_table(config.data.dataset).classes
    for key, grouped in axes.items():
        axis, group = next(iter(grouped.items()))
        if key in stored and stored[key].dim() > axis:
            count = stored[key].shape[axis] // group
            if count == HOSTS[config.model.host].outputs:
                return [*CITYSCAPES.classes, *[""] * (count - len(CITYSCAPES.classes))]
            return list(own) if count == len(own) else [""] * count
    return []


def _folder() -> Path:
    return cache_dir() / "start"
