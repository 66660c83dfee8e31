"""The bootstrap against a plain loop, against textbook variances, and by its coverage."""

import numpy as np
import pytest
from contrasts import difference, single
from scipy.stats import t

from dsrl_lib.metrics import iou, miou
from study.statistics.bootstrap import POWER80, Z95, contrast
from study.statistics.scores import Resamples, Scores, image_blocks, mean_iou, score

SEQUENCES = ["a"] * 7 + ["b"] * 12


def made_up(seeds, images=19, classes=3, seed=0, extra=()):
    rng = np.random.default_rng(seed)
    return {s: rng.integers(1, 50, (images, *extra, classes, 3)).astype(np.int32) for s in range(seeds)}


def scores_from(points, draws):
    """Scores of one arm from numbers: points (S,), draws (R, S)."""
    return Scores(tuple(range(len(points))), np.asarray(points), np.asarray(draws), images=20, blocks=20)


def test_blocks_are_neighbours_within_a_sequence():
    blocks = image_blocks(SEQUENCES, block=4)
    assert blocks.tolist() == [0] * 4 + [1] * 3 + [2] * 4 + [3] * 4 + [4] * 4
    assert np.bincount(image_blocks(["a"] * 62 + ["b"] * 171)).tolist()[:6] == [11, 11, 10, 10, 10, 10]
    assert image_blocks(["a", "b", "a"], block=10).tolist() == [0, 1, 0]  # sequences need not be contiguous


def test_each_of_many_short_drives_is_one_block():
    lengths = [1 + 29 * (k == 7) for k in range(20)]  # one of 30 frames, which alone would be three blocks
    drives = [f"drive{k}" for k, length in enumerate(lengths) for _ in range(length)]
    assert np.bincount(image_blocks(drives)).tolist() == lengths
    assert np.bincount(image_blocks(drives[1:])).tolist() == [1] * 6 + [10] * 3 + [1] * 12  # they are 19: not many
    assert image_blocks([*drives, "drive7"]).max() + 1 == 22  # one is not short


def test_scores_equal_a_plain_loop():
    counts = made_up(seeds=2)
    resamples = Resamples.of(SEQUENCES, block=4, resamples=50, seed=3)
    found = score(counts, resamples)
    for s in range(2):
        assert found.points[s] == pytest.approx(100 * miou(counts[s]))
        for r in range(50):
            drawn = []
            for b, times in enumerate(resamples.weights[r]):
                for _ in range(int(times)):
                    drawn += [counts[s][i] for i in range(19) if resamples.blocks[i] == b]
            assert found.draws[r, s] == pytest.approx(100 * miou(np.array(drawn)))


def test_every_resample_has_as_many_blocks_as_the_split():
    resamples = Resamples.of(SEQUENCES, block=4, resamples=100)
    assert (resamples.weights.sum(1) == 5).all()
    assert np.array_equal(resamples.weights, Resamples.of(SEQUENCES, block=4, resamples=100).weights)
    assert np.allclose(Resamples.of(SEQUENCES, block=4, resamples=20_000).weights.mean(0), 1, atol=0.03)


def test_interval_equals_a_plain_loop():
    a, b = made_up(seeds=4, seed=1), made_up(seeds=4, seed=2)
    resamples = Resamples.of(SEQUENCES, block=4, resamples=4000)
    found = difference(score(a, resamples), score(b, resamples))
    rng = np.random.default_rng(9)
    blocks, stretch = resamples.blocks, np.sqrt(4 / 3) * t.ppf(0.975, 3) / Z95
    values = []
    for _ in range(4000):
        drawn = np.concatenate([np.flatnonzero(blocks == k) for k in rng.integers(0, 5, 5)])
        each = np.array([100 * (miou(a[s][drawn]) - miou(b[s][drawn])) for s in range(4)])
        values.append(each.mean() + stretch * (rng.choice(each, 4).mean() - each.mean()))
    assert found.estimate == pytest.approx(100 * np.mean([miou(a[s]) - miou(b[s]) for s in range(4)]))
    low, high = np.percentile(values, [2.5, 97.5])
    width = high - low
    assert found.low == pytest.approx(low, abs=0.06 * width)
    assert found.high == pytest.approx(high, abs=0.06 * width)
    assert found.smallest_effect == pytest.approx(2.80 * np.std(values), rel=0.05)


def test_known_variances():
    rng = np.random.default_rng(0)
    points, image_error = np.array([1.0, 2.0, 4.0, 5.0]), rng.normal(0, 0.3, 50_000)
    only_seeds = single(scores_from(points, np.tile(points, (50_000, 1))))
    half = t.ppf(0.975, 3) * points.std(ddof=1) / 2  # the textbook interval
    assert only_seeds.sd_seed == pytest.approx(points.std(ddof=1))
    assert Z95 / POWER80 * only_seeds.smallest_effect == pytest.approx(half, rel=0.02)
    both = single(scores_from(points, points + image_error[:, None]))
    assert both.smallest_effect == pytest.approx(2.80 * np.hypot(half / Z95, 0.3), rel=0.02)
    one = single(scores_from([3.0], 3.0 + image_error[:, None]))
    assert (one.low, one.high) == pytest.approx((3 - 1.96 * 0.3, 3 + 1.96 * 0.3), rel=0.02)
    assert one.levels == ("images",) and np.isnan(one.sd_seed) and both.levels == ("seeds", "images")


def test_strata_average_and_pool_their_degrees_of_freedom():
    rng = np.random.default_rng(1)
    points = rng.normal(0, 1, (6, 2))
    arms = [scores_from(p, np.tile(p, (20_000, 1))) for p in points]
    found = contrast(*([(1.0, arm)] for arm in arms))
    error = np.sqrt((points.var(1, ddof=1) / 2).sum()) / 6
    assert found.estimate == pytest.approx(points.mean())
    assert found.per_seed == pytest.approx(points.mean(0))
    assert Z95 / POWER80 * found.smallest_effect == pytest.approx(t.ppf(0.975, 6) * error, rel=0.03)


def test_coverage_is_near_nominal():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(400):  # 3 seeds and 20 independent images, the two sources about equal
        points, images = rng.normal(0, 1, 3), rng.normal(0, 2.5, 20)
        weights = rng.multinomial(20, np.full(20, 0.05), size=400) / 20
        scores = scores_from(points + images.mean(), (weights @ images)[:, None] + points)
        found = contrast([(1.0, scores)], seed=trial)
        hits += found.low <= 0 <= found.high
    assert 0.91 <= hits / 400 <= 0.99


def test_equal_arms_differ_by_exactly_zero():
    counts, resamples = made_up(seeds=3), Resamples.of(SEQUENCES, resamples=200)
    found = difference(score(counts, resamples), score(counts, resamples))
    assert (found.estimate, found.low, found.high, found.smallest_effect) == (0, 0, 0, 0)


def test_pairing_uses_common_seeds_and_cancels_common_error():
    resamples = Resamples.of(SEQUENCES, block=2, resamples=500)
    a = made_up(seeds=4, seed=1)
    better = {s: a[s] + np.array([5, 0, 0]) for s in (1, 2, 3)} | {7: a[0]}
    found = difference(score(better, resamples), score(a, resamples))
    assert found.seeds == (1, 2, 3)
    assert found.high - found.low < single(score(a, resamples)).high - single(score(a, resamples)).low
    with pytest.raises(ValueError, match="share no seed"):
        difference(score({5: a[0]}, resamples), score(a, resamples))
    other = Resamples.of(SEQUENCES, resamples=400)
    with pytest.raises(ValueError, match="same resamples"):
        difference(score(a, resamples), score(a, other))
    with pytest.raises(ValueError, match="counts of 18 images, the resamples are of 19"):
        score({0: a[0][:18]}, resamples)


def test_absent_class_is_left_out_not_zero():
    counts = made_up(seeds=2)
    for values in counts.values():
        values[:, 2] = 0  # absent from truth and prediction
    resamples = Resamples.of(SEQUENCES, resamples=100)
    assert score(counts, resamples).points == pytest.approx(
        [100 * iou(values.sum(0))[:2].mean() for values in counts.values()]
    )
    by_class = single(score(counts, resamples, iou))
    assert np.isnan(by_class.estimate).tolist() == np.isnan(by_class.low).tolist() == [False, False, True]
    assert np.isnan(mean_iou(np.zeros((2, 3, 3)))).all()


def test_a_class_in_few_images_still_has_an_interval():
    counts = made_up(seeds=2)
    for values in counts.values():
        values[1:, 2] = 0
    by_class = single(score(counts, Resamples.of(SEQUENCES, block=1, resamples=500), iou))
    assert np.isfinite([by_class.low, by_class.high]).all()


def test_trimap_bands_are_scored_one_by_one():
    counts = made_up(seeds=3, extra=(4,))
    resamples = Resamples.of(SEQUENCES, resamples=100)
    together = single(score(counts, resamples))
    for band in range(4):
        alone = single(score({s: c[:, band] for s, c in counts.items()}, resamples))
        assert alone.estimate == pytest.approx(together.estimate[band])
        assert (alone.low, alone.high) == pytest.approx((together.low[band], together.high[band]))


def test_ten_thousand_resamples_are_the_default():
    sequences = ["a"] * 62 + ["b"] * 171
    a, b = (made_up(5, images=233, classes=11, seed=s) for s in (1, 2))
    resamples = Resamples.of(sequences)
    found = difference(score(a, resamples), score(b, resamples))
    assert len(resamples.weights) == 10_000 and found.blocks == 23
