"""What the SISR branch restores, beside interpolation of the same input: by run, and by arm."""

import itertools
from typing import Any

import pandas as pd

from dsrl_lib.paths import results_dir
from dsrl_lib.records import read_json
from study.arms import FA_ARMS, FA_SHARE_ARMS, STAGE_ARMS
from study.catalogue import Run, input_key
from study.evidence import Study
from study.figures.arm_plots import INTERPOLATIONS


def quality(study: Study) -> pd.DataFrame:
    """SISR reconstruction on test, one row per run: arm, seed, PSNR (dB), SSIM, and those of interpolation.

    Arms without an image are left out. Runs that did not record the interpolations take them from interpolation.json
    (`study.interpolation`), and are blank without that.
    """
    known = interpolations(study.profile)
    names = ["psnr", "ssim", *(f"{name}_{method}" for name in ("psnr", "ssim") for method in INTERPOLATIONS)]
    rows = []
    for run in itertools.chain.from_iterable(map(study.select, study.arms)):
        found = restored(run, "test", known)
        rows.append({"arm": run.arm, "seed": run.seed} | {name: found.get(name) for name in names})
    table = pd.DataFrame(rows, columns=["arm", "seed", *names])
    return table.dropna(subset=["psnr", "ssim"]).reset_index(drop=True)


Interpolations = dict[str, dict[str, dict[str, float | None]]]
"""Input (`catalogue.input_key`) -> split -> such as "psnr_bicubic"."""


def interpolations(profile: str) -> Interpolations:
    """interpolation.json of a profile (`study.interpolation`); empty without one."""
    path = results_dir() / profile / "interpolation.json"
    return read_json(path, {"*": {"*": {"*": float | None}}}) if path.exists() else {}


def restored(run: Run, split: str, known: Interpolations) -> dict[str, Any]:
    """The scores of a run on a split, with those of interpolation from `known` if it did not record them itself."""
    return known.get(input_key(run.config), {}).get(split, {}) | run.metrics.get(split, {})


def quality_by_arm(study: Study) -> pd.DataFrame:
    """SISR reconstruction on test, one row per arm, means over seeds, beside interpolation of the same input."""
    heads = {"psnr": "PSNR (dB)", "ssim": "SSIM"}
    runs = quality(study)
    shown = {f"{heads[name]}, {how}": f"{name}_{how}" for name in heads for how in ("nearest", "bicubic")}
    shown = {heads["psnr"]: "psnr", heads["ssim"]: "ssim"} | shown
    found = runs.groupby("arm", sort=False)
    table = pd.DataFrame({title: found[name].mean() for title, name in sorted(shown.items())})
    table.insert(0, "seeds", found.size())
    return table[~table.index.isin(FA_ARMS + FA_SHARE_ARMS + STAGE_ARMS)].rename_axis("arm")
