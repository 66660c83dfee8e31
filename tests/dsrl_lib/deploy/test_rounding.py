"""Kernels in bfloat16: half the file, the same bits, for networks that compute in bfloat16 alone."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import tiny

from dsrl_lib import network
from dsrl_lib.deploy.pretrained import open_weights
from dsrl_lib.deploy.prune import prune
from dsrl_lib.deploy.rounding import round_kernels
from dsrl_lib.evaluation.forward import forward

FRAME = torch.randint(256, (3, 32, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def written(path: Path, precision: str, arm: str = "dsrl") -> Path:
    config = tiny(arm, f"optim.precision={precision}")
    network.save(network.build(config), config, path)
    return path


def outputs(path: Path) -> dict[str, list]:
    model, config = open_weights(path)
    return {name: value.tolist() for name, value in forward(model.eval(), FRAME, config).items()}


def types(path: Path) -> set[tuple[bool, torch.dtype]]:
    """Whether it is a kernel, and its type, of each tensor of floating-point numbers."""
    return {(tensor.dim() > 1, tensor.dtype) for tensor in load_file(path).values() if tensor.is_floating_point()}


ROUNDED = {(True, torch.bfloat16), (False, torch.float32)}


@pytest.mark.parametrize("fold", [False, True])
def test_the_same_bits_come_out_of_half_the_file(fold, tmp_path):
    path = written(tmp_path / "whole.safetensors", "bf16")
    if fold:
        prune(path, path := tmp_path / "pruned.safetensors", fold=True)
    before, size = outputs(path), path.stat().st_size
    assert types(path) == {(True, torch.float32), (False, torch.float32)}
    round_kernels(path)
    assert types(path) == ROUNDED and path.stat().st_size < 0.7 * size
    assert outputs(path) == before


def test_the_auxiliary_network_of_adaptive_downsampling_keeps_its_kernels(tmp_path):
    path = written(tmp_path / "whole.safetensors", "bf16", "adaptive")
    before = outputs(path)
    round_kernels(path)
    kernels = {key: tensor.dtype for key, tensor in load_file(path).items() if tensor.dim() > 1}
    assert all((kind == torch.float32) == key.startswith("downsampling.") for key, kind in kernels.items())
    assert torch.float32 in kernels.values() and outputs(path) == before


def test_a_network_that_computes_in_float32_keeps_its_kernels(tmp_path):
    path = written(tmp_path / "whole.safetensors", "fp32")
    before = path.read_bytes()
    round_kernels(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("fold", [False, True])
def test_a_rounded_file_is_pruned_to_a_smaller_rounded_file(fold, tmp_path):
    path, pruned = written(tmp_path / "whole.safetensors", "bf16"), tmp_path / "pruned.safetensors"
    round_kernels(path)
    prune(path, pruned, fold)
    assert types(pruned) == ROUNDED and pruned.stat().st_size < path.stat().st_size


def test_a_file_stays_if_a_part_computes_in_float32(tmp_path, monkeypatch):
    path = written(tmp_path / "whole.safetensors", "bf16")
    before = path.read_bytes()
    monkeypatch.setattr("dsrl_lib.deploy.rounding.autocast", lambda device, precision: nullcontext())
    with pytest.raises(RuntimeError, match=r"whole\.safetensors: kernels in bfloat16 would change logits"):
        round_kernels(path)
    assert path.read_bytes() == before
