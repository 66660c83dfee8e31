"""Other analyses of the same runs: against the judge with another profile, and against the spread put into cells."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from made_up_runs import MadeUpRun

from study.arms import FA_ARMS
from study.claims.judge import judge
from study.evidence import Study
from study.profiles import PROFILES
from study.report.sensitivity import sensitivity, shared_seeds
from study.statistics.scores import Resamples


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=500))


def runs(noise=lambda arm, seed: 0.0):
    gains = {
        "lr": 0.0,
        "bilinear": 0.2,
        "sssr_long": 0.25,
        "sssr_sisr_long": 0.3,
        **dict.fromkeys(("dsrl", *FA_ARMS), 0.3),
    }
    return [MadeUpRun(arm, seed, 50 + gains[arm] + noise(arm, seed)) for arm in gains for seed in range(3)]


def test_the_other_interval_gives_the_verdicts_of_a_profile_that_has_it(monkeypatch):
    rng = np.random.default_rng(2)
    made_up = runs(noise=lambda arm, seed: rng.normal(0, 0.15))
    shown = sensitivity([Study("camvid", made_up)]).set_index("Claim")["with the other interval"]
    old = {name: found.verdict for name, found in judge(Study("camvid", made_up)).items()}
    monkeypatch.setitem(PROFILES, "camvid", replace(PROFILES["camvid"], interval="random effects"))
    new = {name: found.verdict for name, found in judge(Study("camvid", made_up)).items()}
    changed = {name: new[name] for name in old if new[name] != old[name]}
    assert changed and shown[shown != ""].to_dict() == changed


def test_a_spread_that_all_cells_of_a_seed_share_counts_once_per_seed():
    by_seed = [0.0, 1.0, 2.0]
    raw = [arm for arm in FA_ARMS if "raw" in arm]
    study = Study("camvid", runs(noise=lambda arm, seed: by_seed[seed] * (arm in raw)))
    (part,) = judge(study)["C9"].claim.parts  # raw minus norm, in six pairs of cells
    independent, shared = study.contrast(part.strata()), shared_seeds(study, part.strata(), "miou")
    assert len(part.strata()) == 6 and shared.estimate == pytest.approx(independent.estimate)
    assert shared.sd_seed == pytest.approx(1.0, abs=0.1)  # the standard deviation of 0, 1, 2
    widths = [found.high - found.low for found in (shared, independent)]
    assert widths[0] > 2 * widths[1]
