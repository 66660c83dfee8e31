"""What notebooks 44 and 45 answer in words, from made-up runs and numbers."""

from functools import partial

import pandas as pd
import pytest
from made_up_runs import MadeUpRun

from study.evidence import Study
from study.report.comparison import choice_answers
from study.report.intervals import coverage_answer, coverage_table, coverages
from study.statistics.scores import Resamples


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))


def test_each_choice_has_a_line_with_what_it_is_worth():
    study = Study("camvid", [MadeUpRun(arm, seed, mean) for arm, mean in (("lr", 50), ("hr", 60)) for seed in (0, 1)])
    worth, absent = choice_answers(study, {"full input": ("hr", "lr"), "FA": ("dsrl", "lr")}).splitlines()
    assert float(worth.split()[3]) == pytest.approx(10, abs=0.2)
    assert worth.startswith("- full input: +") and worth.endswith(" 2 seeds") and absent == "- FA: not run"


def test_the_coverage_of_all_differences_is_told_by_its_range():
    found = pd.DataFrame(
        {"two-level bootstrap": [98.0, 100.0, 99.0], "random effects": [94.1, 95.2, 95.4]}, list("abc")
    )
    assert coverage_answer(found).splitlines()[2:] == [
        "- two-level bootstrap: in 98 to 100 % of simulated studies, by difference; median 99 %",
        "- random effects: in 94 to 95 % of simulated studies, by difference; median 95 %",
    ]
    assert coverage_table(found).splitlines()[-1].split()[1] == "c"
    nothing = coverages(Study("camvid", []))
    assert coverage_answer(nothing) == coverage_table(nothing) == "No difference has two seeds."
