"""Which share of the gradient each auxiliary loss had in training: figure and table of 41_main_results, 24_controls."""

from collections.abc import Collection

import pandas as pd
from matplotlib.figure import Figure

from dsrl_lib.losses.terms import TERMS
from study.evidence import Study
from study.figures.notes import Note
from study.figures.share_charts import logged_shares, loss_name, share_curves
from study.profiles import PROFILES
from study.report.comparison import FULL_LENGTH
from study.report.histories import histories

NOTHING = Note("No run of this profile logged the shares of its losses.")


def share_chart(study: Study, arms: Collection[str] = FULL_LENGTH) -> Figure | Note:
    """Shares of the auxiliary losses in the gradient on the shared encoder, of these arms and their variants.

    An arm is drawn through all its stages.
    """
    shown = [arm for arm in _logging(study) if arm.partition("@")[0] in arms]
    return share_curves({arm: histories(study, arm) for arm in shown}) if shown else NOTHING


def share_table(study: Study, arms: Collection[str] | None = None) -> Note:
    """One row per arm: the shares after the first and after the last epoch of its last stage, means over seeds.

    Below it, the arms with an auxiliary loss whose runs did not log them. arms: those alone; all unless given.
    """
    rows: list[dict[str, object]] = []
    logging = [arm for arm in _logging(study) if arms is None or arm in arms]
    for arm in logging:
        own = [logged_shares(run.history) for run in study.select(arm)]
        row: dict[str, object] = {"arm": arm, "seeds": sum(map(bool, own))}
        for term in (term for term in TERMS if term != "ce"):
            curves = [shares[term] for shares in own if term in shares]
            if curves:
                first, last = (sum(100 * curve.iloc[end] for curve in curves) / len(curves) for end in (0, -1))
                row[f"{loss_name(term)}, first epoch"] = f"{first:.1f} %"
                row[f"{loss_name(term)}, last epoch"] = f"{last:.1f} %"
        rows.append(row)
    losses = [arm for arm in _with_auxiliary_losses(study) if arms is None or arm in arms]
    silent = [arm for arm in losses if arm not in logging]
    parts: list[str] = [Note.table(pd.DataFrame(rows).fillna(""))] if rows else [NOTHING]
    if silent:
        parts.append(f"Trained before the shares were logged: {', '.join(silent)}.")
    return Note("\n\n".join(parts))


def _with_auxiliary_losses(study: Study) -> list[str]:
    """Arms and variants with runs that have a loss beside cross entropy."""
    found = ((arm, study.select(arm)) for arm in [*study.arms, *PROFILES[study.profile].variant_arms])
    return [arm for arm, runs in found if runs and runs[0].config["model"]["sisr"]]


def _logging(study: Study) -> list[str]:
    arms = _with_auxiliary_losses(study)
    return [arm for arm in arms if any(logged_shares(run.history) for run in study.select(arm))]
