"""Class-uniform sampling in training: the settings reach the batches; a resumed run and other workers see the same."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import tiny

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.split import load_split
from dsrl_lib.overrides import override, override_all
from dsrl_lib.training import loop
from dsrl_lib.training.batches import batches, training_set
from dsrl_lib.training.fit import fit

CPU = torch.device("cpu")
SAMPLED = ("data.class_uniform=0.9", "data.class_tile=64")


def sampled(*overrides):
    return override_all(tiny("bilinear"), (*SAMPLED, *overrides)).checked()


@pytest.fixture(scope="module")
def streets():
    return load_split("streets", "train")


def test_samples_are_those_of_the_composition_and_show_their_class(streets):
    config = sampled("data.height=128", "data.width=256", "data.scale_min=1")  # crops of 32 x 64, not resized
    dataset = TrainingSet(streets, config.data, config.seed, config.model.input_scale)
    draws = [dataset.draw((3, place)) for place in range(len(streets))]
    assert draws == dataset.sampler.compose(config.seed, 3)
    drawn_for = Counter(draw.label for draw in draws)
    each = int(0.9 * 64) // (len(drawn_for) - 1)
    assert set(drawn_for.values()) == {each, 64 - each * (len(drawn_for) - 1)} and len(drawn_for) > 10
    shown = [draw.label in dataset[3, place]["labels"] for place, draw in enumerate(draws) if draw.label is not None]
    assert all(shown)
    twice = [place for place, draw in enumerate(draws) if sum(draw.frame == other.frame for other in draws) > 1]
    assert twice and len({dataset[3, place]["hr"].numpy().tobytes() for place in twice}) == len(twice)


def test_a_resumed_run_sees_the_same_crops_with_any_number_of_workers(streets):
    config = sampled("optim.epochs=2", "optim.schedule_epochs=2", "loss.segmentation=relaxed",
                     "loss.relax_control=moved")  # fmt: skip
    steps = len(streets) // config.optim.batch_size
    last = range(steps - 1, steps + 1)  # one in each epoch
    whole = list(batches(training_set(streets, config), config, range(2 * steps), 0, CPU, 0))[last.start : last.stop]
    for workers in (0, 2):
        resumed = batches(training_set(streets, config), config, last, 0, CPU, workers)
        for one, two in zip(whole, resumed, strict=True):
            assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_the_boost_gives_coarse_frames_until_its_last_epoch(tmp_path, monkeypatch, streets):
    """The coarse data set: white images with one class each, 13 and 17, and void around."""
    folder = tmp_path / "data" / "coarse"
    for kind in ("images", "labels"):
        (folder / "train" / kind).mkdir(parents=True)
    for index, label in enumerate((13, *(24 * [17]))):
        Image.new("RGB", (256, 128), "white").save(folder / f"train/images/{index}.png")
        ids = np.full((128, 256), 255, np.uint8)
        ids[40:80, 60:200] = label
        Image.fromarray(ids).save(folder / f"train/labels/{index}.png")
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    (folder / "classes.txt").write_text("\n".join(f"class {number}" for number in range(19)))
    settings = ("data.boost_dataset=coarse", "data.boost_classes=17", "data.boost_epochs=2")
    with pytest.raises(ValueError, match=r"data.boost_dataset = 'coarse'; .* the classes of streets"):
        loop.RunState(sampled(*settings), streets, CPU)
    (folder / "classes.txt").write_text("\n".join(class_table("streets").classes))
    config = sampled(*settings)
    dataset = TrainingSet(streets, config.data, 0, config.model.input_scale)
    for epoch, expected in ((0, True), (1, True), (2, False)):
        coarse = [place for place in range(64) if dataset.draw((epoch, place)).frame >= 64]
        assert bool(coarse) == expected
        for place in coarse:
            assert dataset.draw((epoch, place)).label == 17 and dataset.draw((epoch, place)).frame > 64
            sample = dataset[epoch, place]
            assert set(sample["labels"].unique().tolist()) <= {17, 255} and 17 in sample["labels"]
            assert sample["hr"][:, sample["labels"] == 17].float().std(1).max() < 1  # white, of some brightness
    before = loop.RunState(config, streets, CPU).state_dict()
    Image.new("RGB", (256, 128), "black").save(folder / "train/images/0.png")
    with pytest.raises(ValueError, match="files of coarse train have changed since it was written"):
        loop.RunState(config, streets, CPU).load_state_dict(before)


def test_a_run_makes_its_samples_once(results, monkeypatch):
    """Also those of a run that measures gradients: a boost set is large."""
    config = override_all(tiny("dsrl"), (*SAMPLED, "data.boost_dataset=streets_coarse", "data.boost_classes=17"))
    made, init = [], TrainingSet.__init__
    monkeypatch.setattr(TrainingSet, "__init__", lambda self, *given: made.append(given) or init(self, *given))
    fit(replace(config, warm_start=None).checked(), device="cpu", progress=False)
    assert len(made) == 1


def test_what_does_not_fit_is_refused_before_a_run_begins(streets):
    with pytest.raises(ValueError, match=r"share = 0.05 of 64 frames is less than one for each of"):
        loop.RunState(override(sampled(), "data.class_uniform", 0.05), streets, CPU)
    with pytest.raises(ValueError, match=r"data.boost_dataset = 'nowhere'; allowed: streets, "):
        sampled("data.boost_dataset=nowhere")
