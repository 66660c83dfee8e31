"""The site: built once without a network, every page whole; in headless Chromium at two widths."""

import functools
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dsrl_lib.paths import root
from study.site import generated

pytestmark = pytest.mark.endurance

WIDTHS = (1280, 390)
PAGES = (
    "index.html", "README.html", "commands.html", "api/dsrl_lib.html", "claims/camvid/C2.html",
    "docs/methods/feature_affinity.html", "results/camvid/notebooks/02_method.html",
    "results/camvid/notebooks/41_main_results.html", "results/camvid/notebooks/52_affinity_explorer.html",
    "results/camvid/REPORT.html", "results/idd/notebooks/41_main_results.html", "claims/idd/C2.html",
)  # fmt: skip

MATHS = ("docs/methods/feature_affinity.html", "results/camvid/notebooks/02_method.html")


def page(site: Path, name: str) -> str:
    return (site / name).read_text()


def test_every_notebook_report_and_method_is_a_page(site):
    patterns = ("results/*/notebooks/*.ipynb", "results/*/REPORT.md", "docs/methods/*.md")
    command = ["git", "ls-files", *(f":(glob){pattern}" for pattern in patterns)]
    published = [Path(name) for name in subprocess.check_output(command, text=True, cwd=root()).splitlines()]
    assert {path.parts[1] for path in published} >= {"camvid", "idd", "camvid_videos", "moving", "methods"}
    for path in published:
        assert (site / path.with_suffix(".html")).exists(), path


@pytest.mark.parametrize("profile", ["camvid", "idd", "moving"])
def test_every_claim_is_a_page(site, profile):
    claims = pd.read_csv(root() / "results" / profile / "claims.csv")["claim"].unique()
    assert {path.stem for path in (site / "claims" / profile).glob("*.html")} == set(claims) != set()


def test_tables_are_tables_and_code_is_folded(site):
    results = page(site, "results/camvid/notebooks/41_main_results.html")
    notebook = json.loads((root() / "results" / "camvid" / "notebooks" / "41_main_results.ipynb").read_text())
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    tables = sum("\n|:-" in "".join(data.get("text/markdown", "")) for data in outputs)
    assert results.count("<table") == tables > 3
    assert results.count("<details") > 5  # the code
    assert not [path for path in site.rglob("*.html") if "| --- |" in path.read_text()]
    assert page(site, "README.html").count("<b>C1") + page(site, "README.html").count("<strong>C1</strong>") == 1


def test_a_claim_shows_its_runs_and_their_counts(site):
    text = page(site, "claims/camvid/C1.html")
    assert "not reproduced" in text and "gain of at least 2" in text
    counts = pd.read_csv(next((site / "_downloads").glob("*/C1-counts.csv")))
    results = pd.read_csv(root() / "results" / "camvid" / "results.csv").set_index("run_id")["test_miou"]
    assert counts["run"].nunique() == 10  # dsrl and lr, five seeds
    union = counts["true_positive"] + counts["false_positive"] + counts["false_negative"]
    miou = 100 * (counts["true_positive"] / union).groupby(counts["run"]).mean()
    for run, value in miou.items():
        assert value == pytest.approx(results[run], abs=1e-3)
        assert f"{value:.2f}" in text and run in text


def test_equations_are_equations_and_the_doors_are_documented(site):
    for name in MATHS:
        assert page(site, name).count("<math") > 5, name
    for package in ("dsrl_lib", "study", "benchmarks"):
        door = page(site, f"api/{package}.html")
        for names in generated.names_by_module(root() / package / "__init__.pyi").values():
            assert all(f'id="{package}.{name}"' in door for name in names)
    assert "Mean distance between the pixel-affinity matrices" in page(site, "api/dsrl_lib.html")


def test_commands_show_their_help(site):
    text = page(site, "commands.html")
    headings = [re.sub(r"<[^>]+>", "", heading) for heading in re.findall(r"<h[23]>(.*?)</h[23]>", text, re.DOTALL)]
    for title in ("./run_all.sh", "python -m study train", "python -m dsrl_lib predict", "python -m benchmarks"):
        assert any(heading.startswith(title) for heading in headings), headings
    assert "Predict images into DIR" in text


def test_pages_of_an_earlier_build_are_gone(site):
    assert not (site / "gone.html").exists()
    assert {path.name for path in site.iterdir()} == {*(site / ".nojekyll").read_text().splitlines()}


def test_it_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25e6
    assert (site / "results/camvid/notebooks/52_affinity_explorer.html").stat().st_size <= 3e6  # with all its tokens


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def open_page(browser, address: str, width: int) -> tuple[Any, list[str]]:
    """The page, and the list that receives errors of its scripts."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    return page, errors


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_and_have_no_errors(address, browser, width):
    for name in PAGES:
        page, errors = open_page(browser, f"{address}/{name}", width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        broken = "[...document.images].filter(i => i.complete && i.naturalWidth === 0).map(i => i.src)"
        assert page.evaluate(broken) == [], name
        assert errors == [], name
        page.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MATHS)
def test_equations_have_a_size(address, browser, name, width):
    page, errors = open_page(browser, f"{address}/{name}", width)
    sizes = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)")
    assert len(sizes) > 5 and min(sizes) > 5
    assert errors == []
    page.close()


def test_the_explorer_of_the_site_answers_a_click(address, browser):
    page, errors = open_page(browser, f"{address}/results/camvid/notebooks/52_affinity_explorer.html", 1280)
    caption = page.locator(".affinity-explorer figcaption").last
    before = caption.text_content()
    page.locator(".affinity-explorer .place").first.click(position={"x": 20, "y": 20})
    assert caption.text_content() != before
    assert errors == []


@pytest.mark.parametrize("width", WIDTHS)
def test_search_finds_feature_affinity(address, browser, width):
    page, errors = open_page(browser, f"{address}/search.html?q=feature+affinity", width)
    page.wait_for_selector("#search-results li a")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.textContent)")
    assert any("affinity" in text.lower() for text in found)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert errors == []
    page.close()


def test_a_click_enlarges_a_picture(address, browser):
    page, _ = open_page(browser, f"{address}/results/camvid/notebooks/41_main_results.html", 390)
    picture = page.locator("article img").first
    picture.scroll_into_view_if_needed()
    picture.click()
    assert page.locator("dialog.enlarged img").count() == 1
    page.locator("dialog.enlarged img").click()
    assert page.locator("dialog.enlarged").count() == 0
