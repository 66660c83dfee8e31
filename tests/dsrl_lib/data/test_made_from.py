"""A propagated data set starts, is resized and is withheld as the published data set whose frames it has."""

import shutil

import numpy as np
import pytest
import torch
from written_frames import cycle, picture, save

from dsrl_lib import network
from dsrl_lib.data.class_tables import CAMVID, CITYSCAPES, class_table
from dsrl_lib.data.propagated_set import write_propagated
from dsrl_lib.data.propagation import FLOWS
from dsrl_lib.data.split import load_split
from dsrl_lib.data.transforms import frame_size
from dsrl_lib.models.build import build_host
from dsrl_lib.overrides import override
from dsrl_lib.own_data import OWN, dataset
from study.figures.photo import withheld
from study.presets import preset

HOST = "espnetv2_s0.5"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The data folder, and a flow that needs no OpenCV."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(FLOWS, "none", (lambda a, b: np.zeros((*a.shape[:2], 2), np.float32), lambda: None))
    return tmp_path / "data"


def propagated_camvid(data):
    """The data set `more`, from a CamVid of one labelled frame per split and the frame after that of train."""
    for i, split in enumerate(("train", "val", "test")):
        save(data / f"camvid/{split}/drive_{i}0.png", picture(i))
        save(data / f"camvid/{split}annot/drive_{i}0.png", cycle(*range(12)))
    for number in ("00", "01"):
        save(data.parent / f"video/drive_{number}.png", picture(int(number)))
    write_propagated("camvid", data.parent / "video", data / "more", flow="none")


def test_a_network_starts_as_for_the_data_set_it_was_made_from(data, tmp_path, monkeypatch):
    propagated_camvid(data)
    weights = tmp_path / "published.pth"
    torch.save(build_host(HOST, 20).state_dict(), weights)
    monkeypatch.setattr(network, "published_weights", lambda host, name: weights)
    config = preset("camvid", "bilinear", HOST)
    assert config.model.pretrained != "none"
    starts = [network.build(override(config, "data.dataset", name)).state_dict() for name in ("camvid", "more")]
    assert starts[0].keys() == starts[1].keys()
    assert all(torch.equal(value, starts[1][key]) for key, value in starts[0].items())
    (data / "more/made_from.txt").unlink()  # the names alone find six of the eleven rows
    alone = network.build(override(config, "data.dataset", "more")).state_dict()
    assert not all(torch.equal(value, alone[key]) for key, value in starts[0].items())


def test_it_has_the_classes_and_the_frames_of_that_data_set(data):
    propagated_camvid(data)
    table = class_table("more")
    assert table.name == "more" and table.classes == CAMVID.classes
    assert (table.colours, table.cityscapes_rows, table.label_ids) == (
        CAMVID.colours, CAMVID.cityscapes_rows, CAMVID.label_ids,
    )  # fmt: skip
    split = load_split("more", "train")
    assert split.names == ["drive_00", "drive_00_step+1"] and split.folder is not None  # decoded once, as camvid is
    assert np.array_equal(split.labels[0], load_split("camvid", "train").labels[0])
    assert len(load_split("more", "test")) == 1


def made_from(data, name, text, *classes):
    (data / name).mkdir(parents=True)
    (data / name / "classes.txt").write_text("\n".join(classes))
    (data / name / "made_from.txt").write_text(text)


def test_size_and_terms_go_on(data):
    made_from(data, "roads", "idd_lite\n", *class_table("idd_lite").classes)
    settings = ["data.height=224", "data.width=320"]
    sizes = [
        frame_size((227, 320), preset("idd", "lr", overrides=[f"data.dataset={name}", *settings]).data)
        for name in ("idd_lite", "roads")
    ]
    assert sizes == [(224, 320), (224, 320)]
    assert dataset("roads").withheld and "roads" in withheld("roads")._repr_markdown_()
    assert dataset("roads").reader == OWN.reader and dataset("roads").test_labels
    made_from(data, "city", "cityscapes", *CITYSCAPES.classes)
    assert class_table("city").label_ids == CITYSCAPES.label_ids and withheld("city") is None


def test_what_is_made_from_a_made_one_has_the_same_origin_and_your_own_has_none(data):
    propagated_camvid(data)
    save(data.parent / "other/drive_00.png", picture(0))  # no neighbours: the pairs are there already
    write_propagated("more", data.parent / "other", data / "again", flow="none")
    assert (data / "again/made_from.txt").read_text() == "camvid\n"
    (data / "again/made_from.txt").unlink()
    write_propagated("again", data.parent / "other", data / "own", flow="none")
    assert not (data / "own/made_from.txt").exists() and dataset("own") is OWN
    assert class_table("own").cityscapes_rows.count(None) == 5


def test_weights_say_what_their_data_set_was_made_from(data, tmp_path):
    propagated_camvid(data)
    config = preset("camvid", "lr", HOST, overrides=["data.dataset=more", "model.pretrained=none"])
    path = tmp_path / "w.safetensors"
    network.save(network.build(config), config, path)
    assert network.load(path)[1] == config
    (data / "more/made_from.txt").write_text("camvid_cv1")
    with pytest.raises(ValueError, match=r"made from camvid; .*more/made_from.txt names camvid_cv1; allowed: camvid"):
        network.load(path)
    shutil.rmtree(data / "more")
    with pytest.raises(ValueError, match=r"for each of Sky, .*, and made_from.txt beside it with the line camvid"):
        network.load(path)


def test_a_file_that_fits_nothing_is_explained(data):
    made_from(data, "more", "kamvid", *CAMVID.classes)
    with pytest.raises(RuntimeError, match=r"more/made_from.txt names 'kamvid'; allowed: one of streets, camvid, .*or"):
        class_table("more")
    (data / "more/made_from.txt").write_text("camvid")
    (data / "more/classes.txt").write_text("Sky\nBuilding\n")
    with pytest.raises(RuntimeError, match=r"more/classes.txt names Sky, Building; allowed with camvid in .*: its cl"):
        class_table("more")
    made_from(data, "vistas", "mapillary", "Road", "Sky")  # whose classes come with its files, which are not here
    with pytest.raises(RuntimeError, match=r"the class list .*mapillary/config.json cannot be read"):
        class_table("vistas")
