"""The affinity explorer shows the rows of S that the library computes, in a browser too."""

import base64
import io
import zlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dsrl_lib import feature_affinity
from dsrl_lib.config import Config, Data
from dsrl_lib.data.normalise import normalise
from dsrl_lib.evaluation.forward import forward, network_input
from dsrl_lib.models.build import build_host
from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.overrides import override
from study import explore
from study.figures import explorer
from study.figures.showcase import affinity_to
from study.presets import preset

GRID = (8, 12)
"""Tokens at HR 64x96 and stride 8."""


@pytest.fixture(scope="module")
def networks() -> dict:
    config = override(Config(data=Data("camvid", height=64, width=96)), "optim.precision", "fp32")
    torch.manual_seed(0)
    host = build_host("espnetv2_s0.5", 11)
    return {
        "before": (DSRL(host, sisr=True, seed=1).eval(), config),
        "after": (DSRL(host, sisr=True, fa=True, seed=1, sssr_start="random").eval(), config),
    }


@pytest.fixture(scope="module")
def frame(networks) -> explorer.Explored:
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (64, 96, 3), np.uint8), rng.integers(0, 11, (64, 96), np.uint8)
    split = SimpleNamespace(names=["one"], images=[image], labels=[label])
    return explorer.explored(networks, split, 0)


def test_tokens_are_those_that_fa_compares(frame, networks):
    assert frame.tokens["before"].ftm is None
    model, config = networks["after"]
    tokens = frame.tokens["after"]
    with torch.no_grad():
        out = forward(model, network_input(frame.image, config), config)
        last = model.host.features(normalise(network_input(frame.image, config)[None])).last
    ours = [torch.from_numpy(values)[None] for values in (tokens.ftm, tokens.sr)]
    assert feature_affinity(*ours) == pytest.approx(
        feature_affinity(out["seg_map"], out["sr_map"], tokens=GRID).item(), abs=1e-6
    )
    assert np.allclose(tokens.seg, explorer.pooled(last, GRID), atol=1e-5)
    assert np.allclose(tokens.seg, frame.tokens["before"].seg)  # the same host


def test_stored_integers_are_the_tokens(frame):
    values = frame.tokens["after"].sr
    packed = explorer._packed(values)
    stored = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), "<i2").reshape(packed["shape"])
    assert np.abs(stored * packed["scale"] - values).max() <= np.abs(values).max() / 60000


def test_widgets_choose_frame_and_networks(networks, monkeypatch):
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (2, 64, 96, 3), np.uint8), rng.integers(0, 11, (2, 64, 96), np.uint8)

    class Frames(SimpleNamespace):
        def __len__(self) -> int:
            return 2

    frames = Frames(names=["one", "two"], images=images, labels=labels)
    monkeypatch.setattr(explore, "load_split", lambda name, split: frames)
    monkeypatch.setattr(explore, "trained_networks", lambda profile, seed: networks)
    widgets = explore.live_explorer("camvid")
    widgets.update()
    assert list(widgets.result.frames[0].tokens) == ["before", "after"]
    frame, arms, _ = widgets.children
    frame.value, arms.value = 1, ("after",)
    assert repr(widgets.result) == "affinity explorer: two" and list(widgets.result.frames[0].tokens) == ["after"]


def test_pruned_weights_have_no_branch_to_compare_with(results):
    assert explore.weights_of(preset("idd", "dsrl", seed=1))  # the released ones
    assert explore.trained_networks("idd", seed=1) == {} and explore.affinity_explorer("idd", 1) is None


@pytest.fixture
def page(frame, browser, tmp_path) -> Iterator[Any]:
    """The explorer of one frame at the width of a phone; no script may fail."""
    (tmp_path / "page.html").write_text(f"<!doctype html><p>above</p>{explorer.Explorer([frame])._repr_html_()}")
    page, errors = browser.new_page(viewport={"width": 390, "height": 900}), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("document.querySelector('.affinity-explorer').maps")  # the tokens are unpacked first
    yield page
    assert errors == []
    page.close()


def check_maps(page, frame, place: tuple[float, float], kinds: dict[str, str], cosines: bool = True) -> None:
    """kinds: by network that is shown, its SSSR map."""
    maps = "document.querySelector('.affinity-explorer').maps.map(m => [m.network, m.kind, m.rows.map(r => [...r])])"
    shown = page.evaluate(maps)
    assert {name: kind for name, kind, _ in shown} == kinds
    for name, kind, rows in shown:
        for row, values in zip(rows, (getattr(frame.tokens[name], kind), frame.tokens[name].sr), strict=True):
            right = affinity_to(torch.from_numpy(values)[None], place, GRID, cosines)
            assert np.allclose(np.reshape(row, GRID), right, atol=2e-3 * np.abs(right).max())


def test_a_click_shows_that_pixel_in_the_browser(page, frame):
    check_maps(page, frame, (0.6, 0.5), {"before": "seg", "after": "ftm"})
    place = page.locator(".place").nth(0)
    box = place.bounding_box()
    place.click(position={"x": 0.9 * box["width"], "y": 0.2 * box["height"]})
    check_maps(page, frame, (0.2, 0.9), {"before": "seg", "after": "ftm"})
    page.keyboard.press("ArrowDown")  # one token
    check_maps(page, frame, (0.2 + 1 / 8, 0.9), {"before": "seg", "after": "ftm"})
    page.select_option("select[name=side]", "seg")
    page.select_option("select[name=normalise]", "false")
    check_maps(page, frame, (0.2 + 1 / 8, 0.9), {"before": "seg", "after": "seg"}, cosines=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_network_can_be_chosen_in_the_browser(page, frame):
    assert (frame.predictions["before"] != frame.predictions["after"]).any()
    kinds = {"before": "seg", "after": "ftm"}
    for chosen, shown in {"before": ["before"], "after": ["after"], "all": ["before", "after"]}.items():
        page.select_option("select[name=network]", chosen)
        check_maps(page, frame, (0.6, 0.5), {name: kinds[name] for name in shown})
        predictions = page.eval_on_selector_all("img[alt=prediction]", "images => images.map(image => image.src)")
        for address, name in zip(predictions, shown, strict=True):
            with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
                assert np.array_equal(picture.convert("RGB"), frame.predictions[name])
