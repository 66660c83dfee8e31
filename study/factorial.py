"""The FA factorial: its factors, its cells, and the contrasts between them.

share: of the factorial at equal share of the gradient, instead of the one with equal w2.
"""

from collections.abc import Sequence
from itertools import product

from study.arms import FA_ARMS, FA_NORMALISATIONS, FA_PLACEMENTS, FA_SHARE_ARMS, FTMS

FACTORS = {"placement": FA_PLACEMENTS, "ftm": FTMS, "normalisation": FA_NORMALISATIONS}


def main_effect(factor: str, levels: Sequence[str], share: bool = False) -> list[dict[str, float]]:
    """Contrasts levels[0] - levels[1] of one factor, one for every pair of levels of the other two."""
    if factor not in FACTORS or any(level not in FACTORS[factor] for level in levels):
        raise ValueError(f"unknown effect {factor} {list(levels)}; factors and levels: {FACTORS}")
    others = {name: values for name, values in FACTORS.items() if name != factor}
    return [
        {cell(**dict(zip(others, rest, strict=True)), **{factor: level}, share=share): sign
         for level, sign in zip(levels, (1.0, -1.0), strict=True)}
        for rest in product(*others.values())
    ]  # fmt: skip


def cell(placement: str, ftm: str, normalisation: str, share: bool = False) -> str:
    """The arm that is this cell of the FA factorial; the default cell is `dsrl` itself (at equal share: `dsrl_res`)."""
    if (placement, ftm, normalisation) == ("features", "keep", "norm"):
        return "dsrl_res" if share else "dsrl"
    return f"fa_{placement}_{ftm}_{normalisation}{'_share' if share else ''}"


def cells(share: bool = False) -> list[str]:
    """All cells of the FA factorial, the default one first."""
    return ["dsrl_res", *FA_SHARE_ARMS] if share else ["dsrl", *FA_ARMS]


def without_fa(share: bool = False) -> str:
    """The arm that trains without FA for as many updates as the cells do, from the same start."""
    return "sssr_sisr_res_long" if share else "sssr_sisr_long"
