"""Pictures of notebooks are described for readers who do not see them, by what the figure itself says."""

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import class_table
from study.figures import cost_chart, gain_panels, interval_charts, panels, plots
from study.figures.photo import Photo, withheld
from study.statistics.bootstrap import Difference


def test_a_chart_tells_its_panels_and_its_axes():
    gains = {"sssr": np.array([[1, 2, 3]]), "dsrl": np.array([[2, 3, 4]])}
    picture, shown = gain_panels.size_gains(gains, (64, 256), "gain (points)")._repr_png_()
    assert picture.startswith(b"\x89PNG")
    axis = "size of the object (pixels); small points: seeds"
    assert shown["alt"] == f"Figure. sssr; y axis: gain (points). dsrl. {axis}."


def test_numbers_beside_rows_are_told():
    rows = {
        "dsrl − lr": Difference(
            0.5, -0.2, 1.1, np.array([0.4, 0.5, 0.6]), (0, 1, 2), 8, 2, ("seeds", "images"), 0.1, 0.6, 0.6
        )
    }
    _, shown = interval_charts.forest(rows, interest=0.5, claimed={"dsrl − lr": 2})._repr_png_()
    assert "y axis: dsrl − lr +0.50  [−0.20, +1.10]  3 seeds" in shown["alt"]
    assert "smaller than the smallest effect of interest (0.5), claimed: +2." in shown["alt"]


def test_names_on_an_axis_are_told_and_numbers_are_not():
    heat = plots.class_heat(pd.DataFrame([[50.0, 60.0], [51.0, 59.0]], index=["lr", "dsrl"], columns=["Sky", "Tree"]))
    _, shown = heat._repr_png_()
    assert shown["alt"] == "Figure. x axis: Sky, Tree; y axis: lr (IoU), dsrl − lr. y axis: difference (points)."


def test_points_with_names_are_told_with_their_heights():
    table = pd.DataFrame(
        {"host": "h", "arm": ["dsrl", "lr", "lr"], "macs": [3e9, 1e9, 1e9], "test_miou": [57.0, 56.0, 56.5]}
    )
    _, shown = cost_chart.accuracy_cost(table, "macs", "GMACs", unit=1e9)._repr_png_()
    assert shown["alt"].endswith("y axis: test mIoU (points); points from left to right: lr at 56.2, dsrl at 57.0.")


def test_a_row_of_pictures_tells_titles_and_what_colours_mean():
    truth = np.zeros((8, 8), np.uint8)
    truth[:2] = 255
    image = np.zeros((8, 8, 3), np.uint8)
    figure = panels.predictions([panels.Prediction("frame 7", image, truth, truth % 255)], class_table("camvid"))
    picture, shown = Photo(figure)._repr_jpeg_()
    assert picture.startswith(b"\xff\xd8")
    assert shown["alt"].startswith("Figure. frame 7. truth. prediction. errors (100.0 % of pixels right). legend: Sky,")
    assert shown["alt"].endswith("void (truth), errors: wrong, errors: void, errors: right (pale class).")


def test_the_prediction_of_another_network_stands_between_prediction_and_errors():
    ids = np.zeros((8, 8), np.uint8)
    image = np.zeros((8, 8, 3), np.uint8)
    figure = panels.predictions([panels.Prediction("frame 7", image, ids, ids, {"lr": ids + 1})], class_table("camvid"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["frame 7", "truth", "prediction", "prediction of lr", "errors (100.0 % of pixels right)"]
    assert "legend: Sky, Building, void" in Photo(figure)._repr_jpeg_()[1]["alt"]  # both predictions


def test_pictures_of_a_data_set_are_withheld_if_its_terms_say_so():
    assert "idd_lite" in withheld("idd_lite")._repr_markdown_()
    assert withheld("camvid") is None and withheld("my_own") is None
