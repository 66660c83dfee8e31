"""Files of your own data set that are read wrongly elsewhere, or that are bad: all is said before training."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_frames import SIZE, cycle, picture, save

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.images import read_picture
from dsrl_lib.data.split import load_split


@pytest.fixture
def orchard(root: Path) -> Path:
    """Two frames per split, of three classes."""
    for split in ("train", "val"):
        for k in range(2):
            save(root / f"orchard/{split}/images/{k}.png", picture(k))
            save(root / f"orchard/{split}/labels/{k}.png", cycle(0, 1, 2, 255))
    (root / "orchard/classes.txt").write_text("soil\ntree\nfruit\n")
    return root / "orchard"


def kinds() -> dict[str, Image.Image]:
    """One picture in the kinds that are read faithfully, by the name of the file."""
    grey, colours = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40) * 30, Image.fromarray(picture(3, (48, 40)))
    return {
        "deep.png": Image.fromarray(grey),
        "deep.tif": Image.fromarray(grey),
        "deep.pgm": Image.fromarray(grey),
        "palette.png": colours.quantize(16),
        "cmyk.jpg": colours.convert("CMYK"),
        "alpha.png": colours.convert("RGBA"),
        "bits.png": colours.convert("1"),
    }


@pytest.mark.parametrize("name", kinds())
def test_training_reads_what_predict_reads(orchard: Path, name: str) -> None:
    image = kinds()[name]
    path = orchard / "train/images" / name
    image.save(path)
    save(orchard / f"train/labels/{path.stem}.png", cycle(0, 1, size=(48, 40)))
    split = load_split("orchard", "train")
    read = split.images[split.names.index(path.stem)]
    np.testing.assert_array_equal(read, read_picture(path))
    if path.stem == "deep":  # 16 bits -> 8 bits
        expected = np.round(np.arange(48 * 40).reshape(48, 40) * 30 / 65535 * 255)
        np.testing.assert_array_equal(read, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_turned_photo_is_upright_in_training_too(orchard: Path, orientation: int) -> None:
    upright = Image.fromarray(np.kron(picture(1, (4, 8)), np.ones((16, 16, 1), np.uint8)))  # 64 x 128
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]  # 6: to be turned clockwise
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.transpose(turn).save(orchard / "val/images/2.png", exif=exif)
    save(orchard / "val/labels/2.png", cycle(0, 1, size=(64, 128)))
    np.testing.assert_array_equal(load_split("orchard", "val").images[2], np.asarray(upright))


@pytest.mark.parametrize("pixels", [np.zeros(SIZE, np.float32), np.full(SIZE, 200, np.int32)])
def test_pixels_without_a_known_range_are_refused(orchard: Path, pixels: np.ndarray) -> None:
    (orchard / "val/images/1.png").unlink()
    Image.fromarray(pixels).save(orchard / "val/images/1.tif")
    with pytest.raises(DataError, match=r"cannot read image .*val/images/1.tif: mode [FI]; allowed: 8 bits per chan"):
        load_split("orchard", "val")


def test_floats_of_a_pfm_are_refused(tmp_path: Path) -> None:
    """From 0 to 1 they would all be black; Pillow calls their format that of PGM."""
    path = tmp_path / "high.pfm"
    Image.fromarray(np.full(SIZE, 0.5, np.float32)).save(path, "PPM")
    with pytest.raises(DataError, match=r"cannot read image .*high.pfm: mode F; allowed: 8 bits per chan"):
        read_picture(path)


@pytest.mark.parametrize(("bits", "row"), [(2, b"\x1b"), (4, b"\x01\x23")])
def test_ids_that_pillow_stretches_are_refused(orchard: Path, bits: int, row: bytes) -> None:
    """Grey of 2 bits: it reads 0 1 2 3 as 0 85 170 255, the last of which is void."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    (orchard / "val/labels/1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    with pytest.raises(DataError, match=r"label map .*val/labels/1.png is grey of less than 8 bits; allowed: 8 bits"):
        load_split("orchard", "val")


@pytest.mark.parametrize(("kind", "how"), [("JPEG", {}), ("TIFF", {"compression": "jpeg"}), ("AVIF", {"quality": 50}),
                                           ("JPEG2000", {"irreversible": True, "quality_layers": [9]})])  # fmt: skip
def test_a_label_map_whose_ids_were_compressed_away_is_refused(orchard: Path, kind: str, how: dict) -> None:
    Image.fromarray(cycle(0, 1, 2)).save(orchard / "val/labels/1.png", kind, **how)  # most of them are still 0 to 2
    with pytest.raises(DataError, match=rf"val/labels/1.png is a {kind}( compressed as jpeg)?, which changes ids"):
        load_split("orchard", "val")


def test_a_format_that_keeps_ids_is_read_under_the_name_of_png(orchard: Path) -> None:
    Image.fromarray(cycle(0, 1, 2)).save(orchard / "val/labels/1.png", "TIFF", compression="tiff_lzw")
    np.testing.assert_array_equal(load_split("orchard", "val").labels[1], cycle(0, 1, 2))


def test_ids_of_a_palette_of_few_colours_are_read(orchard: Path) -> None:
    ids = Image.fromarray(cycle(0, 1, 2)).convert("P")
    ids.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    ids.save(orchard / "val/labels/1.png", bits=2)
    np.testing.assert_array_equal(load_split("orchard", "val").labels[1], cycle(0, 1, 2))


def test_label_maps_may_end_in_capital_letters(orchard: Path, capsys: pytest.CaptureFixture) -> None:
    (orchard / "val/labels/1.png").rename(orchard / "val/labels/1.PNG")
    assert len(load_split("orchard", "val")) == 2 and "have no image" not in capsys.readouterr().err


def test_a_mark_of_the_byte_order_is_no_part_of_the_first_class(orchard: Path) -> None:
    (orchard / "classes.txt").write_bytes(b"\xef\xbb\xbfvoid\r\nsoil\r\ntree\r\n")
    assert class_table("orchard").classes == ("soil", "tree")


def test_two_images_of_one_name_are_refused(orchard: Path) -> None:
    Image.fromarray(picture()).save(orchard / "train/images/0.jpg")
    save(orchard / "train/images/0.k.png", picture())  # between the two in the order of names
    save(orchard / "train/labels/0.k.png", cycle(0, 1))
    with pytest.raises(DataError, match=r"images/0.jpg and .*images/0.png share one label map"):
        load_split("orchard", "train")


def test_two_label_maps_of_one_image_are_refused(orchard: Path) -> None:
    save(orchard / "train/labels/0.k.png", cycle(0, 1))  # of no image: named alone
    Image.fromarray(cycle(2, 1)).save(orchard / "train/labels/0.PNG")
    with pytest.raises(DataError, match=r"labels/0.PNG and .*labels/0.png are label maps of one image: move one"):
        load_split("orchard", "train")


def test_images_behind_a_link_are_not_left_out(orchard: Path) -> None:
    for split in ("train", "val"):
        (orchard / split / "images/2024").mkdir()
    (orchard / "train/images/2024/again").symlink_to(orchard / "train/images/2024")  # a loop, without images
    assert len(load_split("orchard", "train")) == 2
    save(orchard / "disk/5.png", picture(5))
    (orchard / "val/images/2024/day").symlink_to(orchard / "disk")
    with pytest.raises(DataError, match="images/2024 holds images that would not be read: put all of them into"):
        load_split("orchard", "val")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_no_image(orchard: Path, make: Callable[[Path], None]) -> None:
    path = orchard / "train/images/1.png"
    path.unlink()
    make(path)
    with pytest.raises(DataError, match=r"cannot read image .*images/1.png: it is not a file"):
        load_split("orchard", "train")


@pytest.mark.parametrize("name", ["9.gif", "day2/9.png", "day2/9.webp", "day2/9.gif"])
def test_no_image_is_left_out_without_a_word(orchard: Path, name: str) -> None:
    path = orchard / "val/images" / name
    path.parent.mkdir(exist_ok=True)
    (orchard / "val/images/Thumbs.db").write_bytes(b"")  # no image
    (orchard / "val/images/empty").mkdir()
    assert len(load_split("orchard", "val")) == 2
    Image.fromarray(picture()).save(path)
    said = r"images/9.gif; allowed: files that|images/day2 holds images that would"
    with pytest.raises(DataError, match=said):
        load_split("orchard", "val")
    save(orchard / "val/labels/9.png", cycle(0, 1))
    with pytest.raises(DataError, match=said):
        load_split("orchard", "val")


@pytest.mark.parametrize("name", ["Void", "VOID", "0 void", "0: void", "void,", "void,0,0,0"])
def test_void_has_one_spelling(orchard: Path, name: str) -> None:
    (orchard / "classes.txt").write_text(f"{name}\nsoil\ntree\n")
    with pytest.raises(DataError, match=f"has the line '{name}': a line that makes its value void is 'void'"):
        load_split("orchard", "val")


def test_a_class_list_in_another_encoding_says_which_is_read(orchard: Path) -> None:
    (orchard / "classes.txt").write_text("soil\ntree\nfruit\n", "utf-16")  # as PowerShell writes it
    with pytest.raises(DataError, match=r"classes.txt cannot be read \(.*\); allowed: text in UTF-8$"):
        load_split("orchard", "val")


@pytest.mark.parametrize("line", ["# of the orchard", "void # not labelled"])
def test_a_comment_is_no_class(orchard: Path, line: str) -> None:
    (orchard / "classes.txt").write_text(f"{line}\nsoil\ntree\n")
    with pytest.raises(DataError, match=f"classes.txt has the line '{line}'; allowed: the name of a class alone"):
        load_split("orchard", "val")


@pytest.mark.parametrize(
    "text",
    ["1 soil\n2 tree\n", "1 tree\n0 soil\n", "7,soil\n26,tree\n", "1. soil\n2. tree\n", "1) soil\n2) tree\n",
     '"1","soil"\n"2","tree"\n', "names:\n0: soil\n1: tree\n", "soil: 1\ntree: 0\n", "soil\t7\ntree\t8\n"],
)  # fmt: skip
def test_numbers_in_a_list_are_those_of_its_lines(orchard: Path, text: str) -> None:
    (orchard / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"classes.txt numbers its lines \d+, \d+; allowed: 0, 1, 2, ... in this order"):
        load_split("orchard", "val")
    for names in (("0 soil", "1 tree"), ("4 wheels", "two wheels"), ("lane 1", "lane 2"), ("soil (0)", "tree (1)"),
                  ("car", "4-door", "2-seater"), ("Airbus 320", "Boeing 747"), ("1", "2", "3")):  # fmt: skip
        (orchard / "classes.txt").write_text("\n".join(names))
        assert class_table("orchard").classes == names


@pytest.mark.parametrize(
    ("text", "line"),
    [(b"name,r,g,b\nsoil,1,2,3\ntree,4,5,6\n", "soil,1,2,3"), (b'[\n"soil",\n"tree"\n]\n', r"\["),
     ("soil\ntree\n".encode("utf-16-le"), r"s\\x00o\\x00i\\x00l\\x00"), (b"so\x0bil\ntree\n", r"so\\x0bil"),
     ("so\u2028il\ntree\n".encode(), r"so\\u2028il"), (b"// my classes\nsoil\ntree\n", "// my classes")],
)  # fmt: skip
def test_a_list_of_another_kind_moves_no_ids(orchard: Path, text: bytes, line: str) -> None:
    """Such as a table with colours, JSON, UTF-16 without its mark, and letters at which Python cuts lines."""
    (orchard / "classes.txt").write_bytes(text)
    with pytest.raises(DataError, match=f"classes.txt has the line '{line}'; allowed: "):
        load_split("orchard", "val")


def test_a_class_without_a_pixel_is_named(orchard: Path, capsys: pytest.CaptureFixture) -> None:
    (orchard / "classes.txt").write_text("ground\ncrack\n")
    for path in orchard.glob("*/labels/*.png"):
        save(path, cycle(0, 255))  # a mask of 0 and 255
    for _ in range(2):  # the second call reads no file again
        load_split("orchard", "train")
        assert "no label of orchard train holds crack; a pixel stored as 255 is void" in capsys.readouterr().err
    load_split("orchard", "val")  # a class may be missing where nothing is learned
    assert "crack" not in capsys.readouterr().err


@pytest.mark.parametrize(("split", "named"), [("train", "train"), ("val", "val"), ("test", "val")])  # no folder test/
def test_a_split_without_a_labelled_pixel_is_refused(orchard: Path, split: str, named: str) -> None:
    for path in orchard.glob("*/labels/*.png"):
        save(path, cycle(255))
    with pytest.raises(DataError, match=f"no pixel of orchard {named} is labelled with one of soil, tree, fruit"):
        load_split("orchard", split)


def test_a_bad_file_is_found_before_it_is_used(orchard: Path) -> None:
    image, label = orchard / "val/images/1.png", orchard / "val/labels/1.png"
    load_split("orchard", "val")
    save(label, cycle(7))
    with pytest.raises(DataError, match=r"val/labels/1.png has unknown ids \[7\]"):
        load_split("orchard", "val")
    save(label, cycle(0, size=(31, 64)))
    with pytest.raises(DataError, match=r"val/labels/1.png is 31 x 64, not 32 x 64"):
        load_split("orchard", "val")
    save(label, cycle(0, 1))
    image.write_bytes(image.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"cannot read image .*val/images/1.png"):
        load_split("orchard", "val")


def test_a_hidden_file_is_no_frame_and_a_label_map_without_image_is_named(orchard: Path, capsys) -> None:
    (orchard / "val/images/._0.png").write_bytes(b"of macOS")
    (orchard / "val/labels/._0.png").write_bytes(b"of macOS")
    save(orchard / "val/images/.ipynb_checkpoints/0.png", picture())
    save(orchard / "val/labels/7.png", cycle(0, 1))
    assert load_split("orchard", "val").names == ["0", "1"]
    assert "warning: 1 label maps in " in (said := capsys.readouterr().err) and "such as 7.png" in said


def test_a_turned_label_map_is_upright_too(orchard: Path) -> None:
    ids, exif = cycle(0, 1, 2, size=(4, 6)), Image.Exif()
    exif[0x0112] = 3
    save(orchard / "val/images/2.png", picture(size=(4, 6)))
    Image.fromarray(ids[::-1, ::-1]).save(orchard / "val/labels/2.png", exif=exif)
    np.testing.assert_array_equal(load_split("orchard", "val").labels[2], ids)


def test_a_frame_that_a_list_names_twice_is_refused(root: Path) -> None:
    for folder, pixels in (("val", picture()), ("valannot", cycle(0, 1))):
        for name in ("a_1", "a_2"):
            save(root / f"camvid/{folder}/{name}.png", pixels)
    (root / "camvid/val.txt").write_text("a_1\na_2\na_1\n")
    with pytest.raises(DataError, match="frame a_1 stands 2 times in the list of camvid val"):
        load_split("camvid", "val")
