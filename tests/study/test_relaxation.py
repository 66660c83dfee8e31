"""The numbers of notebook 31: relaxed pixels by class, classes in crops, and the runs that are missing."""

import re

import numpy as np
import pandas as pd
import pytest

from dsrl_lib.data.class_tables import VOID, ClassTable
from dsrl_lib.data.sampling import Draw
from dsrl_lib.paths import root
from study.evidence import Study
from study.figures.data_charts import paint_sets
from study.report.relaxation import (
    class_draws,
    crop_counts,
    crop_shares,
    crops_with_class,
    relaxation_runs,
    relaxed_shares,
)

TABLE = ClassTable("two", ("a", "b"), ((100, 0, 0), (0, 0, 200)), (None, None))


def test_relaxed_pixels_are_counted_by_their_own_class():
    labels = [np.array([[0, 0, 1, VOID]]), np.array([[1, 1, VOID, VOID]])]
    sets = [np.array([[1, 3, 3, 2]]), np.array([[2, 2, 2, 0]])]
    shares = relaxed_shares(labels, {"w": sets}, TABLE)["w"]
    assert shares.tolist() == pytest.approx([50, 100 / 3, 40, 200 / 3])
    assert shares.index.tolist() == ["a", "b", "all labelled pixels", "void pixels that take part"]


class Crops:
    def __len__(self):
        return 2

    def labels(self, key):
        return np.array([[key[1], key[0]], [1, VOID]])  # the number, the epoch, b and void


def test_classes_are_counted_in_the_crops_of_several_epochs():
    counts = crop_counts(Crops(), TABLE, epochs=2)
    assert counts.tolist() == [[2, 1], [1, 2], [1, 2], [0, 3]]
    assert crop_shares({"all": counts}, TABLE)["all"].to_dict() == pytest.approx({"b": 800 / 12, "a": 400 / 12})
    assert crops_with_class({"all": counts}, TABLE)["all"].tolist() == [75, 100]


def test_samples_of_the_boost_are_counted_by_class():
    draws = {
        (0, 0): Draw(0, None, None),
        (0, 1): Draw(2, 1, (0, 0)),
        (1, 0): Draw(1, 1, (0, 0)),
        (1, 1): Draw(3, 0, (0, 0)),
    }
    crops = Crops()
    crops.draw = draws.get
    found = class_draws(crops, TABLE, epochs=2)  # of two frames: 2 and 3 are coarse
    assert found.loc["b"].tolist() == [2, 1] and found.loc["a"].tolist() == [1, 1]


def test_colours_of_sets():
    picture = paint_sets(np.array([[0, 1, 2, 3]]), TABLE)
    assert picture[0, 0].tolist() == [0, 0, 0] and picture[0, 3].tolist() == [50, 0, 100]
    assert picture[0, 1].tolist() == [200, 165, 165]


@pytest.mark.parametrize(("profile", "data"), [("camvid", "CamVid"), ("idd", "IDD-lite")])
def test_the_method_page_has_the_number_that_decides_the_claim(profile, data):
    found = pd.read_csv(root() / "results" / profile / "claims.csv").query("claim == 'C14'").iloc[0]
    assert found["quantity"] == "relaxed − bilinear, within 4 px of boundaries"
    numbers = "{estimate:+.2f} [{low:+.2f}, {high:+.2f}]".format(**found).replace("-", "−")
    page = re.sub("<!--.*?-->", "", (root() / "docs/methods/label_relaxation.md").read_text())
    assert re.search(rf"^\| {data} test, .*within 4 px of boundaries.* \| {re.escape(numbers)} \|$", page, re.MULTILINE)


def test_missing_runs_are_named_with_their_commands():
    lines = relaxation_runs(Study("camvid", [])).splitlines()
    assert "for seed in 0 1 2 3 4; do python -m study train --profile camvid --arm relaxed --seed $seed; done" in lines
    assert len(lines) == 3 + 5


def test_if_all_planned_runs_are_complete_it_says_what_is_not_planned():
    study = Study("idd", [])
    study.seeds = lambda arms: {0, 1, 2, 3, 4}
    assert relaxation_runs(study) == (
        "All runs of label relaxation that this profile plans are complete. It does not plan relaxed_2 and relaxed_off."
    )


def test_runs_that_a_profile_does_not_plan_are_not_asked_for():
    asked = relaxation_runs(Study("idd", []))
    assert "--arm border_void " in asked and "relaxed_2" not in asked and "relaxed_off" not in asked
    assert relaxation_runs(Study("cityscapes", [])) == "This profile plans no run of it."
