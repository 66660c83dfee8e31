"""Costs against a count by hand, and the table of MAC-matched inputs against the networks themselves."""

import pytest
import torch
from torch import nn

from dsrl_lib import network, runs
from dsrl_lib.device import device_name
from dsrl_lib.evaluation import cost
from dsrl_lib.models.build import build_host
from dsrl_lib.models.downsampling.auxiliary import LocationNetwork
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.records import read_json, write_json
from study.latency import remeasure
from study.presets import MAC_MATCHED_SCALE, UNIFORM_MACS_SCALE, preset
from study.turns import read_turns


def macs_by_hooks(model, x):
    total = 0

    def count(module, inputs, output):
        nonlocal total
        kernel = module.kernel_size[0] * module.kernel_size[1]
        if isinstance(module, nn.ConvTranspose2d):
            total += inputs[0].numel() * module.out_channels // module.groups * kernel
        else:
            total += output.numel() * module.in_channels // module.groups * kernel

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    with torch.inference_mode():
        model(x)
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize("host", ["espnetv2_s0.5", "ddrnet23_slim"])
def test_macs_agree_with_a_count_by_layer(host):
    model = DSRL(build_host(host, 11), sisr=True, fa=True).eval()
    x = torch.randn(1, 3, 64, 96)
    assert cost.macs(model, x) == macs_by_hooks(model, x)


def test_the_released_head_adds_87_percent_to_espnetv2():
    host = build_host("espnetv2_s2.0", 20).eval()
    x = torch.randn(1, 3, 64, 128)
    added = cost.macs(DSRL(host).eval(), x) - cost.macs(host, x)
    assert added == 32 * 64 * 20 * 20 * 9 + 64 * 128 * 20 * 20 * 9  # (H/2)(W/2) K^2 9 + H W K^2 9
    assert added / cost.macs(host, x) == pytest.approx(0.87, abs=0.01)


def macs_of(arm: str, host: str, dataset: str) -> int:
    """Of one frame through the network of an arm; shapes alone, so a Cityscapes frame costs nothing."""
    profile = {"streets": "smoke", "idd_lite": "idd"}.get(dataset, dataset)
    config = preset(profile, arm, host, overrides=["model.pretrained=none"])
    return cost.macs(network.build(config).eval().to("meta"), cost.example_input(config).to("meta"))


@pytest.mark.parametrize(("host", "dataset"), MAC_MATCHED_SCALE)
def test_mac_matched_inputs_cost_what_host_and_head_cost(host, dataset):
    assert macs_of("mac_matched", host, dataset) == pytest.approx(macs_of("sssr", host, dataset), rel=0.02)


def test_the_scale_of_equal_macs_is_that_of_the_table():
    config = preset("camvid", "sssr", overrides=["model.pretrained=none"])
    scale = cost.mac_matched_scale(config, network.build(config))
    assert scale == pytest.approx(MAC_MATCHED_SCALE[config.model.host, "camvid"], abs=0.005)


@pytest.mark.parametrize(("host", "dataset"), UNIFORM_MACS_SCALE)
def test_the_uniform_rival_costs_no_less_than_host_and_auxiliary_network(host, dataset):
    auxiliary = cost.macs(LocationNetwork().eval().to("meta"), torch.randn(1, 3, 64, 64, device="meta"))
    least = macs_of("bilinear", host, dataset) + auxiliary
    assert least <= macs_of("uniform_macs", host, dataset) <= 1.08 * least


def test_measured_costs_are_ordered_and_pruning_is_exact():
    config = preset("smoke", "dsrl", overrides=["data.height=64", "data.width=128"])
    costs = cost.measure(network.build(config), config)
    assert costs["prune_bit_equal"] is True
    assert costs["input"] == [32, 64]
    for what in ("params", "macs"):
        assert costs[f"{what}_host"] < costs[f"{what}_pruned"] < costs[f"{what}_full"]
    assert all(costs[f"latency_ms_{name}"] > 0 for name in ("host", "pruned", "full"))
    # Logits at HR size in float32, and their copy after the arg-max's input: the least that must be alive at once.
    assert costs["peak_mib_pruned"] >= 64 * 128 * 19 * 4 / 2**20


def test_networks_are_compared_with_the_same_algorithms_of_cudnn():
    config = preset("smoke", "dsrl", overrides=["data.height=64", "data.width=128"])
    model, seen, cudnn = network.build(config), [], torch.backends.cudnn
    model.register_forward_pre_hook(lambda *_: seen.append((cudnn.enabled, cudnn.benchmark, cudnn.deterministic)))
    with cudnn.flags(enabled=True, benchmark=True):
        assert cost.prune_is_exact(model, cost.example_input(config), config)
        assert cudnn.benchmark and not cudnn.deterministic  # as before
    assert seen == 2 * [(True, False, True)]


def test_peak_memory_of_a_chain_by_hand():
    class Chain(nn.Module):
        def forward(self, x):
            y = x * 2  # 12 MiB
            z = y + 1  # 24 MiB alive
            del y
            return {"logits": z[:, :2] * 1}  # 12 + 8 MiB

    config = preset("smoke", "lr", overrides=["data.height=1024", "data.width=1024", "optim.precision=fp32"])
    peak = cost.activation_peak_mib(Chain(), torch.zeros(1, 3, 1024, 1024), config)
    assert peak == pytest.approx(24, abs=0.1)


@pytest.mark.parametrize("host", ["espnetv2_s0.5", "ddrnet23_slim"])
def test_macs_of_the_parts_add_up_to_the_whole(host):
    config = preset("smoke", "dsrl", host)
    model, x = network.build(config).eval(), torch.zeros(1, 3, 32, 64)
    parts = cost.macs_by_module(model, x)
    assert parts[""] == cost.macs(model, x)
    assert parts[""] == sum(parts[name] for name, _ in model.named_children())
    assert parts["host"] == cost.macs(DSRL(model.host, sssr=False).eval(), x)


def test_latencies_are_measured_again_once_for_all_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path))
    size = ["data.height=64", "data.width=128"]
    configs = [preset("smoke", *arm, overrides=size) for arm in (("lr", None, 0), ("lr", None, 1), ("sssr", None, 0))]
    here = device_name(torch.device("cpu"))
    for config in configs:
        runs.prepare(runs.folder(config), config)
        write_json(runs.folder(config) / "env.json", {"device": here, "threads": 1})
        stored = {"latency_ms_full": -1, "latency_ms_pruned": -1, "latency_ms_host": -1, "macs_full": 7}
        write_json(runs.folder(config) / "metrics.json", {"cost": stored, "val": {"miou": 0.5}})
    threads = torch.get_num_threads()
    assert remeasure("smoke", turns=1) == (3, 2)
    assert torch.get_num_threads() == threads
    first, second, head = (read_turns("smoke")[config.run_id] for config in configs)
    assert first == second
    for name in ("host", "pruned", "full"):
        assert min(first[f"latency_ms_{name}"][0], head[f"latency_ms_{name}"][0]) > 0
    for config in configs:  # a run keeps what it recorded
        kept = read_json(runs.folder(config) / "metrics.json")
        assert kept == {"cost": stored, "val": {"miou": 0.5}}
