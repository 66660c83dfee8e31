"""Your own data set, as README.md shows it."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dsrl_lib import network, runs
from dsrl_lib.config import datasets
from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import list_frames, load_split
from dsrl_lib.deploy.predict import predict
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.evaluation.forward import class_ids
from dsrl_lib.evaluation.report import split_report
from dsrl_lib.evaluation.tta import image_output
from dsrl_lib.paths import root as repository
from dsrl_lib.records import read_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.fit import fit
from dsrl_lib.training.state import RunState
from study.presets import preset


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """16 images to train on and two to validate on, of two sizes, in an otherwise empty data folder."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    folder, rng = tmp_path / "data/orchard", np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 2)):
        for kind in ("images", "labels"):
            (folder / split / kind).mkdir(parents=True)
        for k in range(count):
            ids = rng.integers(0, 3, (32 + k % 2, 64)).astype(np.uint8)
            ids[:, :8] = 255
            Image.fromarray(80 * (ids % 4)).convert("RGB").save(folder / split / f"images/{k}.{('jpg', 'png')[k % 2]}")
            Image.fromarray(ids).save(folder / split / f"labels/{k}.png")
    return folder


def test_the_example_of_the_readme_runs(orchard: Path, results: Path, capsys: pytest.CaptureFixture) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (repository() / "README.md").read_text(), re.S)
    (block,) = (block for block in blocks if "classes.txt" in block)
    assert len(block.strip().splitlines()) <= 12  # ten lines of code, a blank one and a comment
    space: dict = {}
    exec(compile(block, "README.md", "exec"), space)
    printed = eval(capsys.readouterr().out, {"nan": np.nan})
    metrics = read_json(space["run"] / "metrics.json")
    assert len(metrics["val"]["iou"]) == 3
    assert printed["mIoU"] == pytest.approx(metrics["val"]["miou"], abs=1e-3)  # ties in bf16
    with np.load(space["run"] / "counts_val.npz") as counts:
        assert counts["counts"][:, :, [0, 2]].sum((1, 2)).tolist() == [32 * 56, 33 * 56]  # at the original size


def test_classes_by_name(orchard: Path) -> None:
    with pytest.raises(ValueError, match=r"data.dataset = 'orchard'; allowed: streets, .*classes.txt"):
        preset("smoke", "lr", overrides=["data.dataset=orchard"])
    (orchard / "classes.txt").write_text("soil\nvoid\nRoad\n")
    assert "orchard" in datasets()
    assert preset("smoke", "lr", overrides=["data.dataset=orchard"]).data.dataset == "orchard"
    table = class_table("orchard")
    assert table.classes == ("soil", "Road") and table.colours == ((128, 0, 0), (0, 128, 0))
    assert table.cityscapes_rows == (None, 0)
    loaded = load_split("orchard", "test")  # there is no folder test/
    assert loaded.names == ["0", "1"] and [image.shape for image in loaded.images] == [(32, 64, 3), (33, 64, 3)]
    with Image.open(orchard / "val/labels/1.png") as image:
        stored = np.asarray(image)
    expected = np.full(stored.shape, 255)
    expected[stored == 0], expected[stored == 2] = 0, 1
    assert (loaded.labels[1] == expected).all()


def test_frames_of_a_drive_are_a_sequence_by_their_names_or_by_a_list(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    assert load_split("orchard", "val").sequences == ["0", "1"]  # no underscore, so each is alone
    for folder in ("images", "labels"):
        for path in (orchard / "val" / folder).iterdir():
            path.rename(path.with_stem(f"north_row_{path.stem}"))
    assert load_split("orchard", "val").sequences == ["north_row", "north_row"]
    (orchard / "sequences.txt").write_text("north_row_0\tmorning walk\nnorth_row_1\tevening\n")
    assert load_split("orchard", "val").sequences == ["morning walk", "evening"]
    with pytest.raises(DataError, match=r"sequences.txt has no line for frame 0: list all frames"):
        load_split("orchard", "train")


def test_val_that_is_also_test_is_read_once(orchard: Path, results: Path, monkeypatch) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    checked: list[str] = []
    monkeypatch.setattr("dsrl_lib.training.fit.check_frames", lambda split, *_: checked.append(split.manifest_hash))
    monkeypatch.setattr("dsrl_lib.training.fit.RunState", stop)
    for folder in ("", "test"):
        if folder:
            shutil.copytree(orchard / "train", orchard / "test")
        with pytest.raises(InterruptedError):
            fit(preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard"]), device="cpu", progress=False)
    val, test = (load_split("orchard", name).manifest_hash for name in ("val", "test"))
    assert val != test and checked == [val, val, test]
    assert len(list(orchard.parents[1].glob("cache/manifests/orchard-*.json"))) == 3


def stop(config, split, *_):
    raise InterruptedError


def test_plain_files_are_listed_without_asking_for_each(orchard: Path, monkeypatch) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    label = orchard / "val/labels/1.png"
    label.rename(orchard / "elsewhere.png")
    label.symlink_to(orchard / "elsewhere.png")  # of a link it has to ask
    expected, asked = load_split("orchard", "val").names, []
    for name in ("is_file", "is_dir"):
        known = getattr(Path, name)
        monkeypatch.setattr(Path, name, lambda path, known=known: asked.append(path) or known(path))
    assert [frame.name for frame in list_frames("orchard", "val")] == expected == ["0", "1"]
    assert [path for path in asked if path.suffix in (".jpg", ".png")] == [label]


@pytest.mark.parametrize(("text", "said"), [
    ("0\ta\n1 b\n", r"sequences.txt, line 2: '1 b' is not the name of a frame, a tab and its sequence"),
    ("0\ta\n\ta\n", r"sequences.txt, line 2: '\\ta' is not the name of a frame"),
    ("0\ta\n1\ta\n0\tb\n", r"sequences.txt, line 3: frame 0 is in sequence a and in b"),
])  # fmt: skip
def test_a_bad_list_of_sequences_is_refused(orchard: Path, text: str, said: str) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    (orchard / "sequences.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        load_split("orchard", "val")


def test_weights_know_their_classes(orchard: Path, tmp_path: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    config = preset("smoke", "lr", overrides=["data.dataset=orchard"])
    network.save(network.build(config), config, tmp_path / "w.safetensors")
    (orchard / "classes.txt").write_text("tree\nsoil\nfruit\n")
    with pytest.raises(ValueError, match="has the classes soil, tree, fruit; here orchard has tree, soil, fruit"):
        network.load(tmp_path / "w.safetensors")
    (orchard / "classes.txt").unlink()
    with pytest.raises(
        ValueError, match=r"'orchard', which is not here.*classes.txt with a line for each of soil, tree"
    ):
        network.load(tmp_path / "w.safetensors")


def test_predictions_have_the_ids_of_the_label_maps(orchard: Path, tmp_path: Path) -> None:
    """Void lies between the classes, so class 1 is stored as 2: what is predicted can be trained on."""
    (orchard / "classes.txt").write_text("soil\nvoid\ntree\n")
    config = preset("smoke", "lr", overrides=["data.dataset=orchard", "data.height=32", "data.width=64"])
    model = network.build(config)
    predict(model, config, orchard / "val/images", tmp_path / "out", progress=False)
    shutil.copytree(tmp_path / "out/pred", orchard / "val/labels", dirs_exist_ok=True)
    split = load_split("orchard", "val")
    for name, truth, image in zip(split.names, split.labels, split.images, strict=True):
        stored = np.asarray(Image.open(tmp_path / f"out/pred/{name}.png"))
        assert set(np.unique(stored)) <= {0, 2}
        logits, _ = image_output(model, image, config, TTA())
        np.testing.assert_array_equal(truth, class_ids(logits, image.shape[:2]))


def test_a_colon_in_the_name_of_a_data_set_is_part_of_it(orchard: Path, tmp_path: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    orchard.rename(orchard.with_name("a:b"))
    config = preset("smoke", "lr", overrides=["data.dataset=a:b", "data.height=32", "data.width=64"])
    done = predict(network.build(config), config, "a:b:val", tmp_path / "out", progress=False)
    assert done.written == len(load_split("a:b", "val")) and not done.failed


@pytest.mark.parametrize(
    "text", ["soil\n", "soil\n\ntree\n", "soil\ntree\nsoil\n", "", "\n".join(map(str, range(255)))]
)
def test_a_list_that_is_none_is_refused(orchard: Path, text: str) -> None:
    (orchard / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"orchard/classes.txt should name 2 to 254 different classes, one per line"):
        load_split("orchard", "train")


def test_classes_that_differ_in_case_alone_are_refused(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("Tree\nsoil\ntree\n")
    with pytest.raises(DataError, match=r"orchard/classes.txt names 'Tree' and 'tree', which differ in upper and"):
        load_split("orchard", "train")


def test_what_is_wrong_with_the_files_is_said(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\n")
    with pytest.raises(DataError, match=r"train/labels/0.png has unknown ids \[2\]; known ids are 0-1, 255"):
        _ = load_split("orchard", "train").labels[0]
    (orchard / "val/labels/1.png").unlink()
    with pytest.raises(DataError, match=r"image .*val/images/1.png has no label map: looked for .*val/labels/1.png"):
        load_split("orchard", "val")
    (orchard / "val").rename(orchard / "validation")
    with pytest.raises(
        DataError, match=r"looked for .*orchard/val/images. A data set of your own has orchard/{train,val}"
    ):
        load_split("orchard", "val")


SIZES = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.precision=fp32")


def test_a_frame_that_no_network_can_take_is_named_before_training(orchard: Path, results: Path, monkeypatch) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    Image.fromarray(np.zeros((2000, 1, 3), np.uint8)).save(orchard / "val/images/2.png")
    Image.fromarray(np.zeros((2000, 1), np.uint8)).save(orchard / "val/labels/2.png")
    monkeypatch.setattr("dsrl_lib.training.fit.train", lambda *_, **__: pytest.fail("it was trained"))
    config = preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard"])
    with pytest.raises(DataError, match=r"val/images/2.png cannot be evaluated: of 2000 x 1 pixels .* leaves no input"):
        fit(config, device="cpu", progress=False)


def test_files_that_change_are_noticed(orchard: Path, results: Path, capsys: pytest.CaptureFixture) -> None:
    """In the middle of a run they are an error, and after its end a note. An image of two splits is a warning."""
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    shutil.copyfile(orchard / "train/images/3.png", orchard / "val/images/1.png")
    config = preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard", "optim.epochs=1"])
    directory = runs.folder(config)
    runs.prepare(directory, config)
    splits = [load_split("orchard", name) for name in ("train", "val")]
    state = RunState(config, splits[0], torch.device("cpu"), splits[1]).state_dict()
    warned = "warning: 1 of 2 images of orchard val are in train too, such as "
    for changed, known in (("train", state), ("val", state), ("train", state | {"data": splits[0].manifest_hash})):
        checkpoint.save(directory, known)  # the last one as older versions wrote it
        label = orchard / changed / "labels/0.png"
        before = label.read_bytes()
        Image.fromarray(np.zeros((32, 64), np.uint8)).save(label)
        said = rf"does not fit this run \(files of orchard {changed} have changed since it was written\)"
        with pytest.raises(ValueError, match=said):
            fit(config, device="cpu", progress=False)
        assert capsys.readouterr().err.count(warned) == 1
        label.write_bytes(before)
    assert fit(config, device="cpu", progress=False) == directory
    capsys.readouterr()
    for changed in (False, True):
        if changed:
            Image.fromarray(np.zeros((32, 64), np.uint8)).save(label)
        assert fit(config, device="cpu", progress=False) == directory
        note = f"note: {directory.name} is kept as it is, but files of orchard train have changed since"
        assert (note in capsys.readouterr().err) is changed
    label.write_bytes(before)
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(orchard / "val/labels/0.png")  # its scores are of the old one
    assert fit(config, device="cpu", progress=False) == directory
    assert "but files of orchard val, test have changed since" in capsys.readouterr().err
    label.unlink()
    assert fit(config, device="cpu", progress=False) == directory
    assert "is kept as it is, but its data cannot be read now: image " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["streets", "moving_one", "kitti_cv1", "cityscapes_coarse", "kitti", "voc", "camvid"])
def test_a_set_of_the_name_of_a_published_one_is_refused(orchard: Path, name: str) -> None:
    """Nobody would read it, but the frames that are drawn, those in another folder, or those of another layout."""
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    orchard.rename(orchard.with_name(name))
    said = f"data/{name} is your own data set(, but|:) {name} is the name of another one: give that folder another name"
    with pytest.raises(DataError, match=said):
        load_split(name, "val")


def test_a_list_in_another_encoding_is_named(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    (orchard / "sequences.txt").write_bytes("0\ta\n1\ta\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"orchard/sequences.txt cannot be read .*; allowed: text in UTF-8"):
        load_split("orchard", "val")


def test_a_name_that_is_no_text_is_refused(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    for kind, end in (("images", "png"), ("labels", "png")):
        (orchard / "val" / kind / f"1.{end}").rename(orchard / "val" / kind / f"caf\udce9.{end}")
    with pytest.raises(DataError, match=r"name of the file '.*caf\\udce9.png' is no text in UTF-8"):
        load_split("orchard", "val")


def test_sampling_for_classes_names_its_settings(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    config = preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard", "data.class_uniform=0.5"])
    with pytest.raises(ValueError, match=r"data.class_uniform = 0.5, data.class_tile = 1024: .* allowed are 1 to 32"):
        RunState(config, load_split("orchard", "train"), torch.device("cpu"))


def test_a_frame_that_no_network_can_take_is_named_before_scoring(orchard: Path, monkeypatch) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    Image.fromarray(np.zeros((2000, 1, 3), np.uint8)).save(orchard / "val/images/2.png")
    Image.fromarray(np.zeros((2000, 1), np.uint8)).save(orchard / "val/labels/2.png")
    network = SimpleNamespace(host=SimpleNamespace(classes=3), parameters=lambda: iter([torch.zeros(1)]))
    config = preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard"])
    monkeypatch.setattr("dsrl_lib.evaluation.report.evaluate", lambda *_, **__: pytest.fail("it was scored"))
    with pytest.raises(DataError, match=r"val/images/2.png cannot be evaluated: of 2000 x 1 pixels .* leaves no input"):
        split_report(network, config, "orchard", "val")
    (orchard / "val/images/2.png").unlink()
    (orchard / "val/labels/2.png").unlink()
    with pytest.raises(DataError, match=r"cannot be evaluated: .*scale 0.01 leaves no input"):
        split_report(network, config, "orchard", "val", TTA(scales=(1.0, 0.01)))


def test_a_frame_beyond_memory_is_named_before_training_and_scoring(orchard: Path, results: Path, monkeypatch) -> None:
    """Of 400 x 600 pixels and three classes, the logits and the probabilities are 5.8 MB."""
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n")
    for name, kind in (("images", (400, 600, 3)), ("labels", (400, 600))):
        Image.fromarray(np.zeros(kind, np.uint8)).save(orchard / f"val/{name}/2.png")
    monkeypatch.setattr("dsrl_lib.evaluation.evaluate.free_bytes", lambda: 5.7e6)
    monkeypatch.setattr("dsrl_lib.training.fit.train", lambda *_, **__: pytest.fail("it was trained"))
    monkeypatch.setattr("dsrl_lib.evaluation.report.evaluate", lambda *_, **__: pytest.fail("it was scored"))
    config = preset("smoke", "lr", overrides=[*SIZES, "data.dataset=orchard"])
    network = SimpleNamespace(host=SimpleNamespace(classes=3), parameters=lambda: iter([torch.zeros(1)]))
    said = r"val/images/2.png cannot be evaluated: the logits of 400 x 600 pixels and 3 classes need 0.0 GB of memory"
    with pytest.raises(DataError, match=said):
        fit(config, device="cpu", progress=False)
    with pytest.raises(DataError, match=said):
        split_report(network, config, "orchard", "val")
