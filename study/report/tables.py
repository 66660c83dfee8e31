"""The tables of results/<profile>/tables: made from the counts, so that an audit can make them again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dsrl_lib.metrics import iou, miou
from dsrl_lib.paths import results_dir
from dsrl_lib.records import write_atomically
from study.arms import ARMS, FA_ARMS, FA_SHARE_ARMS, STAGE_ARMS
from study.catalogue import input_size
from study.evidence import Pair, Study
from study.factorial import cells, without_fa
from study.plan import SCANNED
from study.profiles import SEARCH_SEEDS
from study.report.histories import total_epochs
from study.report.latencies import FORMS, comparable_latencies
from study.report.readable import readable
from study.report.reconstruction import interpolations, restored
from study.statistics.bootstrap import Difference

STEPS: tuple[Pair, ...] = (
    ("bilinear", "lr"),
    ("sssr_long", "bilinear"),
    ("sssr_sisr_long", "sssr_long"),
    ("dsrl", "sssr_sisr_long"),
)
"""From the baseline to the method, one part at a time and at equal updates; they add up to dsrl - lr."""

PARTS: tuple[Pair, ...] = (("dsrl", "lr"), ("bilinear", "lr"), ("sssr_long", "bilinear"), ("dsrl", "sssr_long"))
"""The method, and what adds up to it: HR labels, the head, and SISR with FA."""

MAIN_PAIRS: tuple[Pair, ...] = (
    ("dsrl", "lr"), ("dsrl", "bilinear"), *STEPS,
    ("dsrl@small_input", "lr@small_input"), ("dsrl@second_host", "lr@second_host"),
    ("dsrl@twice_as_long", "lr@twice_as_long"), ("dsrl@twice_as_long", "bilinear@twice_as_long"),
)  # fmt: skip
ACTING_PAIRS: tuple[Pair, ...] = (
    ("sssr_sisr_res_long", "sssr_long"), ("dsrl_res", "sssr_sisr_res_long"), ("dsrl_res", "lr"),
    ("dsrl_res", "mac_matched"),
)  # fmt: skip
"""The same with losses that act, where these arms have runs."""
DETAIL_PAIRS: tuple[Pair, ...] = (("sssr_sisr_detail_long", "sssr_long"), ("dsrl_detail", "sssr_sisr_detail_long"))
"""And where the detail has to come from the encoder (C25)."""
BASELINES = ("lr", "bilinear")
COSTS = {"params": ("params (k)", 1e3), "macs": ("MACs (M)", 1e6), "latency_ms": ("latency (ms)", 1.0),
         "peak_mib": ("peak memory (MiB)", 1.0)}  # fmt: skip
"""Column of metrics.json -> heading and unit."""


def main(study: Study) -> pd.DataFrame:
    """One row per arm: input, epochs in total, test mIoU by seed, mean with interval, differences to baselines."""
    return _arms([arm for arm in study.arms if arm not in FA_ARMS + FA_SHARE_ARMS + STAGE_ARMS], study, BASELINES)


def factorial(study: Study, share: bool = False) -> pd.DataFrame:
    """The same for the cells of the FA factorial, against stage 2 at equal updates, and against the default cell.

    share: of the factorial at equal share of the gradient.
    """
    found = cells(share)
    return _arms([arm for arm in found if study.select(arm)], study, (without_fa(share), found[0]))


def factorial_share(study: Study) -> pd.DataFrame:
    """The cells at equal share, each with the w2 that was calibrated at the start, and with FA's share of the gradient
    of all losses on the shared encoder after the last epoch."""
    found = factorial(study, share=True).drop(columns=["isolates", "input", "epochs in total"], errors="ignore")
    last = {arm: [run.history.iloc[-1] for run in study.select(arm)] for arm in found.index}
    w2 = [" ".join(f"{epoch['w2']:.2g}" for epoch in last[arm]) for arm in found.index]
    shares = [" ".join(f"{100 * epoch['share_fa']:.1f}" for epoch in last[arm]) for arm in found.index]
    return found.assign(**{"w2 by seed": w2, "share of FA at the end (%), by seed": shares})


def several_cells(study: Study, share: bool = False) -> bool:
    """Whether cells can be compared: the default one is an arm of the main table, and says nothing alone."""
    return sum(bool(study.select(arm)) for arm in cells(share)) > 1


def main_pairs(study: Study) -> tuple[Pair, ...]:
    """The pairs that a study of this profile is about."""
    acting = ACTING_PAIRS if study.select("dsrl_res") else ()
    return MAIN_PAIRS + acting + (DETAIL_PAIRS if study.select("dsrl_detail") else ())


def differences(study: Study, pairs: Sequence[Pair] | None = None) -> pd.DataFrame:
    """One row per pair: difference with interval, minimum detectable effect, by seed; blank if not run.

    pairs: `main_pairs` unless given.
    """
    rows = {}
    for a, b in main_pairs(study) if pairs is None else pairs:
        value = study.difference(a, b)
        rows[f"{a} − {b}"] = {"seeds": 0} if value is None else {
            "seeds": len(value.seeds),
            **_columns("difference", value),
            "smallest effect visible": value.detectable_effect,
            "by seed": " ".join(f"{points:+.2f}" for points in value.per_seed),
        }  # fmt: skip
    return _frame(rows, "pair")


def classes(study: Study) -> pd.DataFrame:
    """IoU in points by arm and class, mean over seeds; blank for a class that is absent."""
    rows = {arm: study.scores(arm, "classes").points.mean(0) for arm in study.arms}  # (K,)
    return pd.DataFrame(rows, index=list(study.classes)).T.rename_axis("arm")


def cost(study: Study) -> pd.DataFrame:
    """One row per arm: parameters, MACs, latency, peak memory of the host alone, pruned and full; medians of seeds.

    Latencies are those that can be compared (`comparable_latencies`); others are blank.
    """
    timed = comparable_latencies(study, study.arms)
    rows = {}
    for arm in study.arms:
        found = [run.metrics["cost"] for run in study.select(arm)]
        rows[arm] = {"input": "x".join(map(str, found[0]["input"]))} | {
            f"{heading}, {form}": timed.get(arm, {}).get(form, np.nan) if name == "latency_ms" else
            float(np.median([cost.get(f"{name}_{form}", np.nan) for cost in found])) / unit
            for name, (heading, unit) in COSTS.items() for form in FORMS
        }  # fmt: skip
    names = [f"{heading}, {form}" for heading, _ in COSTS.values() for form in FORMS]
    return _frame(rows, "arm").reindex(columns=["input", *names])  # also without runs


def frame_table(study: Study, a: str, b: str) -> pd.DataFrame:
    """By test frame: mIoU of arms a and b over the classes in the frame, mean of shared seeds, and a - b.

    Sorted by a - b, worst first. Columns index (position in the split), frame, a, b, difference.
    """
    seeds = sorted(study.seeds([a, b]))
    counts = {arm: {run.seed: run.counts("test") for run in study.select(arm)} for arm in (a, b)}
    by_arm = {}
    for arm in (a, b):
        each = np.stack([iou(counts[arm][seed].counts) for seed in seeds])  # (S, I, K)
        truth = counts[arm][seeds[0]].counts[..., [0, 2]].sum(-1) > 0  # (I, K)
        by_arm[arm] = 100 * np.nanmean(np.where(truth, each, np.nan), axis=-1).mean(0)  # (I,)
    names = counts[a][seeds[0]].images
    table = pd.DataFrame({"index": range(len(names)), "frame": names, **by_arm})
    return table.assign(difference=by_arm[a] - by_arm[b]).sort_values("difference", ignore_index=True)


def search(study: Study, scan: bool = True) -> pd.DataFrame:
    """The runs that chose the recipe, one row each: arm, what was changed, epochs in total, val mIoU in points.

    Also, if any has a SISR branch, what that restores on val, beside interpolations of the same input; blank for those
    without. scan: also those of the share scan, which has a table of its own.
    """
    known = interpolations(study.profile)
    rows = {}
    for run in sorted(study.runs, key=lambda run: (list(ARMS).index(run.arm), total_epochs(run), run.run_id)):
        scanned = run.arm in SCANNED or run.seed in SEARCH_SEEDS[1:]
        if run.seed in SEARCH_SEEDS and (scan or not scanned):
            found = restored(run, "val", known)
            restores = found.get("psnr") is not None
            rows[run.run_id] = {
                "arm": run.arm,
                "changed": ", ".join(run.overrides or ("?",)) if run.overrides != () else "nothing",
                "epochs in total": total_epochs(run),
                "val mIoU": 100 * miou(run.counts("val").counts),
                "val PSNR (dB)": found["psnr"] if restores else None,
                "PSNR (dB), nearest": found.get("psnr_nearest") if restores else None,
                "PSNR (dB), bicubic": found.get("psnr_bicubic") if restores else None,
            }  # fmt: skip
    return _frame(rows, "run").dropna(axis="columns", how="all")


def compute(study: Study) -> pd.DataFrame:
    """What the runs took, one row per arm: runs, device, hours of training, largest resident memory."""
    rows = {}
    for arm in [arm for arm in ARMS if any(run.arm == arm for run in study.runs)]:
        runs = [run for run in study.runs if run.arm == arm]
        rows[arm] = {
            "runs": len(runs),
            "device": "; ".join(sorted({str(run.env.get("device")) for run in runs})),
            "hours of training": sum(run.env.get("train_seconds", np.nan) for run in runs) / 3600,
            "peak memory (MiB)": max(filter(None, [run.env.get("peak_memory_mib") for run in runs]), default=np.nan),
        }
    total = {"runs": len(study.runs), "device": "", "peak memory (MiB)": ""}
    rows["all"] = total | {"hours of training": sum(row["hours of training"] for row in rows.values())}
    return _frame(rows, "arm")


TABLES = {"main": main, "factorial": factorial, "differences": differences, "classes": classes, "cost": cost,
          "search": search, "compute": compute}  # fmt: skip


def files(study: Study) -> dict[str, str]:
    """Name and content of every file of results/<profile>/tables; that of `factorial_share` where cells were run."""
    shown = TABLES | ({"factorial_share": factorial_share} if several_cells(study, share=True) else {})
    made = {}
    for name, make in shown.items():
        table = make(study)
        made[f"{name}.csv"] = table.to_csv(float_format="%.4f", lineterminator="\n")
        made[f"{name}.md"] = readable(table).to_markdown(disable_numparse=True) + "\n"
    return made


def write(study: Study) -> list[Path]:
    """Write `files`; equal runs give equal bytes."""
    folder = results_dir() / study.profile / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    made = files(study)
    for name, text in made.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text))
    return [folder / name for name in made]


def _arms(arms: Sequence[str], study: Study, baselines: Sequence[str]) -> pd.DataFrame:
    rows = {}
    for arm in arms:
        runs, value = study.select(arm), study.contrast([{arm: 1}])
        rows[arm] = {
            "isolates": ARMS[arm].isolates,
            "input": input_size(runs[0].config),
            "epochs in total": total_epochs(runs[0]),
            "seeds": len(runs),
            **_columns("mIoU", value),
            "by seed": " ".join(f"{points:.2f}" for points in value.per_seed),
        }
        for baseline in baselines:
            rows[arm] |= _columns(f"minus {baseline}", study.difference(arm, baseline) if arm != baseline else None)
    return _frame(rows, "arm")


def _columns(name: str, value: Difference | None) -> dict[str, float]:
    """Estimate, low and high of a difference: blank ends of an interval that is not shown."""
    ends = (value.low, value.high) if value and value.interval_shown else (np.nan, np.nan)
    numbers = (value.estimate if value else np.nan, *ends)
    return dict(zip((name, f"{name} low", f"{name} high"), numbers, strict=True))


def _frame(rows: Mapping[str, Mapping[str, object]], index: str) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index)
