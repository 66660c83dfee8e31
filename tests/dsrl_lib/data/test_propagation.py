"""Propagation of images and labels: hand-made motions, a general warp as oracle, and the data set that is written."""

import os
import signal
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from torchvision.models.optical_flow import raft_small
from written_frames import save

from dsrl_lib.__main__ import main
from dsrl_lib.data import propagated_set, propagation
from dsrl_lib.data.propagated_set import Video, write_propagated
from dsrl_lib.data.propagation import (
    FLOWS,
    RAFT,
    composed,
    consistent,
    dis_flow,
    motions,
    nearest_labels,
    propagate,
    raft_flow,
    sampled,
)
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.propagation import label_quality, propagation_quality
from dsrl_lib.metrics import VOID

SIZE = (40, 56)
STEP = (2, 3)
"""Rows and columns by which each frame of `street` moves down and to the right."""


def street(frames: int, seed: int = 0):
    """Frames and label maps of a smooth texture that moves by STEP."""
    rng = np.random.default_rng(seed)
    sides = [side + frames * step for side, step in zip(SIZE, STEP, strict=True)]
    wide = gaussian_filter(rng.random((*sides, 3)), (2, 2, 0))
    wide = np.uint8(255 * (wide - wide.min()) / np.ptp(wide))
    ids = np.uint8(2 * (wide[..., 0] > 128) + (wide[..., 1] > 128))
    ids[10:14] = VOID
    starts = [[(frames - i) * step for step in STEP] for i in range(frames)]
    cut = [np.s_[top : top + SIZE[0], left : left + SIZE[1]] for top, left in starts]
    return [wide[place] for place in cut], [ids[place] for place in cut]


def exact(frame, source, of):
    """The true flow between two frames of the list `of`."""
    places = [next(i for i, known in enumerate(of) if np.array_equal(known, p)) for p in (source, frame)]
    return np.broadcast_to(np.float32(STEP) * (places[0] - places[1]), (*SIZE, 2))


def test_a_moving_picture_and_its_labels_are_warped_alike():
    frames, labels = street(4)
    pairs = list(propagate(frames, labels[0], lambda a, b: exact(a, b, frames)))
    assert len(pairs) == 3
    for k, (image, found) in enumerate(pairs, start=1):
        seen = np.s_[2 * k :, 3 * k :]  # the rest came from beyond the first frame
        assert np.array_equal(image[seen], frames[k][seen]) and np.array_equal(found[seen], labels[k][seen])
        outside = np.ones(SIZE, bool)
        outside[seen] = False
        assert (found[outside] == VOID).all()
    only = list(propagate(frames, labels[0], lambda a, b: exact(a, b, frames), joint=False))
    assert all(np.array_equal(image, frame) for (image, _), frame in zip(only, frames[1:], strict=True))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(only, pairs, strict=True))


def test_it_goes_back_in_time_as_well():
    frames, labels = street(3)
    found = [label for _, label in propagate(frames[::-1], labels[2], lambda a, b: exact(a, b, frames))]
    assert np.array_equal(found[1][:-4, :-6], labels[0][:-4, :-6]) and (found[1][-4:] == VOID).all()


def test_pictures_of_another_kind_or_size_are_refused():
    frames, labels = street(2)
    for wrong, of in (
        ([frame / 255 for frame in frames], labels[0]),  # floats would all be black
        ([frame[..., 0] for frame in frames], labels[0]),
        ([frames[0], frames[1][:-2]], labels[0]),
        (frames, labels[0][::2, ::2]),  # labels of half the size would lie elsewhere
    ):
        with pytest.raises(ValueError, match=r"propagate: .* allowed: frames uint8 \(H, W, 3\) and labels \(H, W\)"):
            propagate(wrong, of, lambda a, b: exact(a, b, frames))


def test_sampling_agrees_with_a_general_warp():
    rng = np.random.default_rng(0)
    values, flow = rng.random((*SIZE, 2), np.float32), rng.normal(0, 3, (*SIZE, 2)).astype(np.float32)
    at = np.moveaxis(np.stack(np.mgrid[: SIZE[0], : SIZE[1]], -1) + flow, -1, 0)
    expected = np.stack([map_coordinates(values[..., c], at, order=1, mode="nearest") for c in (0, 1)], -1)
    np.testing.assert_allclose(sampled(values, flow), expected, atol=2e-5)
    labels = rng.integers(0, 5, SIZE, np.uint8)
    naive = np.full(SIZE, VOID, np.uint8)
    for row, column in np.ndindex(SIZE):
        place = tuple(int(np.rint(axis[row, column])) for axis in at)
        if 0 <= place[0] < SIZE[0] and 0 <= place[1] < SIZE[1]:
            naive[row, column] = labels[place]
    assert np.array_equal(nearest_labels(labels, flow), naive)


def test_flows_of_steps_compose_and_a_pixel_that_does_not_come_back_is_void():
    one, two = (np.full((*SIZE, 2), np.float32(step)) for step in (STEP, (1, -4)))
    assert np.allclose(composed(one, two), np.float32((3, -1)))
    frames, _ = street(3)
    flows = list(motions(frames, lambda a, b: exact(a, b, frames)))
    assert np.allclose(flows[1][0], (-4, -6)) and np.allclose(flows[1][1], (4, 6))
    assert consistent(one, -one).all() and not consistent(one, one).any()
    forward = -one.copy()
    forward[20, 20] += (0, 1.6)  # the pixel that row 18, column 17 came from
    away = np.argwhere(~consistent(one, forward))
    assert away.tolist() == [[18, 17]] and consistent(one, forward, tolerance=1.7).all()


def test_dis_finds_the_motion_of_a_texture():
    pytest.importorskip("cv2", reason="OpenCV is optional")
    frames, _ = street(2)
    flow = dis_flow(frames[1], frames[0])
    assert np.abs(flow[8:-8, 8:-8] + STEP).max() < 0.5  # rows first: (-2, -3)


class Correlation(torch.nn.Module):
    """What RAFT is called with and gives, for pictures that move as a whole: the shift at the peak of a correlation."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        for picture in (first, second):
            assert picture.shape[:2] == (1, 3) and picture.abs().max() <= 1 and picture.min() < -0.5
        found = np.fft.ifft2(np.conj(np.fft.fft2(first[0, 0])) * np.fft.fft2(second[0, 0])).real
        rows, columns = np.unravel_index(found.argmax(), found.shape)
        # second(x + shift) is first(x)
        shift = [(columns + 20) % found.shape[1] - 20.0, (rows + 20) % found.shape[0] - 20.0]
        flow = torch.tensor(shift)[None, :, None, None].expand(1, 2, *found.shape)
        return [torch.full_like(flow, 99.0), flow]  # the last of its iterations counts


def test_raft_is_asked_for_the_flow_from_the_frame_to_its_source(monkeypatch):
    """In the convention of torchvision: from the first image to the second, columns first."""
    monkeypatch.setattr(propagation, "_raft", Correlation)
    source = np.random.default_rng(0).integers(0, 256, (128, 136, 3), np.uint8)
    frame = np.roll(source, STEP, (0, 1))
    assert np.allclose(raft_flow(frame, source), np.negative(STEP))
    assert np.allclose(raft_flow(source, frame), STEP)


def test_raft_at_other_sides_gives_pixels_of_the_frame(monkeypatch):
    """The network sees 136 x 144; what it calls 4 columns and 2 rows are fewer pixels of a frame of 130 x 141."""
    flow = torch.tensor([4.0, 2.0])[None, :, None, None].expand(1, 2, 136, 144)
    monkeypatch.setattr(propagation, "_raft", lambda: lambda first, second: [flow])
    frame = np.zeros((130, 141, 3), np.uint8)
    found = raft_flow(frame, frame)
    assert found.shape == (130, 141, 2) and np.allclose(found, (2 * 130 / 136, 4 * 141 / 144))


@pytest.mark.parametrize("size", [(128, 136), SIZE, (130, 150)])
def test_raft_of_torchvision_takes_frames_of_any_size(monkeypatch, size):
    torch.manual_seed(0)
    network = raft_small().eval()
    monkeypatch.setattr(propagation, "_raft", lambda: network)
    frame, source = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    flow = raft_flow(frame, source)
    assert flow.shape == (*size, 2) and flow.dtype == np.float32 and np.isfinite(flow).all() and flow.std() > 0
    image, labels = next(propagate([source, frame], frame[..., 0] % 4, raft_flow))
    assert image.shape == (*size, 3) and labels.shape == size


def test_quality_is_perfect_for_the_true_motion():
    frames, labels = street(5)
    split = type("Video", (), {"images": frames, "labels": labels, "__len__": lambda self: 5})()
    asked = []

    def counted(a, b):
        asked.append((a.tobytes(), b.tobytes()))
        return exact(a, b, frames)

    table = propagation_quality(split, 4, (1, 3), counted, progress=False)
    assert len(asked) == len(set(asked)) == 8  # of each of four neighbours, once in each direction
    assert table["steps"].tolist() == [1, 1, 1, 3, 3, 3] and table["pairs"].tolist() == [4, 4, 4, 2, 2, 2]
    by_form = table.set_index(["steps", "form"])
    assert (by_form.loc[[(1, "flow"), (3, "consistent")], ["mIoU", "near"]] == 100).all(axis=None)
    assert by_form.loc[(1, "no motion"), "mIoU"] < 90 and by_form.loc[(3, "no motion"), "near"] < 80
    assert by_form.loc[(1, "no motion"), "kept"] > by_form.loc[(1, "flow"), "kept"]
    direct = propagation_quality(split, 4, (3, 1), lambda a, b: exact(a, b, frames), direct=True, progress=False)
    assert direct.equals(table)
    with pytest.raises(ValueError, match=r"steps = \(5, 7\); allowed: at least one below 5"):
        propagation_quality(split, 4, (5, 7), None, progress=False)


def test_flow_that_follows_neighbours_alone_is_good_composed_and_useless_direct():
    frames, labels = street(4)
    split = type("Video", (), {"images": frames, "labels": labels, "__len__": lambda self: 4})()

    def near_sighted(frame, source):
        flow = exact(frame, source, frames)
        return flow if np.abs(flow).max() <= max(STEP) else np.zeros_like(flow)

    composed, direct = (
        propagation_quality(split, 4, (1, 3, 9), near_sighted, direct=way, progress=False).set_index(["steps", "form"])
        for way in (False, True)
    )
    assert composed.index.equals(direct.index) and composed.loc[(3, "flow"), "mIoU"] == 100
    assert direct.loc[(1, "flow")].equals(composed.loc[(1, "flow")])
    assert direct.loc[(3, "flow")].equals(direct.loc[(3, "no motion")])


def test_quality_of_given_labels_is_that_of_the_forms():
    frames, labels = street(3)
    split = type("Video", (), {"images": frames, "labels": labels, "__len__": lambda self: 3})()
    still = propagation_quality(split, 4, (1,), lambda a, b: exact(a, b, frames), progress=False).iloc[0].to_dict()
    assert {"steps": 1, "form": "no motion"} | label_quality(labels[:2], labels[1:], 4) == still
    truth = np.array([[0, 0, 1, 1]], np.uint8)  # by hand: one of two pixels of each class is right, one is left out
    found = label_quality([np.array([[0, 1, 1, VOID]], np.uint8)], [truth], 4)
    assert found == pytest.approx({"pairs": 1, "mIoU": 50, "near": 50, "kept": 75})
    with pytest.raises(ValueError, match="there is no label map"):
        label_quality([], [], 4)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Your own data set of one labelled frame per split, and the video around the one of train."""
    monkeypatch.setenv("DSRL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DSRL_CACHE", str(tmp_path / "cache"))
    frames, labels = street(5)
    for i, frame in enumerate(frames):
        save(tmp_path / "video" / f"drive_{8 + i:02d}.png", frame)
    for split in ("train", "val"):
        name = "drive_10" if split == "train" else "other_1"
        save(tmp_path / "data" / "mine" / split / "images" / f"{name}.png", frames[2])
        save(tmp_path / "data" / "mine" / split / "labels" / f"{name}.png", labels[2])
    (tmp_path / "data" / "mine" / "classes.txt").write_text("a\nb\nc\nd\n")
    return tmp_path


@pytest.mark.parametrize("joint", [True, False])
def test_the_data_set_that_is_written_can_be_trained_on(data, monkeypatch, joint):
    frames, labels = street(5)
    monkeypatch.setitem(FLOWS, "exact", (lambda a, b: exact(a, b, frames), lambda: None))
    (data / "disk").mkdir()
    (data / "data" / "more").symlink_to(data / "disk")  # an empty folder, by a link
    counts = write_propagated("mine", data / "video", data / "data" / "more", steps=3, flow="exact", joint=joint)
    assert counts == {"train": 5, "val": 1, "test": 1}  # two frames on each side are there
    split = load_split("more", "train")
    assert split.names == [f"drive_10{end}" for end in ("", "_step+1", "_step+2", "_step-1", "_step-2")]
    assert set(split.sequences) == {"drive"}
    assert np.array_equal(split.labels[0], labels[2]) and np.array_equal(split.images[0], frames[2])
    assert np.array_equal(split.labels[1][2:, 3:], labels[3][2:, 3:])
    assert np.array_equal(split.images[4], frames[0]) is not joint
    assert np.array_equal(load_split("more", "val").labels[0], labels[2])
    with pytest.raises(RuntimeError, match="holds files already"):
        write_propagated("mine", data / "video", data / "data" / "more", flow="exact")


def test_frames_that_are_held_out_are_no_pairs_of_true_images(data, monkeypatch):
    """A frame of val beside one of train: warped from train it may be trained on, as it is it may not."""
    monkeypatch.setitem(FLOWS, "none", (lambda a, b: np.zeros((*SIZE, 2), np.float32), lambda: None))
    for kind in ("images", "labels"):
        folder = data / "data" / "mine" / "val" / kind
        (folder / "other_1.png").rename(folder / "drive_12.png")
    write = partial(write_propagated, "mine", data / "video", flow="none")
    with pytest.raises(RuntimeError, match="drive_12 is beside drive_10 of train and a frame of val"):
        write(data / "data" / "more", steps=2, joint=False)
    assert not (data / "data" / "more").exists()
    assert write(data / "data" / "nearer", steps=1, joint=False)["train"] == 3
    assert write(data / "data" / "joint", steps=2)["train"] == 5


def test_a_scheduler_that_ends_the_command_leaves_nothing_behind(data, monkeypatch):
    monkeypatch.setattr(propagated_set, "save_pair", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before, handler = sorted((data / "data").rglob("*")), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["dsrl", "propagate", "mine", f"{data / 'video'}", f"{data / 'data' / 'more'}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 128 + signal.SIGTERM and signal.getsignal(signal.SIGTERM) == handler
    assert sorted((data / "data").rglob("*")) == before


def test_wrong_requests_are_explained(data, monkeypatch):
    monkeypatch.setitem(FLOWS, "none", (lambda a, b: np.zeros((*SIZE, 2), np.float32), lambda: None))
    write = partial(write_propagated, "mine", flow="none")
    with pytest.raises(ValueError, match="flow = 'pwc'; allowed: dis, raft"):
        write(data / "video", data / "out", flow="pwc")
    monkeypatch.setenv("DSRL_WEIGHTS", str(data / "no-weights"))
    with pytest.raises(FileNotFoundError, match="flow = raft needs the weights"):
        write(data / "video", data / "out", flow="raft")
    (data / "no-weights/raft").mkdir(parents=True)
    (data / "no-weights" / RAFT).write_bytes(b"PK of an archive that was cut off")
    with pytest.raises(RuntimeError, match=r"raft_large.*pth holds no weights of RAFT"):
        write(data / "video", data / "out", flow="raft")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RuntimeError, match="flow = dis needs OpenCV: pip install"):
        write(data / "video", data / "out", flow="dis")
    with pytest.raises(ValueError, match="steps = 0; allowed: a whole number, 1 or more"):
        write(data / "video", data / "out", steps=0)
    with pytest.raises(ValueError, match="tolerance = nan; allowed: a number 0 or more"):
        write(data / "video", data / "out", tolerance=float("nan"))
    save(data / "elsewhere" / "drive_77.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(RuntimeError, match="holds no frame of the train split of mine, such as drive_10"):
        write(data / "elsewhere", data / "out")
    monkeypatch.setitem(FLOWS, "none", (lambda a, b: pytest.fail("flow was estimated"), lambda: None))
    Image.new("RGB", (8, 8)).save(data / "video" / "drive_09.png")  # the last one that is needed
    with pytest.raises(RuntimeError, match="not of the size of drive_10"):
        write(data / "video", data / "out")
    (data / "video/drive_09.png").write_bytes(b"cut off")
    with pytest.raises(RuntimeError, match=r"cannot read image .*video/drive_09.png"):
        write(data / "video", data / "out")
    assert {path.name for path in data.iterdir()} == {"cache", "data", "elsewhere", "no-weights", "video"}


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("a_9", "a_10", "a_8", "b_11", "city_000001_000019_leftImg8bit"):
        save(tmp_path / f"{name}.png", np.full((4, 4, 3), int(name.split("_")[1]), np.uint8))
    video = Video(tmp_path)
    assert [frame[0, 0, 0] for frame in video.after("a_9", -2)] == [8]
    assert [frame[0, 0, 0] for frame in video.after("a_8", 5)] == [9, 10]
    assert video.after("b_11", 1) == [] and "city_000001_000019" in video.place


@pytest.mark.parametrize(
    ("numbers", "of", "beside"),
    [
        ((1, 2, 3, 5, 6), 3, {1: [], -3: [2, 1]}),  # frame 4 is missing
        ((1, 2, 3, 5, 6), 5, {3: [6], -1: []}),
        ((11, 13, 15, 19, 21), 15, {2: [], -2: [13, 11]}),  # every second frame was kept, as of CamVid, and 17 lost
        ((0, 33, 67, 100, 167, 200), 67, {3: [100], -3: [33, 0]}),  # milliseconds, which are not even
        ((18, 19, 20, 218, 219, 220), 19, {2: [20], -2: [18]}),  # two videos under one name
        ((10, 40, 70), 40, {2: [70], -2: [10]}),
        ((10, 40), 10, {1: [40]}),  # nothing says that one is missing
    ],
)
def test_a_gap_ends_a_sequence(tmp_path, numbers, of, beside):
    for number in numbers:
        save(tmp_path / f"a_{number:06}.png", np.full((4, 4, 3), number, np.uint8))
    video = Video(tmp_path)
    for steps, expected in beside.items():
        assert [frame[0, 0, 0] for frame in video.after(f"a_{of:06}", steps)] == expected


def test_a_propagated_set_is_not_propagated_over(data, monkeypatch):
    monkeypatch.setitem(FLOWS, "none", (lambda a, b: np.zeros((*SIZE, 2), np.float32), lambda: None))
    write_propagated("mine", data / "video", data / "data" / "more", flow="none")
    with pytest.raises(RuntimeError, match=r"train has a frame drive_10_step\+1, which a pair would replace"):
        write_propagated("more", data / "video", data / "data" / "again", flow="none")
    assert not (data / "data" / "again").exists()
