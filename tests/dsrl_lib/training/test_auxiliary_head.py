"""DDRNet with its auxiliary head: it is trained with weight 0.4, and nothing of it is left after training."""

import json

import pandas as pd
import pytest
import torch
from tiny_runs import tiny
from torch import nn

from dsrl_lib import network
from dsrl_lib.config import Config
from dsrl_lib.deploy.prune import prune
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.start import start_from


@pytest.fixture(scope="module")
def config() -> Config:
    return tiny("bilinear", "model.host=ddrnet23_slim_aux")


def test_its_cross_entropy_counts_with_weight_0_4(config):
    torch.manual_seed(0)
    model = network.build(config).eval()
    frames = torch.randint(256, (2, 3, 64, 128), dtype=torch.uint8)
    batch = {"input": frames, "labels": torch.randint(19, (2, 128, 256), dtype=torch.uint8)}
    seen = {}
    model.host.seghead_extra.register_forward_hook(lambda module, args, logits: seen.update(logits=logits))
    terms = loss_terms(model, batch, config)
    logits = nn.functional.interpolate(seen["logits"], (128, 256), mode="bilinear", align_corners=False)
    expected = nn.functional.cross_entropy(logits, batch["labels"].long())
    torch.testing.assert_close(terms["aux"], 0.4 * expected, rtol=1e-4, atol=0)


def test_a_run_trains_it_and_its_pruned_file_is_of_the_host_without_it(config, trained, tmp_path):
    directory = trained(config)
    history = pd.read_csv(directory / "history.csv")
    assert (history["loss"] - history[["ce", "aux"]].sum(axis=1)).abs().max() < 1e-4 and (history["aux"] > 0).all()
    cost = json.loads((directory / "metrics.json").read_text())["cost"]
    assert cost["macs_pruned"] == cost["macs_host"] < cost["macs_full"]
    whole, small = prune(directory, tmp_path / "small.safetensors")
    assert small.parameters < whole.parameters
    opened, found = network.load(tmp_path / "small.safetensors")
    assert found.model.host == "ddrnet23_slim" and opened.host.seghead_extra is None
    again = start_from(network.build(config), tmp_path / "small.safetensors", config)  # and is trained on with it
    assert not again.unused and {key.split(".")[1] for key in again.missing} == {"seghead_extra"}
