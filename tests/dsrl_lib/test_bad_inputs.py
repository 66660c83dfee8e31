"""What people give by mistake, through the command line: a clear error each, no traceback, and no lost output."""

import importlib
import io
import json
import os
import re
import socket
import struct
import sys
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dsrl_lib import dis_flow, iou, network, reduce_image, runs
from dsrl_lib.__main__ import main
from dsrl_lib.config import Config
from dsrl_lib.data.images import read_picture
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import evaluation_input
from dsrl_lib.ending import finish
from dsrl_lib.evaluation import report
from dsrl_lib.models.build import build_host
from dsrl_lib.models.downsampling import sampling_targets
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.published import published_weights
from dsrl_lib.overrides import override, override_all
from dsrl_lib.paths import released_dir
from dsrl_lib.progress import bar
from dsrl_lib.records import read_json
from dsrl_lib.training import fit
from study.__main__ import main as study_main
from study.evidence import Study
from study.presets import preset

SMALL = ("data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.precision=fp32")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "sssr.safetensors"
    config = preset("smoke", "sssr", overrides=SMALL)
    network.save(network.build(config), config, path)
    return path


@pytest.fixture
def dsrl(monkeypatch, capsys):
    """dsrl(*arguments) -> exit status, what was printed, and the errors."""

    def run(*arguments: object, program=main) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dsrl", *map(str, arguments)])
        try:
            status = program()
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def saved(path: Path, kind: str, image: np.ndarray | None = None) -> bytes:
    Image.fromarray(pixels(40, 60, 3) if image is None else image).save(path, format=kind)
    return path.read_bytes()


def png_of(path: Path, width: int, height: int, colour: int = 2, depth: int = 8, data: bytes = b"") -> None:
    """A PNG that says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the whole path may be longer than a socket's name can be
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


PICTURES = {
    "empty.png": lambda p: p.write_bytes(b""),
    "text.png": lambda p: p.write_text("not a picture"),
    "page.jpg": lambda p: p.write_text("<!doctype html><title>404</title>"),
    "drawing.png": lambda p: p.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "archive.png": lambda p: p.write_bytes(b"PK\x03\x04" + bytes(200)),
    "zeros.jpg": lambda p: p.write_bytes(bytes(5000)),
    "signature.png": lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"),
    "cut_png.png": lambda p: p.write_bytes(saved(p, "PNG")[:900]),
    "cut_jpg.jpg": lambda p: p.write_bytes(saved(p, "JPEG")[:700]),
    "cut_bmp.bmp": lambda p: p.write_bytes(saved(p, "BMP")[:300]),
    "cut_tif.tif": lambda p: p.write_bytes(saved(p, "TIFF")[:200]),
    "cut_webp.webp": lambda p: p.write_bytes(saved(p, "WEBP")[:200]),
    "cut_ppm.ppm": lambda p: p.write_bytes(saved(p, "PPM")[:200]),
    "header.jpg": lambda p: p.write_bytes(saved(p, "JPEG")[:4]),
    "reversed.png": lambda p: p.write_bytes(saved(p, "PNG")[::-1]),
    "crc.png": lambda p: p.write_bytes(saved(p, "PNG").replace(b"IHDR", b"IHDX")),
    "huge.png": lambda p: png_of(p, 100_000, 100_000),
    "no_pixels.png": lambda p: png_of(p, 0, 0),
    "no_data.png": lambda p: png_of(p, 8, 8),
    "odd_depth.png": lambda p: png_of(p, 8, 8, depth=3),
    "negative.tif": lambda p: saved(p, "TIFF", np.full((4, 4), -1.0, np.float32)),
    "nan.tif": lambda p: saved(p, "TIFF", np.full((4, 4), np.nan, np.float32)),
    "deep.tif": lambda p: saved(p, "TIFF", np.full((4, 4), 70000, np.int32)),
    "dangling.png": lambda p: p.symlink_to(p.parent / "nowhere.png"),
    "loop.png": lambda p: p.symlink_to(p),
    "pipe.png": pipe,
    "socket.png": bound_socket,
}  # fmt: skip


def test_bad_pictures_stop_no_good_one(dsrl, weights, tmp_path):
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    for name, make in PICTURES.items():
        make(frames / name)
    good = {"a": pixels(20, 30, 3), "m": pixels(33, 21), "z": pixels(1, 1, 4)}
    for name, image in good.items():
        Image.fromarray(image).save(frames / f"{name}.png")
    status, printed, errors = dsrl("predict", frames, "--weights", weights, "--out", out, "--device", "cpu")
    assert status == 1 and "3 images in" in printed
    assert f"{len(PICTURES)} images could not be predicted" in errors and "Traceback" not in errors
    for name in PICTURES:
        assert f"cannot read image {frames / name}: " in errors
    for name, image in good.items():
        assert read_picture(out / "pred" / f"{name}.png").shape[:2] == image.shape[:2]
    assert not list(out.rglob("*.partial"))


def cut(path: Path, weights: Path) -> None:
    path.write_bytes(weights.read_bytes()[:-100])


def changed(path: Path, weights: Path, change, **metadata: str) -> None:
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, path, network.metadata(weights) | metadata)


def nothing(tensors) -> None:
    pass


def unknown_setting(path: Path, weights: Path) -> None:
    config = json.loads(network.metadata(weights)["config"])
    changed(path, weights, nothing, config=json.dumps(config | {"colour": 3}))


FIRST = "host.base_net.level1.conv.weight"
WEIGHTS = {
    "absent.safetensors": (lambda p, w: None, "do not exist"),
    "empty.safetensors": (lambda p, w: p.write_bytes(b""), "is not a safetensors file, or is damaged"),
    "text.safetensors": (lambda p, w: p.write_text("weights"), "is not a safetensors file, or is damaged"),
    "cut.safetensors": (cut, "is not a safetensors file, or is damaged"),
    "foreign.safetensors": (lambda p, w: save_file({"a": torch.zeros(2)}, p), "holds no configuration"),
    "no_json.safetensors": (lambda p, w: changed(p, w, nothing, config="{"), "cannot be read: Expecting"),
    "a_list.safetensors": (lambda p, w: changed(p, w, nothing, config="[3]"), "cannot be read"),
    "setting.safetensors": (unknown_setting, "unknown settings: colour"),
    "less.safetensors": (lambda p, w: changed(p, w, lambda t: t.pop(FIRST)), f"missing {FIRST}"),
    "more.safetensors": (lambda p, w: changed(p, w, lambda t: t.update(novel=torch.ones(1))), "unexpected novel"),
    "shape.safetensors": (lambda p, w: changed(p, w, lambda t: t.update({FIRST: torch.ones(2)})),
                          f"shape of {FIRST}: (2,) instead of (16, 3, 3, 3)"),
    "nan.safetensors": (lambda p, w: changed(p, w, lambda t: t[FIRST].fill_(torch.nan)),
                        f"{FIRST} holds NaN or infinite values"),
    "no_run": (lambda p, w: p.mkdir(), "final.safetensors do not exist"),
    "code.pth": (lambda p, w: torch.save({"model": os.system}, p), "can be read safely"),
    "text.pth": (lambda p, w: p.write_text("weights"), "can be read safely"),
    "empty.pth": (lambda p, w: p.write_bytes(b""), "can be read safely"),
    "list.pth": (lambda p, w: torch.save([1, 2], p), "hold a list, not a state dict"),
    "other.pth": (lambda p, w: torch.save({"epoch": 3}, p), "missing base_net.level1.conv.weight"),
    "number.pth": (lambda p, w: torch.save({"base_net.level1.conv.weight": 3}, p), "level1.conv.weight is a int"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_bad_weights_are_refused(dsrl, weights, tmp_path, name):
    make, message = WEIGHTS[name]
    path = tmp_path / name
    make(path, weights)
    host = ["--host", "espnetv2_s0.5"] if path.suffix == ".pth" else []
    status, printed, errors = dsrl("summary", path, *host)
    assert status == 1 and errors.startswith("error: ") and printed == ""
    assert message in errors and name in errors


def test_weights_of_other_classes_or_an_unnamed_network(dsrl, weights, tmp_path):
    status, _, errors = dsrl("evaluate", "--weights", weights, "--data", "camvid", "--device", "cpu")
    assert status == 1 and "19 classes of cityscapes, not those of camvid" in errors
    torch.save({}, tmp_path / "w.pth")
    status, _, errors = dsrl("summary", tmp_path / "w.pth")
    assert status == 1 and "say which network it is with --host" in errors
    status, _, errors = dsrl("summary", tmp_path / "w.pth", "--host", "vgg")
    assert status == 1 and "model.host = 'vgg'; allowed: espnetv2_s0.5" in errors


def test_sources_and_targets(dsrl, weights, tmp_path):
    frame = tmp_path / "a.png"
    saved(frame, "PNG")
    (tmp_path / "none").mkdir()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").write_text("taken")
    for source, target, message in (
        (tmp_path / "absent.png", "out", "absent.png does not exist; give an image, a folder, a pattern"),
        (tmp_path / "none", "out", "no pictures in"),
        (tmp_path / "*.bmp", "out", "no pictures in"),
        (tmp_path / "circle", "out", "cannot read image"),
        ("camvid:test", "out", "camvid:test has the classes of camvid, the network those of cityscapes"),
        ("camvid:night", "out", "camvid:night does not exist"),
        (frame, "file", "Not a directory"),
        (frame, "file/below", "Not a directory"),
    ):
        status, _, errors = dsrl("predict", source, "--weights", weights, "--out", tmp_path / target, "--device", "cpu")
        assert status == 1 and message in errors and "Traceback" not in errors, errors
    assert (tmp_path / "file").read_text() == "taken"


def test_a_full_disk_loses_no_finished_picture(dsrl, weights, tmp_path, monkeypatch):
    names = [tmp_path / f"{n}.png" for n in range(3)]
    for name in names:
        saved(name, "PNG")
    real, calls = runs.os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(runs.os, "replace", replace)
    status, _, errors = dsrl("predict", *names, "--weights", weights, "--out", tmp_path / "out", "--device", "cpu")
    assert status == 1 and "No space left on device" in errors and "1 of 3 pictures are done" in errors
    assert {p.name for p in (tmp_path / "out").rglob("*.png")} == {"0.png", "1.png"}
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_scores_do_not_depend_on_the_processes_that_load(dsrl, weights):
    options = ["--weights", weights, "--data", "streets", "--split", "val", "--device", "cpu"]
    alone, loaded = (dsrl("evaluate", *options, *more) for more in ((), ("--workers", "1")))
    assert alone[:2] == loaded[:2] and "mIoU" in alone[1]


@pytest.mark.parametrize("name", ["scores.json", "scores.csv", "scores.txt", "counts.npz"])
def test_a_file_of_yours_is_no_place_for_scores(dsrl, weights, tmp_path, monkeypatch, name):
    def scored(*_, **__):
        raise AssertionError("the split was scored")

    monkeypatch.setattr(report, "split_report", scored)
    (tmp_path / name).write_text('{"best": "mine"}')
    status, _, errors = dsrl("evaluate", "--weights", weights, "--data", "streets", "--out", tmp_path)
    assert status == 1 and f"holds a file {name} that no earlier call wrote, which would be lost" in errors
    assert (tmp_path / name).read_text() == '{"best": "mine"}'


def test_a_full_disk_loses_no_score(dsrl, weights, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.os, "replace", full)
    options = ["--weights", weights, "--data", "streets", "--split", "val", "--device", "cpu"]
    status, printed, errors = dsrl("evaluate", *options, "--out", tmp_path / "out")
    assert status == 1 and "No space left on device" in errors
    monkeypatch.undo()
    assert re.search(r"^mIoU +\d", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--scales", "0"], 1, "scales = (0.0,); allowed: one or more numbers above 0"),
        (["--scales", "1e-9"], 1, "brought to 32 rows, scale 1e-09 leaves no input"),
        (["--overlap", "1"], 1, "overlap = 1.0; allowed: a number from 0 to 0.9"),
        (["--mode", "tiles"], 2, "tiles"),
        (["--split", "night"], 1, "split 'night': choose one of train, val, test"),
        (["--device", "tpu"], 2, "tpu"),
        (["--workers", "-1"], 1, "workers = -1; allowed: a whole number, from 0 to"),
    ],
)
def test_wrong_options(dsrl, weights, options, status, message):
    found, _, errors = dsrl("evaluate", "--weights", weights, "--data", "streets", *options)
    assert found == status and message in errors and "Traceback" not in errors


def test_a_damaged_run_names_its_file(dsrl, results):
    config = override(preset("smoke", "lr", overrides=SMALL), "optim.epochs", 1)
    directory = runs.folder(config)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{")
    status, _, errors = dsrl("resume", directory)
    assert status == 1 and directory.name in errors and "config.json" in errors
    status, text, _ = dsrl("runs", program=study_main)  # the other runs are listed too
    assert status == 0 and f"{directory.name}/config.json is damaged" in text


def test_only_a_run_that_is_named_is_deleted(dsrl, results, tmp_path, monkeypatch):
    config = preset("smoke", "lr", overrides=SMALL)
    runs.prepare(runs.folder(config), config)
    other = tmp_path / "model"
    runs.prepare(other, config)  # a config.json is a common thing
    monkeypatch.chdir(other)
    monkeypatch.setattr("builtins.input", lambda question: "no")
    for words, message in (
        ([""], "an empty name is no run"),
        (["", "--yes"], "an empty name is no run"),
        ([".", "--yes"], "is not a run: those are folders of results/PROFILE/runs"),
        ([other, "--yes"], "is not a run: those are folders of results/PROFILE/runs"),
        ([config.run_id], f"{config.run_id} was not deleted; --yes deletes it without asking"),
    ):
        status, _, errors = dsrl("runs", "--delete", *words, program=study_main)
        assert status == 1 and message in errors, errors
    for words, message in (
        (["--profile", "typo", "--delete", config.run_id, "--yes"], "unknown profile 'typo'; valid: smoke, "),
        (["--profile", "camvid", "--delete", config.run_id, "--yes"], f"{config.run_id} is a run of smoke"),
        (["--profile", "camvid", "--compare", config.run_id, config.run_id], f"{config.run_id} is a run of smoke"),
    ):
        status, _, errors = dsrl("runs", *words, program=study_main)
        assert status == 1 and message in errors, errors
    assert other.exists() and runs.folder(config).exists()
    status, text, _ = dsrl("runs", "--profile", "camvid", program=study_main)
    assert status == 0 and text.strip() == f"there are no runs in {results / 'camvid' / 'runs'}"
    status, text, _ = dsrl("runs", "--profile", "smoke", "--delete", config.run_id, "--yes", program=study_main)
    assert status == 0 and not runs.folder(config).exists()


def test_a_complete_run_without_weights_says_how_to_get_them(dsrl, results):
    config = preset("smoke", "lr", overrides=SMALL)
    directory = runs.folder(config)
    runs.prepare(directory, config)
    (directory / "metrics.json").write_text("{}")
    before = sorted(results.rglob("*"))
    hint = "train the run again with DSRL_RESULTS set to a new folder, which leaves this one as it is"
    options = [word for change in SMALL for word in ("--set", change)]
    for program, words in ((main, [directory / "config.json"]), (study_main, ["--arm", "lr", *options])):
        status, printed, errors = dsrl("train", *words, program=program)
        assert status == 0 and printed == f"{directory}\n" and errors.startswith("note: ") and hint in errors
    for command in (["summary", directory], ["inspect", directory], ["prune", directory, directory / "a.safetensors"]):
        status, _, errors = dsrl(*command)
        assert status == 1 and hint in errors
    assert sorted(results.rglob("*")) == before


def test_missing_weights_of_a_run_that_is_released_say_so(results):
    record = next(released_dir().glob("*.json"))
    directory = results / "camvid" / "runs" / read_json(record)["run"]
    directory.mkdir(parents=True)
    (directory / "metrics.json").write_text("{}")
    assert f"for inference they are released as {record.stem}. Copy" in runs.missing_weights(directory / runs.WEIGHTS)
    assert "released" not in runs.missing_weights(directory.with_name("other") / runs.WEIGHTS)


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1"])
def test_a_speed_cannot_be_measured_for_such_a_time(dsrl, weights, seconds):
    status, _, errors = dsrl("speed", weights, "--seconds", seconds)
    assert status == 1 and f"seconds = {float(seconds)}; allowed: a number above 0, up to 3600" in errors


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--sizes", "100000x100000"], "size 100000x100000 in batches of 8: needs "),
        (["--batch", "100000000"], "size 16x32 in batches of 100000000: needs "),
    ],
)
def test_a_size_beyond_memory_is_named(dsrl, weights, option, message):
    status, _, errors = dsrl("speed", weights, "--device", "cpu", *option)
    assert status == 1 and message in errors and "GB of memory or more, and" in errors


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["speed", "W", "--threads", "0"], "threads = 0; allowed: a whole number, from 1 to "),
        (["speed", "W", "--batch", "0"], "batch = 0; allowed: a whole number, 1 or more"),
        (["speed", "W", "--trace", "FOLDER"], "is a folder; give the name of a file to write"),
        (["speed", "W", "--trace", "FILE/trace.json"], "Not a directory"),
        (["summary", "W", "--depth", "-1"], "depth = -1; allowed: a whole number, 0 or more"),
        (["speed", "W", "--sizes", "16x²"], "size '16x²'; expected HEIGHTxWIDTH"),
        (["summary", "W", "--host", "ddrnet39"], "host = 'ddrnet39', but "),
        (["speed", "W", "--threads", "100000"], "threads = 100000; allowed: a whole number, from 1 to "),
        (["speed", "W", "--trace", "a.safetensors"], "trace = a.safetensors; allowed: a name that ends in .json"),
        (["submit", "FOLDER", "--weights", "W", "--out", "a.png"], "out = a.png; allowed: a name that ends in .zip"),
        (["prune", "W", "RUN/final.safetensors"], "is a file of a run, which would be lost; give another name"),
        (["prune", "W", "LINK.safetensors"], "is a file of a run, which would be lost; give another name"),
        (["speed", "W", "--trace", "RUN/metrics.json"], "is a file of a run, which would be lost; give another name"),
        (["export", "W", "RUN/last.pt", "--format", "torchscript"], "is a file of a run, which would be lost"),
        (["prune", "W", "RUN/best_epoch0003.safetensors"], "is a file of a run, which would be lost"),
        (["prune", "W", "x.pth"], "x.pth; allowed: a name that ends in .safetensors"),
        (["prune", "W", "FOLDER/a.safetensors"], "is a folder; give the name of a file to write"),
        (["export", "W", "FOLDER/a.onnx"], "is a folder; give the name of a file to write"),
        (["export", "W", "x.pt"], "a file of format onnx ends in .onnx"),
        (["evaluate", "--weights", "W", "--data", "streets", "--out", "FILE"], "out = "),
        (["predict", "PICTURE", "--weights", "W", "--out", "FILE"], "out = "),
        (["predict", "PICTURE", "--weights", "W", "--out", "FOLDER"], "folder/sr; give a folder to write"),
        (["submit", "FOLDER", "--weights", "W", "--out", "FOLDER/a.onnx"], "is a folder; give the name of a file to"),
    ],
)
def test_where_nothing_can_be_written_nothing_is_computed(dsrl, weights, tmp_path, monkeypatch, command, message):
    def computed(*_, **__):
        raise AssertionError("the error came after the work")

    monkeypatch.setattr(DSRL, "forward", computed)
    saved(tmp_path / "a.png", "PNG")
    (tmp_path / "file").write_text("mine")
    for name in ("a.safetensors", "a.onnx"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "folder/sr").write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "metrics.json", "final.safetensors", "last.pt", "best_epoch0003.safetensors"):
        (run / name).write_text("mine")
    (tmp_path / "link.safetensors").symlink_to(run / "final.safetensors")
    places = {
        "W": weights, "RUN": run, "LINK.safetensors": tmp_path / "link.safetensors",
        "PICTURE": tmp_path / "a.png", "FILE": tmp_path / "file", "FOLDER": tmp_path / "folder",
    }  # fmt: skip
    words = [str(Path(places.get(first, first), *rest)) for first, *rest in (word.split("/") for word in command)]
    before = sorted(tmp_path.rglob("*"))
    status, _, errors = dsrl(*words)
    assert status == 1 and message in errors and "Traceback" not in errors, errors
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "file").read_text() == "mine"
    assert (run / "final.safetensors").read_text() == "mine"


@pytest.mark.parametrize("variable", ["DSRL_RESULTS", "DSRL_CACHE", "DSRL_DATA"])
def test_a_variable_that_names_a_file_is_said(dsrl, results, tmp_path, monkeypatch, variable):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    status, _, errors = dsrl("train", "--arm", "lr", "--device", "cpu", program=study_main)
    assert status == 1 and f"{variable} = {tmp_path / 'file'} is not a folder" in errors


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["predict", "PICTURE", "--weights", "W", "--out", ""], "--out"),
        (["evaluate", "--weights", "", "--data", "streets"], "--weights"),
        (["speed", "W", "--trace", " "], "--trace"),
        (["inspect", ""], "FILE|PATH"),
    ],
)
def test_an_empty_word_is_no_path(dsrl, weights, tmp_path, monkeypatch, words, option):
    """Such as an unset variable of a shell: a path of nothing is the working folder."""
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "a.png", "PNG")
    places = {"W": weights, "PICTURE": tmp_path / "a.png"}
    status, _, errors = dsrl(*(places.get(word, word) for word in words))
    assert status == 2 and "an empty word is no path" in errors and re.search(option, errors)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_where_nothing_may_be_written_nothing_is_computed(dsrl, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(DSRL, "forward", lambda *_: pytest.fail("the error came after the work"))
    saved(tmp_path / "a.png", "PNG")
    (tmp_path / "closed").mkdir()
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and real(path, mode))
    for command in (["predict", tmp_path / "a.png", "--weights"], ["evaluate", "--data", "streets", "--weights"]):
        status, _, errors = dsrl(*command, weights, "--out", tmp_path / "closed" / "out", "--device", "cpu")
        assert status == 1 and f"closed/out: nothing can be written in {tmp_path}/closed; give another" in errors


@pytest.mark.parametrize(
    "content", ["text", {"state_dict": 3}, {"host.a": 3, 1: torch.zeros(2)}, {"state_dict": [torch.zeros(2)]}, {"a": 3}]
)
def test_what_is_no_state_dict_starts_no_run(dsrl, results, tmp_path, monkeypatch, content):
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fit, "load_split", lambda *_: split)
    frame = np.zeros((32, 64, 3), np.uint8)
    split = Split(["a"] * 16, ["a"] * 16, [frame] * 16, [frame[..., 0]] * 16, "", None)
    path = tmp_path / "w.pth"
    path.write_text(content) if isinstance(content, str) else torch.save(content, path)
    options = [word for change in SMALL for word in ("--set", change)]
    status, _, errors = dsrl("train", "--arm", "lr", "--start", path, "--device", "cpu", *options, program=study_main)
    assert status == 1 and "Traceback" not in errors
    assert re.search(r"not a state dict|nothing in .*\.pth fits", errors), errors


def test_a_network_of_a_gpu_is_used_on_a_cpu(dsrl, weights, tmp_path):
    """fp16 is a precision of CUDA alone."""
    config = preset("smoke", "sssr", overrides=[*SMALL[:-1], "optim.precision=fp16"])
    network.save(network.load(weights)[0], config, tmp_path / "fp16.safetensors")
    saved(tmp_path / "a.png", "PNG")
    for name, file in (("one", weights), ("two", tmp_path / "fp16.safetensors")):
        words = ["predict", tmp_path / "a.png", "--weights", file, "--out", tmp_path / name, "--device", "cpu"]
        assert dsrl(*words)[0] == 0
    np.testing.assert_array_equal(*(read_picture(tmp_path / name / "pred/a.png") for name in ("one", "two")))


def test_no_picture_of_an_earlier_network_stays(dsrl, weights, tmp_path):
    """A network without a SISR branch makes no reconstruction: that of an earlier one would look like its own."""
    config = preset("smoke", "sssr_sisr", overrides=SMALL)
    network.save(network.build(config), config, tmp_path / "sisr.safetensors")
    saved(tmp_path / "a.png", "PNG")
    saved(tmp_path / "b.png", "PNG")
    for files, file in (("ab", tmp_path / "sisr.safetensors"), ("a", weights)):
        pictures = [tmp_path / f"{name}.png" for name in files]
        assert dsrl("predict", *pictures, "--weights", file, "--out", tmp_path / "out", "--device", "cpu")[0] == 0
    assert [path.name for path in (tmp_path / "out/sr").iterdir()] == ["b.png"]
    assert len(list((tmp_path / "out/pred").iterdir())) == 2


def test_the_home_folder_is_meant_by_its_sign(dsrl, weights, tmp_path, monkeypatch):
    """A shell leaves the ~ of --out=~/made and of a quoted pattern as it is."""
    home = tmp_path / "home"
    home.mkdir()
    saved(home / "a.png", "PNG")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    assert dsrl("predict", "~/*.png", "--weights", weights, "--out=~/made", "--device", "cpu")[0] == 0
    assert (home / "made/pred/a.png").exists() and not (tmp_path / "~").exists()


@pytest.mark.parametrize("variable", ["DSRL_CACHE", "DSRL_RESULTS", "DSRL_DATA"])
def test_a_folder_below_a_file_is_named_by_its_variable(dsrl, results, tmp_path, monkeypatch, variable):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv(variable, str(tmp_path / "file" / "below"))
    status, _, errors = dsrl("train", "--arm", "lr", "--device", "cpu", program=study_main)
    assert status == 1 and f"{variable} = {tmp_path / 'file/below'} is not a folder: {tmp_path / 'file'} is" in errors


def test_a_file_that_is_no_configuration_is_named(dsrl, tmp_path):
    (tmp_path / "metrics.json").write_text('{"cost": 1}')
    for command in (["train", tmp_path / "metrics.json"], ["samples", tmp_path / "metrics.json", tmp_path / "out"]):
        status, _, errors = dsrl(*command)
        assert status == 1 and f"{tmp_path / 'metrics.json'}: configuration has unknown settings: cost" in errors


def test_a_configuration_that_is_not_there_is_named(dsrl, tmp_path):
    for command in (["train", tmp_path / "nope.json"], ["samples", tmp_path / "nope.json", tmp_path / "out"]):
        status, _, errors = dsrl(*command)
        assert status == 1 and f"there is no configuration {tmp_path / 'nope.json'}; give a run directory" in errors


def test_a_warning_shows_no_line_of_code(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # it is put back afterwards
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *shown: print(warnings.formatwarning(*shown), end=""))
        assert finish(lambda: warnings.warn("no frame shows the classes [3]", stacklevel=1)) == 0
    assert capsys.readouterr().out == "warning: no frame shows the classes [3]\n"


def test_a_run_is_deleted_by_its_whole_id_alone(dsrl, results):
    config = preset("smoke", "lr", overrides=SMALL)
    runs.prepare(runs.folder(config), config)
    status, _, errors = dsrl("runs", "--delete", config.run_id[:-1], "--yes", program=study_main)
    assert status == 1 and f"give the whole id, {config.run_id}" in errors and runs.folder(config).exists()
    following = replace(config, arm="after", warm_start=config.run_id)
    runs.prepare(runs.folder(following), following)
    status, text, _ = dsrl("runs", "--delete", config.run_id, program=study_main)
    assert status == 1 and f"({following.run_id} cannot be trained again without it)? [y/N]" in text
    words = ["--compare", config.run_id, config.run_id, "--delete", config.run_id]
    status, _, errors = dsrl("runs", *words, program=study_main)
    assert status == 1 and "--compare and --delete: give one of the two" in errors


def test_what_is_made_of_runs_is_not_made_of_none(dsrl, results):
    """An empty file would replace the one of before."""
    (results / "camvid").mkdir(parents=True)
    (results / "camvid/claims.csv").write_text("of before")
    for command in ("claims --profile camvid", "pictures"):
        status, _, errors = dsrl(*command.split(), program=study_main)
        assert status == 1 and f"profile camvid has no complete run in {results}" in errors
    assert (results / "camvid/claims.csv").read_text() == "of before"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: published_weights("espnet", "imagenet"), "host 'espnet' is unknown; allowed: espnetv2_s0.5"),
        (lambda: build_host("espnetv2_s0.5", 0), "classes = 0; allowed: a whole number, 1 or more"),
        (lambda: evaluation_input(pixels(8, 8, 3) / 255, 8, 8, 0.5), r"image is float64 \(8, 8, 3\); allowed: uint8"),
        (lambda: evaluation_input(pixels(8, 8), 8, 8, 0.5), r"image is uint8 \(8, 8\); allowed: uint8"),
        (lambda: evaluation_input(pixels(8, 8, 3), 0, 8, 0.5), "height = 0; allowed: a whole number, 1 or more"),
        (lambda: reduce_image(torch.zeros(3, 8, 8), float("nan")), "input_scale = nan; allowed: a number above 0"),
        (lambda: reduce_image(torch.zeros(3, 8, 8), 0.01), r"input_scale = 0.01 leaves 0 x 0 pixels of \(8, 8\)"),
        (lambda: iou(np.ones((5, 5), int)), r"totals \(5, 5\); allowed: \(..., K, 3\)"),
        (
            lambda: sampling_targets(pixels(8, 8), (4, 4), classes=[]),
            r"classes=\[\]; allowed: None, or one or more of 0",
        ),
        (lambda: dis_flow(pixels(8, 8), pixels(8, 8)), r"frame is uint8 \(8, 8\); allowed: uint8 \(H, W, 3\), RGB"),
        (lambda: dis_flow(pixels(8, 8, 3), pixels(8, 9, 3)), "allowed: two of one size"),
        (lambda: Study("smoke", []).select("dslr"), r"unknown arm 'dslr'; .*did you mean dsrl"),
        (lambda: Study("smoke", []).scores("dsrl", "mIoU"), "kind = 'mIoU'; allowed: miou, classes, trimap, rings"),
        (lambda: Study("smoke", []).scores("dsrl"), "profile smoke has no run of dsrl"),
        (lambda: preset("smoke", "lr", overrides=["data.scale_min=1e-9"]), "data.scale_min = 1e-09; allowed: scales"),
    ],
)
def test_a_script_is_told_what_is_allowed(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize(
    ("arm", "settings", "said"),
    [
        ("sssr_sisr", ["model.host=deeplabv3plus_resnet18", "model.sisr_taps=stride2"], "stride2"),
        ("lr", ["model.host=deeplabv3plus_mobilenetv2", "model.sync_bn=true"], "sync_bn"),
        ("bilinear", ["loss.segmentation=relaxed", "loss.relax_strict=70"], "loss.relax_strict = '70'; allowed:"),
        ("adaptive_oracle", ["downsampling.classes=70"], "downsampling.classes = '70'; allowed: numbers from 0 to 18"),
    ],
)
def test_what_does_not_fit_the_network_is_named_before_data_are_read(results, monkeypatch, arm, settings, said):
    monkeypatch.setattr(fit, "load_split", lambda *_: pytest.fail("the error came after the work"))
    config = override_all(preset("smoke", arm), settings)
    with pytest.raises(ValueError, match=re.escape(said)):
        fit.fit(replace(config, warm_start=None), device="cpu", workers=0, progress=False)


def test_results_that_cannot_be_written_are_named_at_the_start(dsrl, results, monkeypatch):
    monkeypatch.setattr(fit, "load_split", lambda *_: pytest.fail("the error came after the work"))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != results.parent and real(path, mode))
    status, _, errors = dsrl("train", "--arm", "lr", "--device", "cpu", program=study_main)
    assert status == 1 and f"nothing can be written in {results.parent}; give another" in errors
    assert f"DSRL_RESULTS = {results}" in errors


@pytest.mark.parametrize("command", ["latency", "interpolation", "shares --arm fa", "probe"])
def test_what_cannot_be_written_is_not_measured(dsrl, results, monkeypatch, command):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != results.parent and real(path, mode))
    status, _, errors = dsrl(*command.split(), "--profile", "camvid", program=study_main)
    assert status == 1 and f"DSRL_RESULTS = {results / 'camvid'}: nothing can be written in" in errors


def test_a_letter_that_a_terminal_lacks_loses_no_result(monkeypatch):
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert finish(lambda: print("orchard ü, mIoU 31.5")) == 0
    assert terminal.getvalue() == rb"orchard \xfc, mIoU 31.5" + b"\n"


def test_a_package_that_is_not_installed_is_named(capsys):
    assert finish(lambda: importlib.import_module("a_package_that_is_nowhere")) == 1
    said = capsys.readouterr().err
    assert (
        said.startswith("error: No module named 'a_package_that_is_nowhere'; ") and "pip install -e '.[study]'" in said
    )


def test_what_is_no_number_is_no_prediction(dsrl, weights, tmp_path):
    """Weights that are finite can still give infinite outputs: the class with number 0 everywhere."""

    def large(tensors):
        for name in (name for name in tensors if name.startswith("sssr") and name.endswith("weight")):
            tensors[name].mul_(1e30)

    changed(tmp_path / "large.safetensors", weights, large)
    saved(tmp_path / "a.png", "PNG")
    words = ["predict", tmp_path / "a.png", "--weights", tmp_path / "large.safetensors", "--out", tmp_path / "out"]
    status, _, errors = dsrl(*words, "--device", "cpu")
    assert status == 1 and f"{tmp_path / 'a.png'} cannot be predicted: the network gives no finite numbers" in errors
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_closed_stream_leads_nowhere(monkeypatch):
    """As 2>&- and <&- leave them: Python has None then."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    answers = []

    def command():
        for index in bar(range(2)):
            print(index, file=sys.stderr)
        with pytest.raises(EOFError):
            input()
        answers.append("done")

    assert finish(command) == 0 and answers == ["done"]
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


@pytest.mark.parametrize("option", ["--workers", "--devices", "--keep-last"])
def test_an_option_that_no_run_can_have_is_refused_for_a_complete_one_too(dsrl, results, option):
    config = override_all(Config(), ["optim.epochs=1"])
    directory = runs.folder(config)
    runs.prepare(directory, config)
    (directory / "metrics.json").write_text("{}")
    status, _, errors = dsrl("train", directory, option, "-1")
    name = option[2:].replace("-", "_")
    least = "from 0 to" if name == "workers" else f"{int(name == 'devices')} or more"
    assert status == 1 and f"{name} = -1; allowed: a whole number, {least}" in errors


def test_a_machine_is_not_filled_with_processes_that_load_samples(dsrl, weights):
    status, _, errors = dsrl("evaluate", "--weights", weights, "--data", "streets", "--workers", "100000")
    assert status == 1 and "workers = 100000; allowed: a whole number, from 0 to" in errors
