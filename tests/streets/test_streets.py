"""Street scenes: determinism, layout, valid labels, thin and rare classes, image and labels in step."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import streets
from dsrl_lib.data.class_tables import CITYSCAPES, VOID

SMALL = {"train": 2, "val": 1, "test": 1}
# sha256 of the decoded arrays of scene(seed=0, split="train", index=5). Changes with every change of a drawn
# pixel: raise VERSION then.
GOLDEN_RGB = "ee2f675a7c6d48686d8eab19cbb9ef0b2cd6310e60925ef1bc071ab6498a963d"
GOLDEN_IDS = "b1c00a37821d11added546bab86981c4870ffc6c741b702a16053e2c901e831c"


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def default_scenes() -> tuple[np.ndarray, np.ndarray]:
    """The default test split: RGB (24, 128, 256, 3) and train ids (24, 128, 256)."""
    images, labels = zip(*(streets.scene(0, "test", i) for i in range(24)), strict=True)
    return np.stack(images), streets.train_ids(np.stack(labels))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return streets.write(tmp_path_factory.mktemp("data") / "streets", images=SMALL, frames=2)


def test_scene_is_the_golden_one() -> None:
    rgb, ids = streets.scene(0, "train", 5)
    assert (digest(rgb), digest(ids)) == (GOLDEN_RGB, GOLDEN_IDS)


def test_scene_depends_on_every_key_and_on_nothing_else() -> None:
    arguments = [
        (0, "train", 1, 0),
        (1, "train", 1, 0),
        (0, "val", 1, 0),
        (0, "train", 2, 0),
        (0, "train", 1, 1),
    ]
    np.random.seed(1)  # the global generator plays no part
    first = [digest(streets.scene(*a, height=48, width=96)[0]) for a in arguments]
    np.random.seed(2)
    again = [digest(streets.scene(*a, height=48, width=96)[0]) for a in reversed(arguments)]
    assert first == again[::-1]
    assert len(set(first)) == len(arguments)


@pytest.mark.parametrize(("height", "width"), [(128, 256), (60, 100), (96, 90)])
def test_any_size(height: int, width: int) -> None:
    rgb, ids = streets.scene(3, height=height, width=width)
    assert (rgb.shape, rgb.dtype) == ((height, width, 3), np.uint8)
    assert (ids.shape, ids.dtype) == ((height, width), np.uint8)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match="split 'trian' is not one of train, val, test"):
        streets.scene(split="trian")


def test_layout(root: Path) -> None:
    expected = set()
    for split, city in (("train", "ashford"), ("val", "birchley"), ("test", "crestwood")):
        for index in range(SMALL[split]):
            for frame in range(2):
                stem = f"{split}/{city}/{city}_{index:06d}_{frame:06d}"
                expected.add(f"leftImg8bit/{stem}_leftImg8bit.png")
                expected.add(f"gtFine/{stem}_gtFine_labelIds.png")
                expected.add(f"gtFine/{stem}_gtFine_labelTrainIds.png")
    assert {str(p.relative_to(root)) for p in root.rglob("*.png")} == expected
    assert [p.name for p in root.parent.iterdir()] == [root.name]  # nothing partial is left


def test_files_hold_the_scene(root: Path) -> None:
    rgb, ids = streets.scene(0, "train", 1, 1)
    stem = "train/ashford/ashford_000001_000001"
    np.testing.assert_array_equal(read(root / f"leftImg8bit/{stem}_leftImg8bit.png"), rgb)
    np.testing.assert_array_equal(read(root / f"gtFine/{stem}_gtFine_labelIds.png"), ids)
    # The official mapping, written out by hand: labels.py of cityscapesScripts.
    official = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12}
    official |= {26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
    train_ids = read(root / f"gtFine/{stem}_gtFine_labelTrainIds.png")
    np.testing.assert_array_equal(train_ids, np.vectorize(lambda i: official.get(i, 255))(ids))


def test_write_again_changes_nothing(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*.png")}
    assert streets.write(root, images=SMALL, frames=2) == root
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*.png")}


def test_write_refuses_a_folder_of_something_else(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose another folder"):
        streets.write(root, seed=1, images=SMALL, frames=2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="files of another kind"):
        streets.write(tmp_path, images=SMALL)
    (tmp_path / "streets.json").write_text("{")
    with pytest.raises(ValueError, match=rf"{tmp_path} holds files of another kind, .* choose another folder"):
        streets.write(tmp_path, images=SMALL)
    with pytest.raises(ValueError, match="'trian'; allowed: train, val, test"):
        streets.write(tmp_path / "new", images={"trian": 1})


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streets.files.scene", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        streets.write(tmp_path / "streets", images=SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [64, 72])
def test_of_two_processes_that_write_one_folder_the_first_wins(tmp_path, monkeypatch, width: int) -> None:
    root, draw = tmp_path / "streets", streets.scene

    def meanwhile(*where, **size):
        monkeypatch.setattr("streets.files.scene", draw)
        streets.write(root, images={"val": 1}, height=32, width=64)
        return draw(*where, **size)

    monkeypatch.setattr("streets.files.scene", meanwhile)
    if width == 64:
        assert streets.write(root, images={"val": 1}, height=32, width=width) == root
    else:
        with pytest.raises(ValueError, match=r"'width': 64.* choose another folder"):
            streets.write(root, images={"val": 1}, height=32, width=width)
    assert [path.name for path in tmp_path.iterdir()] == ["streets"]
    assert {read(path).shape[:2] for path in root.rglob("*.png")} == {(32, 64)}


def test_every_class_is_there_and_classes_are_imbalanced(default_scenes: tuple[np.ndarray, np.ndarray]) -> None:
    _, labels = default_scenes
    pixels = np.bincount(labels.ravel(), minlength=256)
    shares = pixels / pixels.sum()
    classes = len(CITYSCAPES.classes)
    assert pixels[classes:VOID].sum() == 0
    assert (pixels[:classes] >= 100).all(), dict(zip(CITYSCAPES.classes, pixels, strict=False))
    assert shares[:classes].max() / shares[:classes].min() > 100
    assert 0.01 < shares[VOID] < 0.08
    train = np.unique(np.stack([streets.scene(0, "train", i)[1] for i in range(16)]))
    assert set(range(classes)) <= set(streets.train_ids(train).tolist())


def test_poles_and_far_people_are_small(default_scenes: tuple[np.ndarray, np.ndarray]) -> None:
    _, labels = default_scenes
    pole, person = CITYSCAPES.classes.index("pole"), CITYSCAPES.classes.index("person")
    thin = far = 0
    for label in labels:
        boxes = ndimage.find_objects(ndimage.label(label == pole)[0])
        thin += sum(b[1].stop - b[1].start <= 2 and b[0].stop - b[0].start >= 6 for b in boxes)
        boxes = ndimage.find_objects(ndimage.label(label == person)[0])
        far += sum(2 <= b[0].stop - b[0].start <= 6 for b in boxes)
    assert thin >= 24  # one a scene
    assert far >= 24


def test_image_and_labels_are_in_step(default_scenes: tuple[np.ndarray, np.ndarray]) -> None:
    """Edges of the image lie on edges of the labels: two pixels of shift in any direction lose contrast."""
    images, labels = default_scenes
    grey = images.astype(np.float64).mean(-1)

    def contrast(dy: int, dx: int) -> float:
        moved = np.roll(labels, (dy, dx), axis=(1, 2))
        across = moved[:, :, 1:] != moved[:, :, :-1]
        down = moved[:, 1:] != moved[:, :-1]
        return np.abs(np.diff(grey, axis=2))[across].mean() + np.abs(np.diff(grey, axis=1))[down].mean()

    aligned = contrast(0, 0)
    for shift in ((2, 0), (-2, 0), (0, 2), (0, -2)):
        assert aligned > 1.2 * contrast(*shift), shift
    sky, road = CITYSCAPES.classes.index("sky"), CITYSCAPES.classes.index("road")
    assert images[labels == sky].mean() > images[labels == road].mean() + 20


def test_frames_show_one_street_from_a_moving_camera() -> None:
    frames = [streets.scene(0, "train", 2, frame)[1] for frame in range(4)]
    agreement = [(frames[0] == frame).mean() for frame in frames]
    assert agreement[0] == 1.0
    assert 0.75 < agreement[1] < 0.999
    assert agreement[1] > agreement[2] > agreement[3]
    other = streets.scene(0, "train", 3)[1]
    assert (frames[0] == other).mean() < agreement[3]
