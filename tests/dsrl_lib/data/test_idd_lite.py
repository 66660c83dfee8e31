"""IDD-lite: the rule of its splits, drives as sequences, the two layouts, and the real files if they are here."""

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from written_frames import save

from dsrl_lib.data.class_tables import CITYSCAPES, IDD_LITE
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.readers.idd_lite import val_drives
from dsrl_lib.data.split import SPLITS, list_frames, load_split
from dsrl_lib.paths import root as repository
from study.statistics.scores import image_blocks

REAL = Path(os.environ.get("DSRL_DATA") or "/nowhere", "idd_lite")


def listed() -> dict[tuple[str, int, str, str], str]:
    """(official split, drive, stem, kind) -> SHA-256, from the committed manifest."""
    sums = {}
    for line in (repository() / "data/manifests/idd_lite.sha256").read_text().splitlines():
        sha256, path = line.split(maxsplit=1)
        archive, folder, official, drive, name = path.split("/")
        kind = {"leftImg8bit": "_image.jpg", "gtFine": "_label.png"}[folder]
        assert archive == "idd20k_lite" and name.endswith(kind)
        sums[official, int(drive), name.removesuffix(kind), folder] = sha256
    return sums


def images() -> list[tuple[str, int]]:
    """Official split and drive of each image."""
    return [(official, drive) for official, drive, _, folder in listed() if folder == "leftImg8bit"]


def test_val_is_the_first_drives_of_train_in_the_order_of_their_hashes() -> None:
    number = Counter(drive for official, drive in images() if official == "train")
    order = sorted(number, key=lambda drive: hashlib.sha256(f"idd_lite drive {drive}".encode()).hexdigest())
    enough = next(k for k in range(len(order)) if sum(number[drive] for drive in order[:k]) >= 200)
    assert val_drives() == set(order[:enough])


def test_the_manifest_has_the_splits_and_no_drive_is_in_two() -> None:
    split_of = {"val": "test"}
    names = {split: [] for split in SPLITS}
    for official, drive in images():
        names[split_of.get(official, "val" if drive in val_drives() else "train")].append(drive)
    assert [len(names[split]) for split in SPLITS] == [1201, 202, 204]
    assert [len(set(names[split])) for split in SPLITS] == [259, 50, 61]
    assert len(set().union(*names.values())) == 370
    assert image_blocks([str(drive) for drive in names["test"]]).max() + 1 == 61
    assert len(listed()) == 2 * 1607


def test_only_sky_is_a_cityscapes_class() -> None:
    rows = dict(zip(IDD_LITE.classes, IDD_LITE.cityscapes_rows, strict=True))
    assert CITYSCAPES.classes[rows.pop("sky")] == "sky" and set(rows.values()) == {None}
    assert set(IDD_LITE.colours) < set(CITYSCAPES.colours) and len(set(IDD_LITE.colours)) == 7


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four frames of three drives in the published layout, with the instance maps that come with it."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    root, rng = tmp_path / "data/idd_lite", np.random.default_rng(0)
    ids = np.resize(np.array([*range(7), 255], np.uint8), (8, 16))
    held_out = min(val_drives())
    for official, drive, stem in (("train", 0, "7"), ("train", held_out, "12"), ("val", 30, "frame2"), ("val", 5, "3")):
        folder = f"{official}/{drive}/{stem}"
        save(root / f"idd20k_lite/leftImg8bit/{folder}_image.jpg", rng.integers(0, 256, (8, 16, 3), np.uint8))
        for kind in ("label", "inst_label"):
            save(root / f"idd20k_lite/gtFine/{folder}_{kind}.png", ids)
    save(root / "idd20k_lite/leftImg8bit/test/9/1_image.jpg", np.zeros((8, 16, 3), np.uint8))  # its labels are withheld
    return root


def test_the_published_layout_and_the_prepared_one_are_the_same_data(published: Path) -> None:
    before = {split: load_split("idd_lite", split) for split in SPLITS}
    held_out = f"{min(val_drives()):03}"
    assert before["train"].names == ["000_7"] and before["val"].names == [f"{held_out}_12"]
    assert before["test"].names == ["005_3", "030_frame2"] and before["test"].sequences == ["005", "030"]
    assert np.unique(before["test"].labels).tolist() == [*range(7), 255]
    for split, loaded in before.items():
        for name, sequence in zip(loaded.names, loaded.sequences, strict=True):
            stem = f"{'val' if split == 'test' else 'train'}/{int(sequence)}/{name.partition('_')[2]}"
            for kind, source in (("images", f"leftImg8bit/{stem}_image.jpg"), ("labels", f"gtFine/{stem}_label.png")):
                target = published / split / kind / f"{name}{Path(source).suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(published / "idd20k_lite" / source, target)
    shutil.rmtree(published / "idd20k_lite")
    for split, loaded in before.items():
        prepared = load_split("idd_lite", split)
        assert (prepared.names, prepared.sequences) == (loaded.names, loaded.sequences)
        assert prepared.manifest_hash == loaded.manifest_hash


def test_what_is_missing_is_said(published: Path) -> None:
    label = published / "idd20k_lite/gtFine/train/0/7_label.png"
    label.unlink()
    with pytest.raises(DataError, match=r"image .*/0/7_image.jpg has no label map: looked for .*/0/7_label.png"):
        load_split("idd_lite", "train")
    shutil.copytree(published / "idd20k_lite/leftImg8bit/train/0", published / "idd20k_lite/leftImg8bit/train/3 (copy)")
    with pytest.raises(DataError, match=r"train/3 \(copy\) is no drive; allowed: folders named by a number"):
        load_split("idd_lite", "train")
    shutil.rmtree(published / "idd20k_lite/leftImg8bit/val")
    with pytest.raises(DataError, match=r"IDD-lite split 'test' is empty: no <drive>/\*_image.jpg of it in .*/val"):
        load_split("idd_lite", "test")
    shutil.rmtree(published)
    with pytest.raises(DataError, match=r"idd_lite/train/images. Get IDD-Lite from https://idd.insaan.iiit.ac.in/"):
        load_split("idd_lite", "train")


def test_an_image_of_another_kind_is_refused(published: Path) -> None:
    drive = published / "idd20k_lite/leftImg8bit/train/0"
    for name in ("7_image.png", ".8_image.png", "notes_image.txt"):  # a copy, hidden, and no picture
        (drive / name).write_bytes(b"")
    assert load_split("idd_lite", "train").names == ["000_7"]
    (drive / "8_image.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot read image .*/0/8_image\.png; allowed: files that end in _image\.jpg"):
        load_split("idd_lite", "train")


@pytest.mark.skipif(not REAL.is_dir(), reason="DSRL_DATA has no idd_lite")
def test_the_real_files_are_those_of_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path))
    sums, hashes = listed(), []
    for split in SPLITS:
        loaded = load_split("idd_lite", split)
        assert loaded.images.shape[1:] == (227, 320, 3) and set(np.unique(loaded.labels)) <= {*range(7), 255}
        for frame in list_frames("idd_lite", split):
            key = ("val" if split == "test" else "train", int(frame.sequence), frame.name.partition("_")[2])
            for path, folder in ((frame.image, "leftImg8bit"), (frame.label, "gtFine")):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sums.pop((*key, folder))
        hashes.append(loaded.manifest_hash[:12])
    assert sums == {} and hashes == ["4a00b1cad80a", "0d1333a2c828", "98cf2ab0c454"]
