"""Which cells of the FA factorial have collapsed: no effect at equal share is averaged over them."""

from collections.abc import Mapping, Sequence

from study.claims.rules import load_rules
from study.evidence import Study
from study.factorial import cells, without_fa


def collapsed(study: Study, share: bool = False) -> list[str]:
    """Cells whose whole interval lies more than the smallest effect of interest below training without FA.

    share: of the factorial at equal share of the gradient.
    """
    interest = load_rules().interest
    found = {arm: study.difference(arm, without_fa(share)) for arm in cells(share)}
    return [arm for arm, value in found.items() if value is not None and value.high < -interest]


def without_collapsed(strata: Sequence[Mapping[str, float]], out: Sequence[str]) -> list[Mapping[str, float]]:
    """The contrasts in which no cell is one of `out`."""
    return [arms for arms in strata if not set(arms) & set(out)]
