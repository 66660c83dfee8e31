"""A pruned file can be opened, whatever its run was trained with."""

import pytest
import torch
from tiny_runs import tiny

from dsrl_lib import network
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.deploy.prune import prune, without_branches
from dsrl_lib.deploy.rounding import round_kernels
from dsrl_lib.evaluation import cost
from dsrl_lib.models.downsampling.downsampler import without_labels
from study.arms import ARMS
from study.presets import preset


@pytest.mark.parametrize(
    ("arm", "settings"),
    [
        ("sssr_sisr", ("loss.share_sisr=0.1", "optim.epochs=2", "optim.sisr_warmup=1")),
        ("dsrl", ("loss.share_fa=0.3", "model.sisr_residual=true", "model.sisr_taps=input")),
        ("dsrl", ("loss.fa_form=dootmaan", "model.fa_placement=output", "model.ftm=to3")),
        ("dsrl", ("model.sisr_frozen=true", "loss.sisr_target=noise")),
        ("dsrl", ("model.host=ddrnet23_slim_aux",)),
    ],
)
def test_a_pruned_file_opens_and_gives_the_same_logits(arm, settings, tmp_path):
    config = tiny(arm, *settings)
    network.save(network.build(config), config, tmp_path / "whole.safetensors")
    prune(tmp_path / "whole.safetensors", tmp_path / "pruned.safetensors")
    whole, small = (open_weights(tmp_path / f"{name}.safetensors")[0].eval() for name in ("whole", "pruned"))
    x = cost.example_input(config)
    with torch.inference_mode():
        assert small.sisr is None and torch.equal(small(x)["logits"], whole(x)["logits"])


def test_every_arm_can_be_pruned():
    for arm in ARMS:
        small = without_branches(preset("camvid", arm))
        assert not (small.model.sisr or small.model.fa)


@pytest.mark.parametrize(
    ("module", "change"), [("prune", "changed the logits by up to nan"), ("rounding", "in bfloat16 would change")]
)
def test_no_file_is_written_whose_logits_differ(module, change, tmp_path, monkeypatch):
    config = tiny("sssr", "optim.precision=bf16")
    network.save(network.build(config), config, tmp_path / "whole.safetensors")
    round_kernels(tmp_path / "whole.safetensors")
    if module == "prune":
        monkeypatch.setattr("dsrl_lib.deploy.prune._logits", lambda model, x: torch.tensor([float("nan")]))
    else:
        monkeypatch.setattr("dsrl_lib.deploy.rounding._outputs", lambda *_: {"logits": torch.rand(3)})
    with pytest.raises(RuntimeError, match=change):
        prune(tmp_path / "whole.safetensors", tmp_path / "small.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.safetensors"]


@pytest.mark.parametrize("arm", ["sssr", "adaptive_oracle"])
def test_a_pruned_file_can_be_pruned_again(tmp_path, arm):
    """Its batch norms stay folded, and the file says so, also for a network that has to be given locations."""
    config, files = tiny(arm), [tmp_path / f"{name}.safetensors" for name in ("whole", "folded", "again")]
    network.save(network.build(config), config, files[0])
    prune(files[0], files[1], fold=True)
    prune(str(files[1]), str(files[2]))
    folded, again = (without_labels(open_weights(str(file))[0].eval()) for file in files[1:])
    x = cost.example_input(config)
    with torch.inference_mode():
        assert torch.equal(again(x)["logits"], folded(x)["logits"])


def test_a_published_file_is_refused_by_name(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"source = .*w.pth; allowed: a run, or a file of this library"):
        prune(tmp_path / "w.pth", tmp_path / "small.safetensors")
    assert not (tmp_path / "small.safetensors").exists()
