"""Moving streets: six data sets with the same frames by name, which differ in what stands beside the labelled frame."""

import numpy as np
import pytest

import streets
from dsrl_lib.data.readers import moving
from dsrl_lib.data.split import SPLITS, Split, load_split
from dsrl_lib.metrics import VOID

SIZE = {"height": 64, "width": 128}
LENGTH = 2 * moving.STEPS + 1
WAYS = ("one", "true", *moving.PROPAGATED)


@pytest.fixture(scope="module", autouse=True)
def few_scenes(tmp_path_factory):
    """Four small videos and two small single frames, drawn into a cache of their own."""
    write = streets.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSRL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(streets, "write", lambda root, **how: write(root, **how, **SIZE))
        patch.setattr(moving, "VIDEOS", {"train": 4})
        patch.setattr(moving, "STILLS", {"val": 1, "test": 1})
        yield


@pytest.fixture(scope="module")
def known(few_scenes) -> dict[str, Split]:
    """Those that need no optical flow."""
    return {way: load_split(f"moving_{way}", "train") for way in ("one", "true", "exact")}


@pytest.fixture(scope="module")
def train(known) -> dict[str, Split]:
    pytest.importorskip("cv2", reason="OpenCV is optional")
    return {way: known.get(way) or load_split(f"moving_{way}", "train") for way in WAYS}


def agreement(split: Split, truth: Split) -> float:
    """Share of the pixels labelled in both that agree, over the frames that are not labelled by hand."""
    beside = [i for i in range(len(truth)) if i % LENGTH != moving.STEPS]
    a, b = np.asarray(split.labels)[beside], np.asarray(truth.labels)[beside]
    return float((a == b)[(a != VOID) & (b != VOID)].mean())


@pytest.mark.parametrize("ways", ["known", "train"])
def test_all_have_the_same_names_and_the_same_labelled_frames(ways, request):
    splits = request.getfixturevalue(ways)
    true = splits["true"]
    assert len(true) == 4 * LENGTH and len(set(true.sequences)) == 4
    for split in splits.values():
        assert split.names == true.names and split.sequences == true.sequences
        for i in range(moving.STEPS, len(true), LENGTH):
            assert np.array_equal(split.images[i], true.images[i]) and np.array_equal(split.labels[i], true.labels[i])
    assert len({split.manifest_hash for split in splits.values()}) == len(splits)


def test_true_and_repeated_frames_are_those_of_the_scenes(known):
    for i in (0, LENGTH + 1):
        image, ids = streets.scene(0, "train", i // LENGTH, i % LENGTH, **SIZE)
        assert np.array_equal(known["true"].images[i], image)
        assert np.array_equal(known["true"].labels[i], streets.train_ids(ids))
        middle = i // LENGTH * LENGTH + moving.STEPS
        assert np.array_equal(known["one"].images[i], known["true"].images[middle])
        assert np.array_equal(known["one"].labels[i], known["true"].labels[middle])


def test_labels_moved_by_the_exact_motion_fit(known):
    assert agreement(known["exact"], known["true"]) > max(0.95, agreement(known["one"], known["true"]))


def test_propagated_labels_fit_and_those_of_shuffled_flows_do_not(train):
    fit = {way: agreement(split, train["true"]) for way, split in train.items()}
    assert fit["joint"] > fit["one"] and fit["shuffled"] < fit["joint"]
    assert np.array_equal(train["labels"].labels, train["joint"].labels)
    assert np.array_equal(train["labels"].images, train["true"].images)
    assert not np.array_equal(train["joint"].images, train["true"].images)


def test_the_frames_that_judge_are_the_same(known):
    for split in SPLITS[1:]:
        assert len({load_split(f"moving_{way}", split).manifest_hash for way in WAYS}) == 1
        assert not set(load_split("moving_one", split).names) & set(known["one"].names)


def test_half_a_data_set_is_not_left_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path))
    monkeypatch.setattr(streets, "flow", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_split("moving_exact", "train")
    assert not [path for path in tmp_path.glob("moving-*/*") if "exact" in path.name and path.is_dir()]
