"""What a run says of your own data set, on stderr: files that have changed, and images in two splits."""

import sys
from collections.abc import Mapping
from pathlib import Path

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.data.overlap import shared_images
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.paths import DataError, in_checkout, own_datasets
from dsrl_lib.records import read_json


def tell_of_other_data(config: Config, directory: Path) -> None:
    """A note if your own data set has changed since the run was completed."""
    if config.data.dataset not in own_datasets():
        return
    known = read_json(directory / "env.json", runs.ENVIRONMENT).get("data", {})
    kept = f"note: {directory.name} is kept as it is"
    delete = in_checkout(f"`python -m study runs --delete {directory.name}` removes it") or f"delete {directory}"
    try:
        changed = [
            name
            for name in SPLITS
            if name in known and known[name] != load_split(config.data.dataset, name).manifest_hash
        ]
    except DataError as error:
        print(f"{kept}, but its data cannot be read now: {error}", file=sys.stderr)
        return
    if changed:  # val and test too: the scores are of what they were
        print(f"{kept}, but files of {config.data.dataset} {', '.join(changed)} have changed since; {delete}, to "
              "train and score on those of now", file=sys.stderr)  # fmt: skip


def tell_of_shared_images(config: Config, splits: Mapping[str, Split]) -> None:
    """A warning if images of your own data set are trained on and scored too."""
    if config.data.dataset not in own_datasets():
        return
    scored = {splits[name].manifest_hash: name for name in ("test", "val")}  # once, where test is val
    for name in scored.values():
        if found := shared_images(splits["train"], splits[name]):
            print(f"warning: {len(found)} of {len(splits[name])} images of {config.data.dataset} {name} are in train "
                  f"too, such as {found[0]}: their scores say nothing about new images", file=sys.stderr)  # fmt: skip
