"""The search of the recipe: what chose it, and what stands beside it."""

import pytest
from made_up_runs import MadeUpRun

from study.evidence import Study
from study.report.search import BESIDE, search_answers, search_sides

FINER = ("loss.share_sisr=0.1", "model.sisr_taps=input")


@pytest.fixture(autouse=True)
def without_a_branch(monkeypatch):
    monkeypatch.setattr("study.report.tables.restored", lambda run, split, known: {})


def test_runs_that_chose_nothing_are_no_search():
    finer = MadeUpRun("sssr_sisr", 9, 60.0, overrides=FINER)
    sides = search_sides(Study("camvid", [finer, MadeUpRun("bilinear", 9, 51.0), MadeUpRun("dsrl", 0, 70.0)]))
    assert sides[BESIDE].index.tolist() == [finer.run_id]
    recipe, method = search_answers(sides).split("\n\n")
    assert "1 run with seed 9; the best on val is bilinear with nothing changed" in recipe
    assert method == "**the method: no search runs in this profile.**"


def test_the_best_run_of_a_side_is_named():
    runs = [
        MadeUpRun("dsrl", 9, points, overrides=more)
        for points, more in ((50.0, ()), (54.0, ("loss.w2=1.0",)), (52.0, ("loss.w1=0.1",)))
    ]
    sides = search_sides(Study("camvid", [*runs, MadeUpRun("dsrl", 10, 60.0)]))  # seed 10 is of the share scan
    assert BESIDE not in sides
    _, method = search_answers(sides).split("\n\n")
    assert method.startswith("**the method: 3 runs with seed 9; the best on val is dsrl with loss.w2=1.0 changed, 53.9")
    assert search_answers(search_sides(Study("camvid", []))).count("no search runs in this profile") == 2
