"""What all data sets share: missing files, the command line, names."""

import sys
from pathlib import Path

import pytest

from dsrl_lib.config import Config, datasets
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import load_split
from dsrl_lib.overrides import override
from dsrl_lib.registry import DATASETS
from study.__main__ import main


@pytest.mark.parametrize("dataset", [name for name in DATASETS if not name.startswith(("streets", "moving", "camvid"))])
def test_missing_data_says_what_to_get_from_where(root: Path, dataset: str) -> None:
    with pytest.raises(DataError, match=r"https?://.*DSRL_DATA") as raised:
        load_split(dataset, "train")
    assert str(root / dataset.partition("_")[0]) in str(raised.value)


def test_the_command_line_takes_any_data_set(root: Path, results: Path, monkeypatch, capsys) -> None:
    for name, said in (("voc", "Get VOCtrainval_11-May-2012.tar"), ("kity", "allowed: streets, camvid, camvid_cv1")):
        arguments = ["study", "train", "--profile", "camvid", "--arm", "lr", "--set", f"data.dataset={name}"]
        monkeypatch.setattr(sys, "argv", arguments)
        assert main() == 1
        assert said in capsys.readouterr().err


def test_every_published_name_can_be_set_and_another_is_explained(root: Path) -> None:
    for name in DATASETS:
        assert override(Config(), "data.dataset", name).data.dataset == name
    with pytest.raises(ValueError, match=r"data.dataset = 'kity'; allowed: streets, .*kitti, .*classes.txt"):
        override(Config(), "data.dataset", "kity")
    assert datasets() == tuple(DATASETS)
