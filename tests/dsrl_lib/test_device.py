"""Which device is taken, and what is said of a card that torch cannot use."""

import re
import warnings

import pytest
import torch

from dsrl_lib import device
from dsrl_lib.device import pick_device

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version: 12.3\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (dvs-builder@U16-T02-35-3)\n"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """driver(text): the NVIDIA driver of this machine says this of itself; until then there is none."""
    monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return (tmp_path / "version").write_text


def test_an_unknown_device_is_explained():
    with pytest.raises(ValueError, match="device = 'tpu'; allowed: auto, cpu, cuda"):
        pick_device("tpu")


@pytest.mark.parametrize(
    ("text", "cuda", "said"),
    [
        (CLOSED, "13.0", r"though NVIDIA's driver 535\.129\.03 is there\. torch \S+ is built for CUDA 13\.0: if"),
        (OPEN, None, r"though NVIDIA's driver 550\.54\.14 is there\. torch \S+ is built without CUDA: install one"),
        ("unheard of", None, r"though an NVIDIA driver is there\. torch"),
    ],
)
def test_a_card_that_torch_cannot_use_is_spoken_of(driver, monkeypatch, text, cuda, said):
    driver(text)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(ValueError, match=rf"device = 'cuda', but torch finds no CUDA device here, {said}"):
        pick_device("cuda")
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("default")  # as users have it
        assert [pick_device("auto").type for _ in range(2)] == ["cpu", "cpu"]
    assert len(given) == 1 and re.match(rf"the CPU is used: torch finds .*, {said}", str(given[0].message))
    assert pick_device("cpu").type == "cpu"  # silently: here every warning is an error


@pytest.mark.parametrize("hidden", [None, "", "-1"])
def test_nothing_is_said_of_a_card_that_is_absent_or_hidden(driver, monkeypatch, hidden):
    if hidden is not None:
        driver(CLOSED)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="torch finds no CUDA device here; allowed: auto, cpu"):
        pick_device("cuda")


@pytest.mark.parametrize(
    ("listed", "number", "names"),
    [
        (None, 3, ["0", "1", "2"]),
        ("2, 5", 2, ["2", "5"]),
        ("1,-1,0", 1, ["1"]),
        ("GPU-aa,MIG-bb", 2, ["GPU-aa", "MIG-bb"]),
        ("", 0, []),
    ],
)
def test_each_device_has_a_name_by_which_a_process_sees_it_alone(monkeypatch, listed, number, names):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert device.cuda_devices() == names


def test_a_card_that_torch_can_use_is_taken(driver, monkeypatch):
    driver(CLOSED)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [pick_device(name).type for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert device.why_no_cuda() == ""
