"""The site: built once without a network, every page whole, opened in a browser where there is one."""

import re
from pathlib import Path

import pandas as pd
import pytest

from dsrl_lib.paths import root
from study.site import build, generated
from study.site.links import problems


def page(site: Path, name: str) -> str:
    return (site / name).read_text()


def test_every_notebook_claim_and_method_is_a_page(site):
    published = [*root().glob("results/camvid/notebooks/*.ipynb"), *root().glob("docs/methods/*.md")]
    assert len(published) > 15
    for path in published:
        assert (site / path.relative_to(root()).with_suffix(".html")).exists(), path
    claims = pd.read_csv(root() / "results" / "camvid" / "claims.csv")["claim"].unique()
    assert {path.stem for path in (site / "claims" / "camvid").glob("*.html")} == set(claims)


def test_tables_are_tables_and_code_is_folded(site):
    results = page(site, "results/camvid/notebooks/41_main_results.html")
    assert results.count("<table") == 4
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
    assert page(site, "docs/methods/feature_affinity.html").count("<math") > 5
    door = page(site, "api/dsrl_lib.html")
    for names in generated.names_by_module(root() / "dsrl_lib" / "__init__.pyi").values():
        assert all(f'id="dsrl_lib.{name}"' in door for name in names)
    assert "Mean distance between the pixel-affinity matrices" in door


def test_commands_show_their_help(site):
    text = page(site, "commands.html")
    for title in ("./run_all.sh", "python -m study train", "python -m dsrl_lib predict", "python -m benchmarks"):
        assert re.search(rf"<h[23]><code[^>]*><span class=\"pre\">{re.escape(title.split()[0])}", text)
        assert all(word in text for word in title.split())
    assert "Predict images into DIR" in text


def test_it_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25e6


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


def test_commands_come_from_the_usage_line():
    assert generated.commands("usage: python -m x [-h] {train,run-all}\n\nWords.") == ["train", "run-all"]
    assert generated.commands("usage: python -m x [-h] [OPTIONS]\n") == []


def test_results_of_another_folder_are_refused(results, tmp_path):
    if build.missing_packages():
        pytest.skip(f"needs {', '.join(build.missing_packages())}")
    with pytest.raises(ValueError, match="unset it"):
        build.build(tmp_path / "site")
