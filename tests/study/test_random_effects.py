"""The interval over seeds and blocks: against formulas by hand, and its coverage at the study's own variances."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from study.evidence import Study
from study.statistics.coverage import agreeing_coverage, bootstrap_coverage, random_effects_coverage, simulated
from study.statistics.random_effects import Variances, detectable, interval, pseudo_values
from study.statistics.scores import mean_iou

# Variance components of the committed contrasts of CamVid, points squared: name, seeds, v_seed, v_block, v_both.
STUDY = (
    ("C1 dsrl - lr", 5, 0.244, 0.741, 1.403),
    ("C2 sssr_long - lr", 5, 0.014, 0.115, 0.920),
    ("C2 sssr_sisr_long - sssr_long", 5, 0.267, 0.016, 1.829),
    ("C2 dsrl - sssr_sisr_long", 5, 0.0, 0.053, 0.138),
    ("C4 dsrl - mac_matched", 3, 0.180, 3.945, 4.506),
    ("C5 small_input", 3, 0.0, 1.509, 5.679),
    ("C6 second_host", 3, 1.967, 0.0, 6.224),
    ("C12 dsrl - sisr_frozen", 3, 0.606, 0.0, 1.608),
    ("C15 sssr_long - sssr_random", 3, 0.814, 28.45, 3.057),
    ("bilinear - lr", 5, 0.0, 0.0, 0.725),
)
BLOCKS = 23


@pytest.mark.parametrize(("name", "seeds", "seed", "block", "both"), STUDY)
def test_the_interval_holds_the_truth_in_95_of_100_studies(name, seeds, seed, block, both):
    variances = Variances(seed, block, both, seeds, BLOCKS)
    assert random_effects_coverage(variances) == pytest.approx(95, abs=1.5), name


def test_without_an_effect_of_blocks_it_is_the_t_interval_of_the_seeds():
    values = np.random.default_rng(0).normal(3, 1, (4, 1)) + np.zeros((4, 6))
    values[:, 0] += 1e-9  # no variance between blocks
    found = interval([values])
    low, high = stats.t.interval(0.95, 3, values.mean(1).mean(), stats.sem(values.mean(1)))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert found.freedom == pytest.approx(3)


def test_mean_squares_equal_a_plain_analysis_of_variance():
    values = np.random.default_rng(1).normal(size=(3, 5)) + np.arange(3)[:, None] + np.arange(5)
    mean, seed, block = values.mean(), values.mean(1), values.mean(0)
    ms_seed = sum(5 * (m - mean) ** 2 for m in seed) / 2
    ms_block = sum(3 * (m - mean) ** 2 for m in block) / 4
    residual = [(values[s, b] - seed[s] - block[b] + mean) ** 2 for s in range(3) for b in range(5)]
    ms_both = sum(residual) / 8
    found = interval([values])
    assert found.error**2 == pytest.approx((ms_seed + ms_block - ms_both) / 15)
    assert found.variances.seed == pytest.approx((ms_seed - ms_both) / 5)
    assert found.variances.block == pytest.approx((ms_block - ms_both) / 3)
    assert found.variances.both == pytest.approx(ms_both)


def test_seeds_of_strata_are_independent_and_blocks_are_shared():
    variances = Variances(0.5, 2.0, 1.0, seeds=3, blocks=BLOCKS, strata=6)
    assert random_effects_coverage(variances) == pytest.approx(95, abs=1.5)
    strata = simulated(variances, 4000)
    means = np.mean([stratum.mean((0, 1)) for stratum in strata], axis=0)
    assert means.std() == pytest.approx(float(variances.error()), rel=0.05)


def test_the_bootstrap_is_too_wide_with_few_seeds():
    assert bootstrap_coverage(Variances(0.0, 0.5, 1.0, seeds=3, blocks=BLOCKS), studies=60) > 97


def test_pseudo_values_are_those_of_a_loop_over_left_out_blocks():
    counts = np.random.default_rng(2).integers(1, 50, (9, 4, 3)).astype(np.int32)
    blocks = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3])
    whole = 100 * mean_iou(counts.sum(0))
    for b in range(4):
        without = 100 * mean_iou(counts[blocks != b].sum(0))
        assert pseudo_values(counts, blocks)[b] == pytest.approx(4 * whole - 3 * without)


def test_seeds_that_would_settle_follow_from_the_variances():
    small = Variances(np.float64(0.25), np.float64(0.0), np.float64(0.0), seeds=3, blocks=BLOCKS)
    needed = small.seeds_for(1.0)
    effects = [(stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * 0.5 / np.sqrt(n) for n in (needed - 1, needed)]
    assert effects[1] <= 1.0 < effects[0]
    limited = Variances(np.float64(0.0), np.float64(10.0), np.float64(0.0), seeds=3, blocks=BLOCKS)
    assert limited.seeds_for(1.0) == float("inf")  # images limit it, not seeds
    assert limited.seeds_for(1.0, blocks=50 * BLOCKS) < 10


def test_the_seeds_of_a_design_settle_what_it_detects():
    """Where images vary too, the degrees of freedom are more than those of the seeds."""
    found = interval([np.random.default_rng(1).normal(size=(4, 1, 3)) + np.random.default_rng(2).normal(size=(1, 9, 3))
                      + np.random.default_rng(3).normal(size=(4, 9, 3))])  # fmt: skip
    for k in range(3):
        v = found.variances
        one = Variances(v.seed[k], v.block[k], v.both[k], v.seeds, v.blocks)
        effect = detectable(found.error[k], found.freedom[k])
        assert found.freedom[k] > 3 and one.seeds_for(effect * 1.001) == 4 and one.seeds_for(effect * 0.999) > 4


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="1 seeds and 6 blocks; an interval needs at least 2 of each"):
        interval([np.zeros((1, 6))])


def test_seeds_that_agree_by_chance_give_an_interval_that_is_too_narrow():
    values = np.array([[1.0, 5.0, 3.0], [2.0, 4.0, 6.0]])  # two seeds, three blocks
    left = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    by_hand = 3 * np.square(values.mean(1) - values.mean()).sum() / (np.square(left).sum() / 2)
    assert interval([values]).agreement == pytest.approx(by_hand)
    found = agreeing_coverage(3, 24)
    assert list(found) == ["0 to 0.1", "0.1 to 0.25", "0.25 to 0.5", "0.5 or more"]
    assert found["0 to 0.1"] < 75 < found["0.1 to 0.25"] < found["0.5 or more"]


def test_a_profile_whose_interval_is_that_of_random_effects_judges_with_it(monkeypatch):
    rng = np.random.default_rng(0)
    counts = {name: {s: rng.integers(1, 50, (40, 3, 3)) for s in range(3)} for name in ("a", "b")}
    drives = tuple(f"drive {i // 2}" for i in range(40))
    study = Study("idd", [])
    monkeypatch.setattr(Study, "seeds", lambda self, arms: {0, 1, 2})
    images = SimpleNamespace(images=tuple(map(str, range(40))))
    monkeypatch.setattr(Study, "select", lambda self, arm: [SimpleNamespace(arm=arm, counts=lambda split: images)])
    monkeypatch.setattr("study.evidence.counts_by_seed", lambda runs, what="counts": (counts[runs[0].arm], drives))
    found = study.difference("a", "b")
    values = [100 * (mean_iou(counts["a"][s].sum(0)) - mean_iou(counts["b"][s].sum(0))) for s in range(3)]
    assert found.estimate == pytest.approx(np.mean(values))
    own = study.random_effects([{"a": 1, "b": -1}], estimate=found.estimate)
    assert (found.low, found.high) == (own.low, own.high)
    old = study.bootstrap([{"a": 1, "b": -1}])
    assert (old.low, old.high) != (found.low, found.high)
    assert found.smallest_effect == pytest.approx(2.80 * own.error, rel=1e-3)
    assert found.detectable_effect > found.smallest_effect


def test_a_true_effect_of_the_detectable_size_is_found_in_four_studies_of_five():
    """By simulation, with three seeds: their mean, and a standard error with two degrees of freedom."""
    rng = np.random.default_rng(0)
    effect = float(detectable(np.array(1 / 3**0.5), np.array(2)))
    seeds = effect + rng.standard_normal((100_000, 3))
    half = stats.t.ppf(0.975, 2) * seeds.std(1, ddof=1) / 3**0.5
    assert (seeds.mean(1) > half).mean() == pytest.approx(0.80, abs=0.05)


def test_blocks_that_do_not_differ_leave_the_interval_of_the_seeds():
    found = interval([np.repeat([[1.0], [2.0], [4.0]], 5, axis=1)])  # (S, B)
    half = stats.t.ppf(0.975, 2) * np.std([1, 2, 4], ddof=1) / np.sqrt(3)
    assert [found.low, found.high] == pytest.approx([7 / 3 - half, 7 / 3 + half]) and found.agreement == np.inf
