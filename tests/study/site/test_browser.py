"""The site in headless Chromium, at the width of a desktop and of a phone."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (1280, 390)
PAGES = (
    "index.html", "README.html", "commands.html", "api/dsrl_lib.html", "claims/camvid/C2.html",
    "docs/methods/feature_affinity.html", "results/camvid/notebooks/02_method.html",
    "results/camvid/notebooks/41_main_results.html", "results/camvid/notebooks/52_affinity_explorer.html",
)  # fmt: skip


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


def test_equations_have_a_size(address, browser):
    page, _ = open_page(browser, f"{address}/docs/methods/feature_affinity.html", 1280)
    sizes = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)")
    assert len(sizes) > 5 and min(sizes) > 5


def test_the_explorer_of_the_site_answers_a_click(address, browser):
    page, errors = open_page(browser, f"{address}/results/camvid/notebooks/52_affinity_explorer.html", 1280)
    caption = page.locator(".affinity-explorer figcaption").last
    before = caption.text_content()
    page.locator(".affinity-explorer .place").first.click(position={"x": 20, "y": 20})
    assert caption.text_content() != before
    assert errors == []


def test_search_finds_feature_affinity(address, browser):
    page, errors = open_page(browser, f"{address}/search.html?q=feature+affinity", 1280)
    page.wait_for_selector("#search-results li a")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.textContent)")
    assert any("affinity" in text.lower() for text in found)
    assert errors == []


def test_a_click_enlarges_a_picture(address, browser):
    page, _ = open_page(browser, f"{address}/results/camvid/notebooks/41_main_results.html", 390)
    picture = page.locator("article img").first
    picture.scroll_into_view_if_needed()
    picture.click()
    assert page.locator("dialog.enlarged img").count() == 1
    page.locator("dialog.enlarged img").click()
    assert page.locator("dialog.enlarged").count() == 0
