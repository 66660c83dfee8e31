"""Parts of the site that need no build: the check of links, docstrings, the list of commands."""

import pandas as pd
import pytest
from browsers import chromium

from dsrl_lib.paths import root
from study.claims.rules import load_rules
from study.site import build, generated
from study.site.claim_pages import claim_page, write_claim_pages
from study.site.links import problems
from study.site.sources import readable


def test_broken_pages_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="here"></p><a href="b.html#there">b</a><a href="#here">here</a><a href="gone.html">gone</a>'
        '<a href="b.html#nowhere">b</a><img src="gone.png" alt="x"><img src="b.html"><script src="https://x.org/a.js">'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="https://x.org">elsewhere</a>')
    assert [text.removeprefix("a.html: ") for text in problems(tmp_path)] == [
        "picture b.html has no alternative text",
        "gone.html leads nowhere",
        "b.html#nowhere has no such anchor",
        "gone.png leads nowhere",
        "<script> loads https://x.org/a.js",
    ]


def test_docstrings_become_lists_with_code():
    pytest.importorskip("latex2mathml")
    from study.site.extension import restructured

    lines = ["Mean of |S_a|^q (Eq. 3).", "", "a, b: (B, C), any float", "type.", "q: `1` or 2.", "", "Raises *x*."]
    text = "\n".join(restructured(lines))
    assert "Mean of \\|S\\_a\\|^q (Eq. 3)." in text
    assert "- **a, b**: (B, C), any float\n  type." in text
    assert "- **q**: ``1`` or 2." in text
    assert "Raises \\*x\\*." in text


def test_a_notebook_names_its_data_set_says_an_answer_once_and_describes_its_pictures():
    answer = {"data": {"text/markdown": "**C1: no.**"}, "metadata": {"text/markdown": {"answer": True}}}
    picture = {"data": {"image/png": ""}, "metadata": {"image/png": {"alt": "Figure. x axis: mIoU."}}}
    first = {"cell_type": "markdown", "metadata": {}, "source": ["# Costs\n", "**Answer.**\n", "\n", "**C1: no.**"]}
    code = {"cell_type": "code", "metadata": {}, "source": [], "outputs": [answer, picture]}
    title, shown = readable({"cells": [first, code]}, False, "IDD-lite")["cells"]
    assert "".join(title["source"]).startswith("# Costs\n*Executed for IDD-lite.*\n\n**Answer.**")
    assert shown["outputs"] == [picture]
    assert shown["metadata"]["mystnb"]["image"]["alt"] == "Costs. x axis: mIoU"


def test_without_a_browser_tests_are_skipped_but_fail_in_ci(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs one of chromium-headless-shell"):
        chromium()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="CI is set, and this machine lacks one of chromium-headless-shell"):
        chromium()
    (tmp_path / "chromium").touch(0o755)
    assert chromium() == str(tmp_path / "chromium")


def test_commands_come_from_the_usage_line():
    assert generated.commands("usage: python -m x [-h] {train,run-all}\n\nWords.") == ["train", "run-all"]
    assert generated.commands("usage: python -m x [-h] [OPTIONS]\n") == []


def test_results_of_another_folder_are_refused(results, tmp_path):
    if build.missing_packages():
        pytest.skip(f"needs {', '.join(build.missing_packages())}")
    with pytest.raises(ValueError, match="unset it"):
        build.build(tmp_path / "site")


@pytest.mark.parametrize(
    "mark", [None, "", ".nojekyll\nsearch.html"]
)  # any folder for GitHub Pages may have an empty one
def test_files_that_are_no_site_are_kept(tmp_path, mark):
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / "search.html").touch()
    if mark is not None:
        (tmp_path / ".nojekyll").write_text(mark)
    with pytest.raises(FileExistsError, match=r"holds files that no earlier call wrote, such as "):
        build.build(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine" and (tmp_path / "search.html").exists()


def test_a_claim_page_says_what_was_overridden(tmp_path):
    write_claim_pages("idd", tmp_path)
    pages = {path.stem: path.read_text() for path in (tmp_path / "idd").glob("*.md")}
    rows = [[cell.strip() for cell in line.split("|")[2:5]] for line in pages["C21"].splitlines()]
    assert ["dsrl", "model.pretrained=none optim.epochs=20", "0"] in rows
    assert "overrides" not in pages["C1"]


@pytest.mark.parametrize(("levels", "of_images_alone"), [("images", True), ("seeds images", False)])
def test_a_claim_page_says_what_an_interval_of_one_seed_covers(levels, of_images_alone):
    found = pd.read_csv(root() / "results" / "idd" / "claims.csv")
    rows = found[found["claim"] == "C1"].assign(levels=levels)
    (claim,) = (claim for claim in load_rules().claims if claim.id == "C1")
    page = claim_page(claim, "idd", rows, [])
    assert ("With one seed, an interval covers the sampling of images alone." in page) is of_images_alone
