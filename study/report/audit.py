"""What an audit must refuse: stale runs, and stored scores, tables or printed numbers that the counts do not give."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dsrl_lib.metrics import iou, miou
from dsrl_lib.paths import results_dir
from study.catalogue import SPLITS, Run
from study.claims.judge import judge
from study.claims.table import claims_csv
from study.evidence import Study
from study.report.results import results_csv
from study.report.tables import files
from study.report.texts import PUBLISHED, published, side_by_side, wrong_lines

COLUMNS = ("check", "where", "problem", "fatal")


def audit(profile: str) -> pd.DataFrame:
    """Every check of a profile: columns check, where, problem, fatal; no row if all is well.

    fatal: not to be published. Runs from uncommitted code are a warning in the smoke profile alone, where the
    developer's tree is dirty. Missing files of results/<profile> are problems; the texts that show the profile are
    checked in the repository itself.
    """
    study = Study(profile)
    found = [
        ("runs", row.run_id, row.problem, not (profile == "smoke" and row.problem == "made from uncommitted code"))
        for row in problems(study.runs).itertuples()
    ]
    found += [("one device, one recipe", *row) for row in mixed(study)]
    found += [("files", *row, True) for row in stale_files(study)]
    for text in published(profile):
        found += [(text.name, *row, True) for row in wrong_lines(study.beside(PUBLISHED), text)]
    return pd.DataFrame(found, columns=COLUMNS)


def problems(runs: Sequence[Run]) -> pd.DataFrame:
    """Stale runs, and scores in metrics.json that the counts do not give.

    Columns run_id, problem; no row if all is well.
    """
    found = [(run.run_id, run.stale) for run in runs if run.stale]
    for run in runs:
        for split in SPLITS:
            counts, stored = run.counts(split).counts, run.metrics[split]
            again, classes = miou(counts), iou(counts.sum(0, dtype=np.int64))
            if not _same(stored["miou"], again):
                problem = f"{split} mIoU: {stored['miou']} in metrics.json, {again} from the counts"
                found.append((run.run_id, problem))
            if not _same(stored.get("iou", classes), classes):
                found.append((run.run_id, f"{split} IoU by class in metrics.json is not that of the counts"))
    return pd.DataFrame(found, columns=["run_id", "problem"])


def _same(stored: float | Sequence[float | None] | None, again: float | np.ndarray) -> bool:
    """Whether scores in metrics.json, where null stands for NaN, are those that the counts give."""
    scores = np.array(stored, float)  # null becomes NaN
    return scores.shape == np.shape(again) and np.allclose(scores, again, rtol=0, atol=1e-9, equal_nan=True)


def mixed(study: Study) -> list[tuple[str, str, bool]]:
    """Comparisons that mix devices or data: (claim and part, problem, fatal).

    Runs of one seed are subtracted from each other, and seeds are averaged: neither from a CPU and a GPU, nor from two
    models of GPU. Two models of CPU are reported and let through: runs of one seed start from the same weights and see
    the same samples in the same order, and what the CPUs round differently stands in the spread of the seeds. REPORT.md
    has a run that was repeated on another model. Latencies must come from one machine, as those of latency.json do;
    MACs are the same on all.
    """
    by_id = {run.run_id: run for run in study.runs}
    found = []
    for verdict in judge(study).values():
        for finding in verdict.findings:
            cost = finding.part.cost
            timed = str(cost.get("of", "")).startswith("latency") and not study.turns(finding.part.arms)
            if cost and not timed:
                continue
            where = f"{verdict.claim.id}, {finding.part.name}"
            runs = [by_id[name] for name in finding.runs]
            devices = {run.run_id: run.devices[-1:] if timed else run.devices for run in runs}  # the last one timed it
            for seed in sorted({run.seed for run in runs}):
                models = sorted({name for run in runs if run.seed == seed for name in devices[run.run_id]})
                if len(models) > 1:
                    cpus = all(model.startswith("CPU, ") for model in models)
                    problem = f"devices mixed in seed {seed}: {'; '.join(models)}"
                    found.append((where, problem, not cpus or timed))
            kinds = {name.partition(",")[0] for names in devices.values() for name in names}
            if len(kinds) > 1:
                found.append((where, f"devices mixed: {', '.join(sorted(kinds))}", True))
            # By split: a run need not name every split, but those that name one must agree on it. Arms may train on
            # several data sets, if these have one val and one test.
            seen: dict[tuple[str, str], set[str]] = {}
            for run in runs:
                for split, digest in run.env.get("data", {}).items():
                    trained = run.config["data"]["dataset"] if split == "train" else ""
                    seen.setdefault((split, trained), set()).add(digest)
            data = max((len(digests) for digests in seen.values()), default=1)
            if data > 1:
                found.append((where, f"{data} versions of the data mixed", True))
    return found


def stale_files(study: Study) -> list[tuple[str, str]]:
    """Files of results/<profile> that differ from what the counts give now: (file, problem)."""
    folder = results_dir() / study.profile
    expected = {f"tables/{name}": text for name, text in files(study).items()}
    expected |= {"results.csv": results_csv(study.runs), "claims.csv": claims_csv(study)}
    found = []
    for name, text in expected.items():
        if not (folder / name).exists():
            found.append((name, "is missing"))
            continue
        stored = (folder / name).read_bytes().decode()  # with its line ends, unlike read_text
        if stored == text:
            continue
        lines = side_by_side(stored, text)
        wrong = [number for number, (old, new) in enumerate(lines, 1) if old != new]
        where = f"{len(wrong)} lines, first in line {wrong[0]}" if wrong else "its line ends"
        found.append((name, f"differs from the counts in {where}"))
    return found
