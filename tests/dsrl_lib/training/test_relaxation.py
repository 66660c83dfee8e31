"""Label relaxation in training: bit-equal without borders, its switch-off epoch, borders that move."""

import copy

import torch
from tiny_runs import tiny

from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.split import load_split
from dsrl_lib.losses.allowed_sets import allowed_sets, several
from dsrl_lib.overrides import override_all
from dsrl_lib.training import loop
from dsrl_lib.training.batches import batches, training_set
from dsrl_lib.training.targets import moved_sets

CPU = torch.device("cpu")


def relaxed(*overrides):
    return override_all(tiny("bilinear"), ("loss.segmentation=relaxed", *overrides)).checked()


def test_relaxation_without_a_border_trains_bit_by_bit_as_cross_entropy_does():
    split, found = load_split("streets", "train"), []
    for config in (tiny("bilinear"), relaxed("loss.relax_border=0"), relaxed()):
        state = loop.RunState(config, split, CPU)
        terms = [loop.train_step(state, batch)[0] for batch in batches(state.samples, config, range(2), 0, CPU, 0)]
        found.append((terms, copy.deepcopy(state.network.state_dict())))
    (plain, weights), (without, same), (other, _) = found
    assert plain == without != other
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_relaxed_labels_end_with_their_last_epoch():
    config = relaxed("optim.epochs=3", "optim.schedule_epochs=5", "loss.relax_epochs=3")
    state = loop.RunState(config, load_split("streets", "train"), CPU)
    kinds = []
    for before, epoch in ((0, 0), (0, 2), (1, 1), (1, 2), (2, 1)):
        for step in (epoch * state.epoch_steps, (epoch + 1) * state.epoch_steps - 1):
            state.epochs_before, state.step = before, step
            kinds.append(state.weighted.loss.segmentation)
    assert kinds == 6 * ["relaxed"] + 4 * ["boundary"]


def test_borders_move_by_seed_epoch_and_sample_alone():
    config = relaxed("loss.relax_control=moved", "data.height=64", "data.crop_height=64")
    split = load_split("streets", "train")
    samples = training_set(split, config)
    first, second = batches(samples, config, range(2), 0, CPU, 0)
    (again,) = batches(samples, config, range(1, 2), 0, CPU, 0)
    assert torch.equal(again["sets"], second["sets"]) and first["sets"].dtype == torch.int32
    true = several(allowed_sets(first["labels"], 19)).sum((1, 2))
    assert torch.equal(several(first["sets"]).sum((1, 2)), true)
    dataset = TrainingSet(split, config.data, 3, config.model.input_scale)
    drawn = [moved_sets(dataset, key, config.loss) for key in ((0, 5), (0, 5), (1, 5), (0, 6))]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[3])
    assert torch.equal(dataset.labels((0, 5)), dataset[0, 5]["labels"])
    state = loop.RunState(config, split, CPU)
    assert 0 < loop.train_step(state, first)[0]["ce"] < 20
