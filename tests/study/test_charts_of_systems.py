"""Charts that compare systems: names that can be read, and gains by the size of objects, worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from study.arms import DOWNSAMPLING_ARMS, PROPAGATION_ARMS, RELAXATION_ARMS
from study.figures import cost_chart, gain_panels, plots
from study.figures.arm_plots import of_equal_cost
from study.figures.cell_charts import factorial
from study.figures.data_charts import class_share_chart
from study.figures.share_charts import share_curves
from study.figures.style import ARM_COLOURS, colour
from study.report.comparison import head_share
from study.report.overview import rare_classes
from study.report.tables import COSTS
from study.report.where import object_gain_chart


def test_names_at_one_cost_stand_a_line_apart_and_keep_their_order():
    arms = ["lr", "bilinear", "relaxed", "adaptive", "hr"]
    rows = [("espnetv2", arm, 90 + place, 56 + 0.01 * place) for place, arm in enumerate(arms[:4])]
    rows += [("espnetv2", "hr", 363, 64.0), ("ddrnet", "lr", 370, 64.01)]
    table = pd.DataFrame(rows, columns=["host", "arm", "macs_pruned", "test_miou"])
    axes, other = cost_chart.accuracy_cost(table, "macs_pruned", "MACs").axes
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places.keys() == {*arms} and [text.get_text() for text in other.texts] == ["lr"]
    assert other.get_ylim() == axes.get_ylim() and "ddrnet" in other.get_title(loc="left")
    line = np.diff(axes.get_ylim()).item() / 24
    heights = [places[name][1] for name in arms[:4]]
    assert (np.diff(heights) > 0.99 * line).all() and len({places[name][0] for name in arms[:4]}) == 1
    assert places["hr"][0] > 363 > places["adaptive"][0] > 93
    assert {text.get_text(): text.get_color() for text in axes.texts}["relaxed"] == colour("relaxed")


def test_names_stand_to_the_left_of_their_points_if_the_next_ones_leave_them_no_room():
    costs = {"lr": 60.0, "adaptive_oracle_fine": 130.0, "adaptive": 150.0, "hr": 360.0}
    table = pd.DataFrame({"host": "h", "arm": costs.keys(), "macs": costs.values(), "test_miou": [50, 55, 56, 60]})
    axes = cost_chart.accuracy_cost(table, "macs", "MACs").axes[0]
    axes.figure.draw_without_rendering()
    places = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}  # without the line to the point
    points = {arm: axes.transData.transform((cost, 50))[0] for arm, cost in costs.items()}
    assert places["adaptive_oracle_fine"].x1 < points["adaptive_oracle_fine"]
    assert all(places[arm].x0 > points[arm] for arm in ("lr", "adaptive", "hr"))
    inside = axes.get_window_extent()
    assert all(inside.x0 < place.x0 and place.x1 < inside.x1 for place in places.values())
    assert places["lr"].x1 < places["adaptive_oracle_fine"].x0


def test_curves_of_validation_have_ticks_where_they_were_validated():
    history = pd.DataFrame({"epoch": [1, 2, 3, 4, 5], "val_miou": [None, None, 0.3, None, 0.4]})
    axes = plots.validation_curves({"lr": [history]}).axes[0]
    assert list(axes.get_xticks()) == [3, 5]
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "mean of the arm",
        "one seed",
        "means of the other arms",
    ]
    assert [line.get_linestyle() for line in legend.get_lines()] == ["-", "-", ":"]
    many = pd.DataFrame({"epoch": range(1, 61), "val_miou": 0.5})
    assert len(plots.validation_curves({"lr": [many]}).axes[0].get_xticks()) < 9


def run(seed, *found):
    """A run that found so many of 10 pixels of small and of large objects, in each of two classes."""
    recall = np.array([[(pixels, 10) for pixels in found]] * 2)  # (K, size bins, 2)
    return SimpleNamespace(seed=seed, counts=lambda split: SimpleNamespace(object_recall=recall))


def test_gains_by_size_are_paired_by_seed():
    runs = {"bilinear": [run(0, 5, 8), run(1, 6, 8), run(2, 0, 0)], "relaxed": [run(0, 6, 8), run(1, 9, 7)]}
    study = SimpleNamespace(select=lambda arm: runs.get(arm, []))
    axes = object_gain_chart(study, (64,), "bilinear", ["relaxed", "relaxed_2"]).axes[0]
    mean, zero, *seeds = (list(line.get_ydata()) for line in axes.lines)
    assert mean == pytest.approx([20, -5]) and sorted(seeds) == [pytest.approx([10, 0]), pytest.approx([30, -10])]
    assert zero == [0, 0] and "bilinear finds 37, 53 percent" in axes.figure.get_supxlabel()  # 50, 60, 0 and 80, 80, 0
    assert "Not run" in object_gain_chart(study, (64,), "lr", ["relaxed"])._repr_markdown_()


@pytest.mark.parametrize("arms", [RELAXATION_ARMS, DOWNSAMPLING_ARMS, PROPAGATION_ARMS], ids=lambda arms: arms[0])
def test_arms_of_one_chart_have_colours_of_their_own(arms):
    drawn = [arm for arm in ("bilinear", *arms) if arm != "locations"]  # which is a stage, and in no chart
    assert len({colour(arm) for arm in drawn}) == len(drawn)


def test_no_two_arms_have_one_colour():
    """But for propagation, whose arms are in no chart with others."""
    drawn = {arm: hue for arm, hue in ARM_COLOURS.items() if arm not in PROPAGATION_ARMS}
    assert len({*drawn.values()}) == len(drawn) and gain_panels.OTHERS not in drawn.values()


def test_shares_of_the_gradient_are_drawn_by_seed_and_as_their_mean():
    """Percent, without CE; a term that never acted, as in a stage before it, is left out."""
    epochs = {"epoch": [1, 2], "share_ce": [0.9, 0.8]}
    seeds = [pd.DataFrame(epochs | {"share_mse": share, "share_fa": [0.0, 0.0]}) for share in ([0.1, 0.2], [0.3, 0.4])]
    (axes,) = share_curves({"dsrl_res": seeds}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        pytest.approx(y) for y in ([10, 20], [30, 40], [20, 30])
    ]


def test_the_axis_of_class_shares_begins_at_a_power_of_ten_below_the_least_class():
    shares = pd.DataFrame({"train": [60.0, 0.2, 0.0], "val": [50.0, 1.0, 3.0]}, index=["Road", "Bicyclist", "Train"])
    axes = class_share_chart(shares).axes[0]
    assert axes.get_xlim() == pytest.approx((0.1, 100))
    points = {line.get_label(): line.get_xdata().tolist() for line in axes.lines}
    assert points["val"] == [50, 1, 3] and np.isnan(points["train"][2])  # a share of zero has no place on the axis


def test_a_cell_far_below_the_others_has_a_strip_of_its_own():
    rows = [(place, ftm, norm, 55.0) for place in ("features", "output") for ftm in ("keep", "none")
            for norm in ("norm", "raw")]  # fmt: skip
    cells = pd.DataFrame(rows, columns=["placement", "ftm", "normalisation", "test_miou"])
    assert len(factorial(cells).axes) == 2
    cells.loc[7, "test_miou"] = 43.0
    upper, _, lower, _ = (axes.get_ylim() for axes in factorial(cells).axes)
    assert upper[0] > 50 > lower[1] and lower[0] < 43 < lower[1] and upper[0] < 55 < upper[1]


def test_arms_of_one_network_share_a_row_with_the_latency_of_those_that_were_timed():
    """`point` has the counts of `lr` and samples the frame, which takes time. Nothing of `dsrl` was timed."""
    rows = {
        "lr": (90, "", 34.0), "sssr": (150, "", 42.0), "relaxed": (90, "", None), "point": (90, "uniform", 59.0),
        "oracle": (90, "oracle", None), "dsrl": (456, "", None), "dsrl_share": (456, "", None), "void": (90, "", 36.0),
    }  # fmt: skip
    columns = ["MACs (M), host", "sampling", "latency (ms), host"]
    cost = pd.DataFrame.from_dict(rows, orient="index", columns=columns).astype({columns[2]: float})
    found = of_equal_cost(cost.rename_axis("arm"))
    assert list(found.index) == ["lr, relaxed, void", "sssr", "point", "oracle", "dsrl, dsrl_share"]
    assert found[columns[2]].tolist()[:3] == [35, 42, 59] and found[columns[2]].isna().tolist()[3:] == [True, True]
    assert list(found) == columns and found.index.name == "arm" and found["sampling"].tolist()[2] == "uniform"


def test_what_the_head_adds_is_told_of_arms_that_have_it():
    """`adaptive` keeps an auxiliary network, not the head."""
    costs = {"sssr": (100, 150), "dsrl": (100, 150), "adaptive": (100, 700), "lr": (100, 100)}
    names = [f"{heading}, {form}" for heading, _ in COSTS.values() for form in ("host", "pruned")]
    cost = pd.DataFrame(
        {name: [pair[name.endswith("pruned")] for pair in costs.values()] for name in names}, list(costs)
    )
    text = head_share(cost)
    assert "median of 2 arms" in text and text.count("+50.0 %") == 2
    assert "latency" not in text and "memory" not in text  # `tables.cost` has them


def test_rare_classes_are_named_with_their_shares_and_the_one_that_splits_disagree_on():
    shares = pd.DataFrame(
        {"train": [60.0, 0.3, 0.2], "val": [50.0, 2.3, 0.0], "test": [70.0, 0.2, 0.4]},
        index=["Road", "Bicyclist", "Train"],
    )
    told = rare_classes(shares)
    assert "Bicyclist (0.3 % of train, 2.3 % of val, 0.2 % of test), Train (0.2 % of train" in told
    assert told.endswith("Bicyclist differs most between them: val has 11.5 times the share of test.")
    assert "no class" in rare_classes(shares[:1])
