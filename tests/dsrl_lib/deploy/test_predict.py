"""Predictions as files, and files of weights: through the command line, with good pictures and with bad ones."""

import contextlib
import copy
import errno
import os
import re
import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import TINY

from dsrl_lib import network, runs
from dsrl_lib.data.class_tables import CITYSCAPES, VOC, colourise
from dsrl_lib.data.frames import DataError, image_size
from dsrl_lib.data.images import find_pictures, read_picture
from dsrl_lib.data.split import Split
from dsrl_lib.deploy import drawing, memory, prediction_files, sources
from dsrl_lib.deploy import predict as predictions
from dsrl_lib.deploy.describe import describe, summary
from dsrl_lib.deploy.predict import predict
from dsrl_lib.deploy.pretrained import from_pretrained, open_weights
from dsrl_lib.deploy.prune import prune
from dsrl_lib.deploy.submit import submit
from dsrl_lib.evaluation.augmentation import TTA
from dsrl_lib.memory import free_bytes
from dsrl_lib.models.build import build_host
from dsrl_lib.overrides import override
from dsrl_lib.records import read_json, write_json
from dsrl_lib.training import loop
from dsrl_lib.training.fit import fit
from dsrl_lib.training.resume import resume
from study import manage
from study.presets import preset


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """Weights of an untrained DSRL network."""
    path = tmp_path_factory.mktemp("weights") / "dsrl.safetensors"
    config = preset("smoke", "dsrl", overrides=TINY)
    network.save(network.build(config), config, path)
    return path


def noise(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels)).astype(np.uint8)


def png(path: Path, height: int = 20, width: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(height, width, 3)).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("grey.png", Image.fromarray(noise(5, 7))),
        ("grey16.png", Image.fromarray(noise(5, 7).astype(np.uint16) * 257)),
        ("palette.png", Image.fromarray(noise(5, 7, 3)).quantize(16)),
        ("alpha.png", Image.fromarray(noise(5, 7, 4))),
        ("grey_alpha.png", Image.fromarray(noise(5, 7, 2))),
        ("bits.png", Image.fromarray(noise(5, 7) > 127)),
        ("cmyk.jpg", Image.new("CMYK", (7, 5), (9, 80, 7, 1))),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, name, image):
    image.save(tmp_path / name)
    got = read_picture(tmp_path / name)
    assert got.shape == (5, 7, 3) and got.dtype == np.uint8
    if name.startswith("grey"):
        np.testing.assert_array_equal(got[..., 0], noise(5, 7) if name != "grey_alpha.png" else noise(5, 7, 2)[..., 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_in_a_tiff_0_may_be_white(tmp_path, dtype):
    grey = noise(5, 7)
    stored = (255 - grey) if dtype == np.uint8 else (255 - grey).astype(np.uint16) * 257
    Image.fromarray(stored).save(tmp_path / "black.tif")
    data = (tmp_path / "black.tif").read_bytes()
    black, white = (np.array([262, 3, 1, 0, value, 0], "<u2").tobytes() for value in (1, 0))  # the whole tag
    assert data.count(black) == 1
    (tmp_path / "white.tif").write_bytes(data.replace(black, white))
    for name, expected in (("black.tif", 255 - grey), ("white.tif", grey)):
        np.testing.assert_array_equal(read_picture(tmp_path / name)[..., 0], expected)


@pytest.mark.parametrize(("bits", "sample_format", "said"), [(12, 1, "12 bits"), (8, 2, "signed numbers")])
def test_a_tiff_whose_numbers_pillow_takes_for_others_is_refused(tmp_path, bits, sample_format, said):
    """It would be nearly black, or its dark pixels would be the bright ones."""
    pixels = bytes([0xFF] * (4 * 4 * bits // 8))
    tags = {256: 4, 257: 4, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: len(pixels), 339: sample_format}
    entries = b"".join(struct.pack("<HHIHxx", tag, 3, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    (tmp_path / "a.tif").write_bytes(head + pixels + struct.pack("<H", len(tags)) + entries + bytes(4))
    with pytest.raises(DataError, match=rf"cannot read image .*a.tif: {said}; allowed: 8 bits per channel, or 16-bit"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA", "CMYK"])
def test_a_tiff_is_upright(tmp_path, mode, compression):
    """Each of the eight ways in which a picture may lie, as the standard of TIFF names its first row and column."""
    upright = noise(5, 7)
    stored = [upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]]
    stored += [pixels.T for pixels in (upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1])]
    for orientation, pixels in enumerate(stored, start=1):
        image = Image.fromarray(pixels.astype(np.uint16) * 257 if mode == "I;16" else np.ascontiguousarray(pixels))
        image = image if mode in ("L", "I;16") else image.convert("RGB").convert(mode)
        image.save(tmp_path / "a.tif", compression=compression, tiffinfo={274: orientation})
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif")[..., 0], upright)
        assert image_size(tmp_path / "a.tif") == (5, 7)


def test_a_picture_is_upright(tmp_path):
    image, exif = Image.fromarray(noise(5, 7, 3)), Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_picture(tmp_path / "turned.png").shape == (7, 5, 3)
    assert image_size(tmp_path / "turned.png") == (7, 5)  # of which memory and thin sides are judged


def test_sources(tmp_path):
    for name in ("a.png", "deep/b.jpg", "deep/er/c.png", "deep/note.txt"):
        png(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("no")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)  # a loop
    assert [p.name for p in find_pictures([str(tmp_path)])] == ["a", "deep/b", "deep/er/c"]
    assert [p.name for p in find_pictures([str(tmp_path / "deep" / "*.jpg"), str(tmp_path / "a.png")])] == ["b", "a"]
    with pytest.raises(DataError, match="does not exist; give an image, a folder, a pattern"):
        find_pictures([str(tmp_path / "nothing")])
    with pytest.raises(DataError, match="no pictures in"):
        find_pictures([str(tmp_path / "*.bmp")])
    png(tmp_path / "deep" / "a.png")
    with pytest.raises(DataError, match="would both be written as 'a'"):
        find_pictures([str(tmp_path / "a.png"), str(tmp_path / "deep" / "a.png")])


def test_nothing_in_a_folder_is_passed_over_but_what_is_hidden(tmp_path, monkeypatch):
    for name in ("a.png", ".b.png", ".thumbs/c.png", "day1/d.png", "locked/e.png"):
        png(tmp_path / name)
    (tmp_path / "day2").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f.heic").write_bytes(b"of a kind that cannot be read")
    (tmp_path / "notes.txt").write_text("no picture")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    names = ["a", "day2", "f", "day1/d", "locked"]
    assert [p.name for p in find_pictures([str(tmp_path)])] == names
    monkeypatch.undo()
    assert {p.name for p in find_pictures([str(tmp_path / "*")])} >= {"a", "d", "day2"}
    for name in ("day2", "f.heic", "locked"):
        with pytest.raises(DataError, match=f"cannot read image .*{name}: "):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("name", ["pages.tif", "moving.png", "moving.webp"])
def test_a_file_of_several_pictures_is_refused(tmp_path, name):
    first, second = (Image.fromarray(noise(5, 7, 3) // part) for part in (1, 2))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(DataError, match=f"cannot read image .*{name}: it holds 2 pictures; store each in a file"):
        read_picture(tmp_path / name)
    first.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[second])  # of a phone
    assert read_picture(tmp_path / "photo.jpg").shape == (5, 7, 3)


def test_damaged_exif_data_are_an_error_of_that_file(tmp_path):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a view", 6
    Image.fromarray(noise(5, 7, 3)).save(tmp_path / "a.jpg", exif=exif)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    content[content.index(b"\x01\x0e") + 1] = 0  # the description is the width, which is text now
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read image .*a\.jpg: "):
        read_picture(tmp_path / "a.jpg")


def test_prediction_through_the_command_line(command_line, file, tmp_path):
    frames, out = tmp_path / "frames", tmp_path / "out"
    png(frames / "one.png", 40, 60)
    png(frames / "city" / "two.png", 33, 21)
    (frames / "bad.png").write_text("no picture")
    done = command_line("dsrl_lib", "predict", frames, "--weights", file, "--out", out, "--device", "cpu", "--flip")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "1 images could not be predicted" in done.stderr and "bad.png" in done.stderr
    assert "2 images in" in done.stdout and "images/s" in done.stdout
    kinds = {str(path.relative_to(out)) for path in out.rglob("*.png")}
    assert kinds == {f"{kind}/{name}.png" for kind in ("rgb", "pred", "compose", "sr") for name in ("one", "city/two")}
    ids = read_picture(out / "pred" / "one.png")[..., 0]
    assert ids.shape == (40, 60) and set(np.unique(ids)) <= {7, 8, 11, 12, 13, 17, 19, *range(20, 29), 31, 32, 33}
    colours = read_picture(out / "rgb" / "one.png")
    lookup = {label: train for train, label in enumerate(CITYSCAPES.label_ids)}
    expected = colourise(np.vectorize(lookup.get)(ids).astype(np.uint8), CITYSCAPES)
    np.testing.assert_array_equal(colours, expected)
    assert read_picture(out / "sr" / "city" / "two.png").shape[0] == 32  # HR height of the run, the aspect kept


def test_a_split_is_predicted_with_its_errors(file, tmp_path):
    model, config = open_weights(file)
    done = predict(model, config, ["streets:val"], tmp_path, progress=False)
    assert done.failed == () and len(list((tmp_path / "diff").rglob("*.png"))) == done.written > 0
    with pytest.raises(DataError, match="camvid:test has the classes of camvid, the network those of cityscapes"):
        predict(model, config, ["camvid:test"], tmp_path, progress=False)
    with pytest.raises(DataError, match="nothing to predict: give images"):
        predict(model, config, [], tmp_path, progress=False)


def test_an_error_is_seen_whatever_colour_the_predicted_class_has(file, monkeypatch):
    """Background of VOC is black, like what is right."""
    model, config = open_weights(file)
    truth, classes = np.array([[0, 15, 15, 255]], np.uint8), np.array([[0, 0, 15, 0]], np.uint8)
    monkeypatch.setattr(drawing, "image_output", lambda *_: (torch.zeros(1), None))
    monkeypatch.setattr(drawing, "class_ids", lambda *_: classes)
    monkeypatch.setattr(model, "sisr", None)
    diff = drawing.drawn(model, config, VOC, np.zeros((1, 4, 3), np.uint8), truth)["diff"]
    assert diff.any(-1).tolist() == [[False, True, False, False]]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("linked", [None, "folder", "file"])
def test_no_source_is_overwritten(file, tmp_path, linked):
    source, out = png(tmp_path / "camera/rgb/a.png"), tmp_path / "camera"
    if linked:
        out = tmp_path / "out"
        out.mkdir()
        if linked == "folder":
            (out / "rgb").symlink_to(source.parent)
        else:
            (out / "rgb").mkdir()
            (out / "rgb/a.png").symlink_to(source)
    before = files(tmp_path)
    with pytest.raises(DataError, match=r"a\.png would overwrite a source: choose another folder for --out"):
        predict(*open_weights(file), [str(source.parent)], out, progress=False)
    assert files(tmp_path) == before


def test_no_file_of_yours_is_overwritten(file, tmp_path):
    mine = png(tmp_path / "camera/rgb/a.png")
    png(tmp_path / "small/a.png"), png(tmp_path / "small/b.png")
    before, (model, config) = files(tmp_path), open_weights(file)
    with pytest.raises(DataError, match=r"camera/rgb/a\.png would overwrite a file that no earlier call"):
        predict(model, config, [str(tmp_path / "small")], tmp_path / "camera", progress=False)
    assert files(tmp_path) == before
    mine.unlink()
    mine.symlink_to(tmp_path / "not mounted now.png")
    with pytest.raises(DataError, match=r"camera/rgb/a\.png would overwrite a file that no earlier call"):
        predict(model, config, [str(tmp_path / "small")], tmp_path / "camera", progress=False)
    mine.unlink()
    for _ in range(2):  # what an earlier call wrote is replaced
        assert predict(model, config, [str(tmp_path / "small")], tmp_path / "camera", progress=False).written == 2


def test_a_name_that_is_too_long_with_a_suffix_stops_no_other_picture(file, tmp_path):
    short, long = png(tmp_path / "a.png"), png(tmp_path / "b.png").rename(tmp_path / ("b" * 254))
    done = predict(*open_weights(file), [str(long), str(short)], tmp_path / "out", progress=False)
    assert done.written == 1 and len(done.failed) == 1 and "File name too long" in done.failed[0]


def test_frames_of_one_name_are_not_written_over_each_other(file, tmp_path, monkeypatch):
    names = {"train": ["0", "1"], "val": ["1", "2"]}
    frame = np.zeros((32, 64, 3), np.uint8)
    monkeypatch.setattr(
        sources, "load_split", lambda _, s: Split(names[s], names[s], [frame] * 2, [frame[..., 0]] * 2, "", None)
    )
    model, config = open_weights(file)
    with pytest.raises(DataError, match=r"streets:train and streets:val both hold a picture .* as '1': predict them"):
        predict(model, config, ["streets:train", "streets:val"], tmp_path / "out", progress=False)
    png(tmp_path / "2.png")
    with pytest.raises(DataError, match=r"streets:val and .*2\.png both hold a picture that would be written as '2'"):
        predict(model, config, ["streets:val", str(tmp_path / "2.png")], tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    assert predict(model, config, ["streets:val"] * 2, tmp_path / "out", progress=False).written == 2


def test_what_predict_wrote_elsewhere_is_no_source_either(file, tmp_path):
    png(tmp_path / "day/a.png")
    model, config = open_weights(file)
    for out in ("one", "day/two", "three"):
        assert predict(model, config, [str(tmp_path)], tmp_path / out, progress=False).written == 1
    with pytest.raises(DataError, match="no pictures in"):
        predict(model, config, [str(tmp_path / "one")], tmp_path / "four", progress=False)


@pytest.mark.parametrize("size", [(400, 600), (1, 3000)])
def test_a_picture_beyond_memory_is_named_and_stops_no_other(file, tmp_path, monkeypatch, size):
    """Of 400 x 600 pixels, the logits of 19 classes alone are 18 MB; that of one row becomes 32 x 96000 pixels."""
    png(tmp_path / "in/a.png"), png(tmp_path / "in/b.png", *size), png(tmp_path / "in/c.png")
    monkeypatch.setattr(memory, "LARGE", 200_000)
    monkeypatch.setattr(memory, "free_bytes", lambda: 18e6)
    model, config = open_weights(file)
    done = predict(model, config, [str(tmp_path / "in")], tmp_path / "out", progress=False)
    assert done.written == 2 and len(done.failed) == 1
    said = rf"in/b\.png cannot be predicted: {size[0]} x {size[1]} pixels need \d\.\d GB of memory or more, and 0\.0 GB"
    assert re.search(said, done.failed[0])
    assert {path.name for path in (tmp_path / "out/pred").iterdir()} == {"a.png", "c.png"}


def test_memory_of_a_picture_does_not_depend_on_the_frames_of_the_run(file):
    model, config = open_weights(file)
    large = replace(config, data=replace(config.data, height=2048, width=4096))
    assert memory.Room(model, large, TTA()).activations == memory.Room(model, config, TTA()).activations


FREE_OF_GROUPS = [  # what /proc/self/cgroup says, where the group with the limit is, and how its files are called
    ("0::/", ".", ("max", "current", "")),
    ("0::/slurm/job_1/step_0/task_0", "slurm/job_1", ("max", "current", "")),
    ("0::/of/the/host", ".", ("max", "current", "")),  # in a container
    ("4:cpu,memory:/job_1\n0::/", "memory/job_1", ("limit_in_bytes", "usage_in_bytes", "total_")),  # version 1
]


@pytest.mark.parametrize(("said", "group", "names"), FREE_OF_GROUPS)
def test_free_memory_is_that_of_the_system_or_of_a_control_group(tmp_path, said, group, names):
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    assert free_bytes(proc, groups) == float("inf")
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:  9 kB\nMemAvailable:    4 kB\n")
    assert free_bytes(proc, groups) == 4096
    (proc / "self" / "cgroup").write_text(f"9:name=systemd:/\n{said}\n")
    (groups / group).mkdir(parents=True)
    most, used, total = names
    for limit, free in (("max", 4096), ("3000", 2300), ("9000", 4096)):
        (groups / group / f"memory.{most}").write_text(f"{limit}\n")
        (groups / group / f"memory.{used}").write_text("1000\n")
        (groups / group / "memory.stat").write_text(f"anon 700\n{total}active_file 100\n{total}inactive_file 200\n")
        assert free_bytes(proc, groups) == free


@pytest.mark.parametrize("below", [".", "predicted"])
def test_what_predict_wrote_is_no_source_of_the_next_call(file, tmp_path, below):
    for name in ("a", "rgb/b", "sr/c"):  # names that predict uses too
        png(tmp_path / f"{name}.png")
    model, config = open_weights(file)
    assert predict(model, config, [str(tmp_path)], tmp_path / below, progress=False).written == 3
    first = files(tmp_path)
    assert predict(model, config, [str(tmp_path)], tmp_path / below, progress=False).written == 3
    assert files(tmp_path) == first
    if below == ".":  # a pattern names its pictures without their folder
        with pytest.raises(DataError, match=r"rgb/b\.png would overwrite a source"):
            predict(model, config, [f"{tmp_path}/**/*.png"], tmp_path, progress=False)
    else:
        assert predict(model, config, [f"{tmp_path}/**/*.png"], tmp_path / below, progress=False).written == 3


def test_what_a_call_that_was_cut_off_wrote_is_no_source(file, tmp_path, monkeypatch):
    png(tmp_path / "a.png"), png(tmp_path / "b.png")
    (model, config), write = open_weights(file), prediction_files.write_picture

    def stop_at_the_third(path, pixels, command):
        if path.match("compose/*"):
            raise KeyboardInterrupt
        write(path, pixels, command)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prediction_files, "write_picture", stop_at_the_third)
        predict(model, config, [str(tmp_path)], tmp_path / "out", progress=False)
    assert predict(model, config, [str(tmp_path)], tmp_path / "out", progress=False).written == 2
    shutil.rmtree(tmp_path / "out/compose")  # the rest is no source, and may be replaced
    (tmp_path / "out/rgb/cut.png").write_bytes(b"\x89PNG")  # nobody knows whose: it is named
    done = predict(model, config, [str(tmp_path)], tmp_path / "out", progress=False)
    assert done.written == 2 and len(done.failed) == 1 and "cannot read image" in done.failed[0]


@pytest.mark.parametrize("ahead", [0, 10**9])
def test_pictures_are_written_whole_while_others_are_predicted(file, tmp_path, monkeypatch, ahead):
    """However many wait: the files are those of one call for each picture, and a disk without room stops the call."""
    monkeypatch.setattr(predictions, "AHEAD", ahead)
    model, config = open_weights(file)
    for index in range(6):
        png(tmp_path / f"in/{index}.png", 20 + index)
    assert predict(model, config, [str(tmp_path / "in")], tmp_path / "out", progress=False).written == 6
    for index in range(6):
        predict(model, config, [str(tmp_path / f"in/{index}.png")], tmp_path / "alone", progress=False)
    made, alone = ({p.relative_to(out): p.read_bytes() for p in out.rglob("*.png")}
                   for out in (tmp_path / "out", tmp_path / "alone"))  # fmt: skip
    assert made == alone and len(made) == 6 * 4
    real = prediction_files.write_picture

    def full(path, pixels, command):
        if path.name == "3.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, pixels, command)

    monkeypatch.setattr(prediction_files, "write_picture", full)
    with pytest.raises(OSError, match="No space left on device; 3 of 6 pictures are done"):
        predict(model, config, [str(tmp_path / "in")], tmp_path / "out", progress=False)


def test_a_linked_folder_is_searched_once(tmp_path):
    png(tmp_path / "disk/day1/a.png"), png(tmp_path / "frames/z/z.png")
    (tmp_path / "frames/day1").symlink_to(tmp_path / "disk/day1")
    (tmp_path / "frames/again").symlink_to(tmp_path / "frames/z")
    (tmp_path / "frames/up").symlink_to(tmp_path / "frames")
    assert [p.name for p in find_pictures([str(tmp_path / "frames")])] == ["z/z", "day1/a"]
    with pytest.raises(DataError, match="an empty name is no source"):
        find_pictures([""])


def test_a_picture_that_fails_in_the_network_is_named_and_stops_no_other(file, tmp_path, monkeypatch):
    real, frames = drawing.image_output, tmp_path / "in"
    png(frames / "a.png"), png(frames / "b.png", 2000, 1), png(frames / "c.png", 21, 31), png(frames / "d.png")

    def short_of_memory(model, image, *others):
        if image.shape == (21, 31, 3):
            raise MemoryError
        return real(model, image, *others)

    predict(*open_weights(file), [str(frames)], tmp_path / "out", progress=False)
    assert "c.png" in {path.name for path in (tmp_path / "out/pred").iterdir()}
    monkeypatch.setattr(drawing, "image_output", short_of_memory)
    done = predict(*open_weights(file), [str(frames)], tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*/c.png"))  # that of the earlier call would pass for one of this
    assert sorted(path.name for path in (tmp_path / "out/pred").iterdir()) == ["a.png", "d.png"]
    assert done.written == 2 and len(done.failed) == 2
    assert "in/b.png cannot be predicted: " in done.failed[0]
    assert "in/c.png cannot be predicted: MemoryError" in done.failed[1]


def test_weights_open_by_path_and_by_run_id(file, results):
    config = open_weights(file)[1]
    runs.folder(config).mkdir(parents=True)
    network.save(open_weights(file)[0], config, runs.folder(config) / "final.safetensors")
    write_json(runs.folder(config) / "config.json", config.to_dict())
    for name in (file, str(file), runs.folder(config), config.run_id):
        model, opened = from_pretrained(name)
        assert opened == config
        torch.testing.assert_close(model.state_dict(), open_weights(file)[0].state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match="there is no run 'smoke-nothing'"):
        from_pretrained("smoke-nothing")
    with pytest.raises(FileNotFoundError, match=r"weights nothing\.safetensors do not exist"):
        from_pretrained("nothing.safetensors")


def test_published_weights_bring_the_size_they_were_trained_at(tmp_path):
    host = build_host("espnetv2_s0.5", 20)
    for name, size in {"city_512x256": (256, 512), "city_1024x512": (512, 1024), "other": (1024, 2048)}.items():
        torch.save(host.state_dict(), tmp_path / f"{name}.pth")
        model, config = open_weights(tmp_path / f"{name}.pth", "espnetv2_s0.5")
        assert (config.data.dataset, config.data.height, config.data.width) == ("cityscapes", *size)
        assert (config.data.crop_height, config.data.crop_width) == ((768, 1536) if name == "other" else size)
        assert config.model.input_scale == 1 and config.optim.precision == "bf16" and model.host.classes == 19
        assert not any(module.training for module in model.modules())
    with pytest.raises(ValueError, match="say which network it is with --host"):
        open_weights(tmp_path / "other.pth")
    (tmp_path / "other.pt").write_bytes((tmp_path / "other.pth").read_bytes())
    same = from_pretrained(tmp_path / "other.pt", "espnetv2_s0.5")[0].state_dict()
    torch.testing.assert_close(same, model.state_dict(), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"model.host = 'espnet'"):
        open_weights(tmp_path / "other.pth", "espnet")


@pytest.mark.parametrize("fold", [False, True])
def test_pruning_keeps_the_answer(file, tmp_path, fold):
    target = tmp_path / "pruned.safetensors"
    before, after = prune(file, target, fold)
    assert after.parameters < before.parameters and after.macs < before.macs
    assert after.megabytes < before.megabytes
    full, pruned = open_weights(file)[0], open_weights(target)[0]
    assert pruned.sisr is None and pruned.ftm is None
    x = torch.randn(1, 3, 16, 32)
    with torch.inference_mode():
        pair = [model.eval()(x)["logits"] for model in (full, pruned)]
    if fold:
        torch.testing.assert_close(*pair, rtol=1e-3, atol=1e-4)
        assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in pruned.modules()) < 40
    else:
        assert torch.equal(*pair)


def test_what_a_file_holds(file):
    text = describe(file)
    for part in ("arm: dsrl", "classes: road, sidewalk", "normalisation:", "sssr.steps.0.weight  (19, 19, 3, 3)"):
        assert part in text
    model = open_weights(file)[0]
    tree = summary(model.eval(), torch.zeros(1, 3, 16, 32))
    parts = {line.split()[0]: float(line.split()[-1]) for line in tree.splitlines()[1:] if not line.startswith("   ")}
    assert parts["network"] == pytest.approx(sum(parts[name] for name in ("host", "sssr", "sisr", "ftm")), abs=0.05)
    assert parts["host"] > 0.5 and f"{sum(p.numel() for p in model.parameters()):,}" in tree


class StopError(Exception):
    """The run was stopped."""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """A run that was stopped after its first epoch."""
    original = loop.save_checkpoint

    def save_and_stop(state, directory):
        original(state, directory)
        raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSRL_RESULTS", str(tmp_path_factory.mktemp("stopped")))
        patch.setattr(loop, "save_checkpoint", save_and_stop)
        config = preset("smoke", "lr", overrides=TINY)
        with pytest.raises(StopError):
            fit(config, device="cpu", progress=False)
        return runs.folder(config)


@pytest.fixture
def cut_off(stopped, results) -> Path:
    """A copy of that run in the results folder of the test."""
    return shutil.copytree(stopped, results / "smoke" / "runs" / stopped.name)


def test_runs_are_listed_compared_resumed_and_deleted(command_line, cut_off):
    assert "cut off" in manage.runs_table("smoke") and "1/3" in manage.runs_table("smoke")
    other = resume(cut_off, ["optim.lr=0.001"], device="cpu")
    content = read_json(other / "config.json")
    assert other != cut_off and content["continues"].startswith(f"{cut_off.name}@") and content["optim"]["lr"] == 0.001
    same = resume(cut_off, device="cpu")
    assert same == cut_off and runs.is_complete(cut_off)
    text = manage.compare(cut_off, other)
    assert "optim.lr" in text and "0.004  |  0.001" in text and "optim.epochs" not in text
    with pytest.raises(ValueError, match="is complete: there is nothing to resume"):
        resume(cut_off)
    assert runs.find_run(cut_off.name) == cut_off
    with contextlib.chdir(cut_off):
        assert runs.find_run(".") == cut_off  # a directory with a name
    with pytest.raises(ValueError, match="could be any of"):
        runs.find_run("smoke-")
    done = command_line("study", "runs", "--delete", other.name, "--yes")
    assert done.returncode == 0 and not other.exists() and cut_off.exists()
    done = command_line("study", "runs", "--delete", "smoke-nothing", "--yes")
    assert done.returncode == 1 and "there is no run 'smoke-nothing'" in done.stderr


@pytest.mark.parametrize("change", ["data.height=64", "model.host=ddrnet39", "optim.batch_size=4"])
def test_what_cannot_change_in_the_middle_of_a_run(cut_off, change):
    with pytest.raises(ValueError, match="cannot change in the middle of a run"):
        resume(cut_off, [change])


def test_files_of_weights_through_the_command_line(command_line, file, tmp_path):
    target = tmp_path / "small.safetensors"
    done = command_line("dsrl_lib", "prune", file, target, "--fold")
    assert done.returncode == 0 and "before" in done.stdout and "M MACs" in done.stdout
    done = command_line("dsrl_lib", "inspect", target)
    assert done.returncode == 0 and "batch norms folded: yes" in done.stdout
    scoring, out = ("dsrl_lib", "evaluate", "--weights", target, "--device", "cpu"), tmp_path / "scores"
    done = command_line(*scoring, "--data", "streets", "--out", out)
    assert done.returncode == 0 and "fwIoU" in done.stdout and (out / "scores.json").exists()
    done = command_line(*scoring, "--data", "camvid")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "the network has the 19 classes of cityscapes, not those of camvid" in done.stderr


def test_speed_through_the_command_line(command_line, file, tmp_path):
    trace = tmp_path / "trace.json"
    options = ("--seconds", 0.2, "--batch", 2, "--device", "cpu", "--trace", trace, "--threads", 1)
    done = command_line("dsrl_lib", "speed", file, "--sizes", "16x32", "20x40", *options)
    assert done.returncode == 0, done.stderr
    assert "16x32" in done.stdout and "20x40" in done.stdout and "latency p99 (ms)" in done.stdout
    assert "traceEvents" in trace.read_text()
    done = command_line("dsrl_lib", "speed", file, "--sizes", "16by32")
    assert done.returncode == 1 and "size '16by32'; expected HEIGHTxWIDTH" in done.stderr


def test_a_submission_is_checked_before_it_is_written(file, tmp_path, monkeypatch):
    model, config = open_weights(file)
    images, target = tmp_path / "test", tmp_path / "out.zip"
    png(images / "berlin" / "berlin_000000_000019_leftImg8bit.png", 1024, 2048)
    png(images / "bonn" / "bonn_000001_000019_leftImg8bit.png", 1024, 2048)
    with pytest.raises(DataError, match=r"holds 2 images that end in _leftImg8bit\.png, the test split has 1525"):
        submit(model, config, images, target, progress=False)
    assert submit(model, config, images, target, progress=False, expected=2) == 2
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["berlin_000000_000019_pred_labelIds.png", "bonn_000001_000019_pred_labelIds.png"]
        with Image.open(archive.open(archive.namelist()[0])) as ids:
            assert ids.size == (2048, 1024) and set(np.unique(ids)) <= set(CITYSCAPES.label_ids)
    target.unlink()
    with torch.no_grad():
        broken = copy.deepcopy(model)
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"berlin_000000_000019\S* cannot be predicted: .* no finite numbers"):
        submit(broken, config, images, target, progress=False, expected=2)
    with pytest.raises(ValueError, match=r"swapped = True: they come from labels or another frame"):
        submit(model, override(config, "downsampling.swapped", True), images, target, progress=False)
    last = images / "bonn" / "bonn_000001_000019_leftImg8bit.png"
    last.write_bytes(last.read_bytes()[:-1000])
    with monkeypatch.context() as patch:
        patch.setattr("dsrl_lib.deploy.submit.image_output", None)  # before the first prediction
        with pytest.raises(DataError, match=r"cannot read image .*bonn_000001_000019"):
            submit(model, config, images, target, progress=False, expected=2)
        png(last, 512, 1024)
        with pytest.raises(DataError, match="is 512 x 1024, not 1024 x 2048"):
            submit(model, config, images, target, progress=False, expected=2)
    (images / "bonn" / "bonn_000001_000019_leftImg8bit.png").rename(images / "bonn" / "bonn_1_leftImg8bit.png")
    with pytest.raises(DataError, match="is not named <city>_<sequence>_<frame>"):
        submit(model, config, images, target, progress=False, expected=2)
    assert not target.exists() and not list(tmp_path.glob(".*.partial"))
