"""Release the weights of a run: a small file in weights/, what it scores, and its model card."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dsrl_lib import runs
from dsrl_lib.config import Config
from dsrl_lib.data.class_tables import CAMVID, class_table
from dsrl_lib.data.frames import read_pair
from dsrl_lib.data.readers import camvid
from dsrl_lib.data.split import load_split
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.deploy.prune import prune
from dsrl_lib.deploy.rounding import round_kernels
from dsrl_lib.evaluation import cost
from dsrl_lib.evaluation.evaluate import Evaluation, evaluate
from dsrl_lib.evaluation.forward import class_ids, forward, network_input
from dsrl_lib.metrics import counts, iou
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.paths import check_folder, released_dir, root
from dsrl_lib.records import read_json, write_atomically, write_json
from study.catalogue import load_run
from study.report.model_cards import card, read_record


def release(directory: Path, whole: bool = False, folder: Path | None = None) -> list[Path]:
    """Write <arm>-<profile>.safetensors, .json and .md into weights/ (or `folder`), and return them.

    directory: a complete run with its weights. whole: keep SISR head, FTM and batch norms, for the affinity explorer
    and to train on from, as <arm>_whole-<profile>; otherwise the network is pruned and its batch norms are folded. The
    file holds the kernels in the precision in which the network computes, and is scored on test itself.
    FileNotFoundError if the run has no weights here, ValueError if it must not be reported or if another run was
    released under this name, DataError if the test split is not here.
    """
    weights = directory / runs.WEIGHTS
    if not runs.is_complete(directory) or not weights.exists():
        raise FileNotFoundError(runs.missing_weights(weights))
    run = load_run(directory)
    if run.stale:
        raise ValueError(f"{run.run_id} cannot be released: {run.stale}")
    target = (folder or released_dir()) / f"{run.arm}{'_whole' if whole else ''}-{run.profile}.safetensors"
    check_folder(target.parent, "out")
    record = target.with_suffix(".json")
    if record.exists() and (other := read_json(record, {"run": str})["run"]) != run.run_id:
        raise ValueError(f"{target} holds the weights of {other}, which would be lost: move them elsewhere with their "
                         ".json and .md, or give another folder with --out")  # fmt: skip
    if not record.exists() and (yours := [path for path in (target, target.with_suffix(".md")) if path.exists()]):
        raise ValueError(f"{yours[0]} is a file that no earlier call wrote, since {record.name} is not beside it: move "
                         "it elsewhere, or give another folder with --out")  # fmt: skip
    load_split(run.config["data"]["dataset"], "test")  # what it is scored on: if it is missing, nothing is replaced
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = {key: run.env[key] for key in ("commit", "device", "data") if key in run.env}
    with TemporaryDirectory(prefix=f".{target.stem}-", dir=target.parent) as beside:
        made = Path(beside, target.name)
        if whole:
            shutil.copyfile(weights, made)
        else:
            prune(weights, made, fold=True)
        round_kernels(made)
        files = [made, *document(made, runs.read_config(directory), environment)]
        for file in files:  # together, once all is scored: a file never stands beside the card of another
            file.replace(target.with_name(file.name))
    return [target.with_name(file.name) for file in files]


def document(target: Path, trained: Config, environment: dict[str, object]) -> list[Path]:
    """Score a file of weights, and write its record (.json) and its model card (.md) beside it.

    trained: the configuration of its run; that in a pruned file is another. environment: commit, device and data of its
    training, {} if they are unknown.
    """
    model, config = open_weights(target)
    small, x = model.eval().prune(), cost.example_input(config)
    found = evaluate(model, load_split(config.data.dataset, "test"), config, details=False)
    by_class = iou(found.counts.sum(0, dtype=np.int64))  # (K,)
    frames = seen(model, config)
    record = target.with_suffix(".json")
    write_json(record, {
        "run": trained.run_id,
        "config": trained.to_dict(),
        "environment": environment,
        "whole": model.sisr is not None or model.ftm is not None,
        "megabytes": round(target.stat().st_size / 1e6, 3),
        "parameters": sum(p.numel() for p in small.parameters()),
        "macs": cost.macs(small, x),
        "images": len(found.names),
        "iou": [None if np.isnan(value) else float(value) for value in by_class],
        "frames": frames if "counts" in frames else frames | scored(found),
    })  # fmt: skip
    text = card(target.stem, read_record(record))
    page = target.with_suffix(".md")
    write_atomically(page, lambda temporary: temporary.write_text(text))
    return [record, page]


def seen(model: DSRL, config: Config) -> dict[str, list]:
    """What a network makes of the three frames of CamVid in tests/frames.

    "pixels": (3, K) how many pixels it gives to each class; of data with CamVid's classes also "counts": (3, K, 3).
    Another CPU may round differently.
    """
    pixels, counted, classes = [], [], model.host.classes
    labelled = class_table(config.data.dataset).classes == CAMVID.classes
    for frame in camvid.frames(root() / "tests" / "frames" / "camvid", "val"):
        image, label = read_pair(frame)
        prediction = class_ids(forward(model, network_input(image, config), config)["logits"].detach(), label.shape)
        pixels.append(np.bincount(prediction.ravel(), minlength=classes).tolist())
        counted.append(counts(prediction, label, classes).tolist() if labelled else [])
    return {"pixels": pixels} | ({"counts": counted} if labelled else {})


def scored(found: Evaluation) -> dict[str, list]:
    """The first, the middle and the last frame of the test split: "test_names", and "test_counts" (3, K, 3).

    For data sets with other classes than the frames of tests/frames: counts are no pictures and no labels.
    """
    at = [0, len(found.names) // 2, len(found.names) - 1]
    return {"test_names": [found.names[i] for i in at], "test_counts": found.counts[at].tolist()}
