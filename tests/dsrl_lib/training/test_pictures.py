"""The pictures of a validation show what evaluation counts, and change nothing."""

from dataclasses import replace

import numpy as np
import torch
from tiny_runs import tiny

from dsrl_lib import metrics, network
from dsrl_lib.data.class_tables import CITYSCAPES, colourise
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.training.pictures import validation_pictures


def test_pictures_are_those_of_the_first_val_frame_and_change_nothing():
    config = replace(tiny("sssr_sisr"), warm_start=None)
    model, split = network.build(config).train(), load_split("streets", "val")
    before, rng = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    made = validation_pictures(model, split, config)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(rng, torch.get_rng_state())
    assert {name: pixels.shape for name, pixels in made.items()} == {
        "input": (16, 32, 3), "prediction": (128, 256, 3), "truth": (128, 256, 3), "reconstruction": (32, 64, 3),
    }  # fmt: skip
    assert {pixels.dtype for pixels in made.values()} == {np.dtype(np.uint8)}
    assert (made["truth"] == colourise(split.labels[0], CITYSCAPES)).all()

    alone = replace(split, names=split.names[:1], sequences=split.sequences[:1], images=split.images[:1],
                    labels=split.labels[:1])  # fmt: skip
    counts = evaluate(model, alone, config, details=False).counts[0]
    ids = np.full((128, 256), 255, np.uint8)
    for k, colour in enumerate(CITYSCAPES.colours):
        ids[(made["prediction"] == colour).all(-1)] = k
    assert (metrics.counts(ids, split.labels[0], 19) == counts).all()
    assert "reconstruction" not in validation_pictures(network.build(tiny("sssr")), split, tiny("sssr"))
