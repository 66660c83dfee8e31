"""What 90_audit shows of an audit."""

import pandas as pd

from study.catalogue import SPLITS
from study.evidence import Study
from study.figures.notes import Answer, Note
from study.report import tables
from study.report.audit import COLUMNS, audit
from study.report.provenance import how_measured
from study.report.readable import readable
from study.report.results import results_frame

SHOWN = ("arm", "host", "seed", "overrides", "test_miou", "device", "dirty", "stale")


def audit_problems(study: Study) -> pd.DataFrame:
    """`audit` of the study's profile; no row without runs."""
    return audit(study.profile) if study.runs else pd.DataFrame(columns=COLUMNS)


def audit_answer(study: Study, problems: pd.DataFrame) -> Answer:
    """How many problems and warnings the audit found, in one sentence."""
    fatal = int(problems["fatal"].sum())
    found = f"{fatal} problems, {len(problems) - fatal} warnings" if study.runs else "nothing to audit"
    return Answer(f"**Audit of {len(study.runs)} runs of profile {study.profile}: {found}.**")


def recomputed(study: Study) -> Note:
    """How much the audit computed again."""
    images = sum(len(run.counts(split).images) for run in study.runs for split in SPLITS)
    return Note(
        f"{images} evaluated frames, {len(tables.files(study))} tables, results.csv, claims.csv"
        if images
        else "Nothing."
    )


def run_table(study: Study) -> Note:
    """One row per run: what it is, its test mIoU, and why it must not be reported, if so."""
    return readable_table(results_frame(study.runs)[list(SHOWN)]) if study.runs else how_measured(study)


def readable_table(table: pd.DataFrame) -> Note:
    """Any table of this package with its intervals and blanks written out."""
    return Note.table(readable(table)) if len(table) else Note("None.")
