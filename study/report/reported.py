"""What the paper and the public implementations report for the quantities that the study measures."""

from dataclasses import dataclass

import pandas as pd

from study.claims.judge import judge
from study.evidence import Study
from study.figures.notes import words


@dataclass(frozen=True)
class Reported:
    """One quantity and what each source says about it; all are single runs on Cityscapes val."""

    quantity: str
    claims: str
    contrast: tuple[str, str] | None
    """Our arms, first minus second; None for a main effect, which the claim itself measures."""
    paper: str = "–"
    sanje2v: str = "–"
    dootmaan: str = "–"


# paper: abstract of Wang et al., CVPR 2020, and the README of github.com/Xilinx/DSRL (ESPNetv2, 256x512 and
# 512x1024 input). sanje2v, Dootmaan: the README tables of their repositories. In Dootmaan's the SISR decoder and the
# FTM are not in the optimiser; in sanje2v's the FA loss is no smaller for equal maps than for unrelated ones.
REPORTED = (
    Reported("DSRL − LR baseline", "C1", ("dsrl", "lr"), "at least 2; +5.78 and +2.06", "no baseline", "+1.18"),
    Reported("SSSR − LR baseline", "C2", ("sssr_long", "lr"), "it adds", "no baseline", "–"),
    Reported("+ SISR", "C2, C10", ("sssr_sisr_long", "sssr_long"), "it adds", "+2.76", "−0.31"),
    Reported("+ FA", "C2, C10", ("dsrl", "sssr_sisr_long"), "it adds", "+0.37", "−4.13, later +1.49"),
    Reported("FA on outputs − on features", "C7", None, "on features", "–", "on outputs, other changes at once"),
    Reported("FTM to 3 channels − keeping all", "C8", None, "not said", "1 channel", "−6.62, later the default"),
    Reported("FA raw − normalised", "C9", None, "normalised", "normalised otherwise", "normalising \"a disaster\""),
)  # fmt: skip


def side_by_side(study: Study) -> pd.DataFrame:
    """The paper, the public implementations, and this study: mIoU points, with the claims' verdicts."""
    rows, verdicts = [], judge(study)
    for row in REPORTED:
        ids = row.claims.split(", ")
        value = study.difference(*row.contrast) if row.contrast else verdicts[ids[0]].findings[0].measured
        rows.append({
            "quantity": row.quantity,
            "paper": row.paper,
            "sanje2v": row.sanje2v,
            "Dootmaan": row.dootmaan,
            "this study": "not run" if value is None else words(value),
            "verdict": ", ".join(f"{name} {verdicts[name].verdict}" for name in ids),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("quantity")
