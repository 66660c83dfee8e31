"""One page per claim: its verdict, its rules, the runs behind it and their counts."""

from pathlib import Path

import pandas as pd

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.paths import results_dir, root
from study.catalogue import Run, load_runs
from study.claims.rules import Claim, load_rules
from study.claims.table import evidence
from study.claims.together import BEDS
from study.report.readable import readable

COLUMNS = {
    "part": "part", "quantity": "quantity", "estimate": "estimate", "low": "estimate low", "high": "estimate high",
    "detectable_effect": "minimum detectable effect", "seeds": "seeds", "outcome": "outcome", "rule": "rule",
}  # fmt: skip
"""Column of claims.csv -> of the page."""


def write_claim_pages(profile: str, folder: Path) -> None:
    """Write `<profile>.md`, which lists the claims that claims.csv judges, and `<profile>/<claim>.md` for each.

    Nothing for a profile that judges no claim. ValueError if claims.csv names a run or a claim that is gone.
    """
    rules = load_rules()
    if profile in rules.judge_nothing:
        return
    claims = {claim.id: claim for claim in rules.of(profile)}
    (folder / profile).mkdir(parents=True)
    file = results_dir() / profile / "claims.csv"
    frame = pd.read_csv(file, dtype={"runs": str, "seeds": "Int64"})
    runs = {run.run_id: run for run in load_runs(profile)}
    if gone := sorted({*_run_ids(frame)} - {*runs}) + sorted({*frame["claim"]} - {*claims}):
        raise ValueError(
            f"{file} names {gone[0]}, which is not here; to write it again: python -m study claims --profile {profile}"
        )
    lines = [f"# Claims, {BEDS.get(profile, f'profile {profile}')}", "", "| claim | from | verdict |", "|---|---|---|"]
    for name, rows in frame.groupby("claim", sort=False):
        used = [runs[run_id] for run_id in _run_ids(rows)]
        (folder / profile / f"{name}.md").write_text(claim_page(claims[name], profile, rows, used))
        if used:
            counts(used).to_csv(folder / profile / f"{name}-counts.csv", index=False)
        first = rows.iloc[0]
        lines.append(f"| [{name}: {first['text']}]({profile}/{name}.md) | {first['source']} | {first['verdict']} |")
    pages = [f"{profile}/{name}" for name in dict.fromkeys(frame["claim"])]
    lines += ["", "```{toctree}", ":hidden:", "", *pages, "```", ""]
    (folder / f"{profile}.md").write_text("\n".join(lines))


def claim_page(claim: Claim, profile: str, rows: pd.DataFrame, runs: list[Run]) -> str:
    """rows: those of claims.csv, one per part. runs: the complete runs behind them."""
    source = claim.source.rstrip(".")  # "et al." ends in one
    text = f"# {claim.id}: {claim.text}\n\nVerdict: **{rows['verdict'].iloc[0]}**. The claim is from: {source}.\n"
    notebook = evidence(claim, profile)
    if claim.notebook and (root() / notebook).exists():  # that of a later claim may not be executed yet
        text += f"\nEvidence: [{claim.notebook}](../../{notebook}).\n"
    parts = rows.dropna(subset=["part"])
    if len(parts):
        shown = parts[list(COLUMNS)].rename(columns=COLUMNS).set_index("part").dropna(axis=1, how="all")
        text += "\n## Parts and rules\n\nDifferences are in mIoU points with 95 % intervals; costs are ratios."
        if (parts["levels"] == "images").any():
            text += " With one seed, an interval covers the sampling of images alone."
        text += "\n\n"
        text += readable(shown).to_markdown(disable_numparse=True) + "\n"
    if runs:
        file = f"{claim.id}-counts.csv"
        text += f"\n## Runs\n\n{_run_table(runs).to_markdown(index=False, disable_numparse=True)}\n"
        text += f"\nPixels of the test split by run and class, summed over images: [{file}]({file}).\n"
    return text


def counts(runs: list[Run]) -> pd.DataFrame:
    """One row per run and class: true positives, false positives and false negatives of the test split, in pixels."""
    rows = []
    for run in runs:
        summed = run.counts("test").counts.sum(0)  # (K, 3)
        names = class_table(run.config["data"]["dataset"]).classes
        rows += [(run.run_id, name, *map(int, row)) for name, row in zip(names, summed, strict=True)]
    return pd.DataFrame(rows, columns=["run", "class", "true_positive", "false_positive", "false_negative"])


def _run_table(runs: list[Run]) -> pd.DataFrame:
    """One row per run; right and wrong: pixels of the test split."""
    rows = []
    for run in runs:
        summed = run.counts("test").counts.sum((0, 1))  # (3,): over images and classes
        rows.append({
            "run": f"`{run.run_id}`", "arm": run.arm, "overrides": " ".join(run.overrides or ()), "seed": run.seed,
            "test mIoU": f"{100 * run.metrics['test']['miou']:.2f}",
            "right pixels": f"{summed[0]:,}", "wrong pixels": f"{summed[2]:,}",
        })  # fmt: skip
    table = pd.DataFrame(rows)
    return table if (table["overrides"] != "").any() else table.drop(columns="overrides")


def _run_ids(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(run_id for text in rows["runs"].dropna() for run_id in text.split()))
