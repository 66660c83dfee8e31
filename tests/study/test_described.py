"""Pictures of notebooks are described for readers who do not see them, by what the figure itself says."""

import numpy as np
import pandas as pd

from dsrl_lib.data.class_tables import class_table
from study.figures import panels, plots
from study.figures.photo import Photo


def test_a_chart_tells_its_axes_and_its_lines():
    picture, shown = plots.recall_by_size({"lr": [1, 2, 3], "dsrl": [2, 3, 4]}, (64, 256))._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert shown["alt"] == (
        "Figure. x axis: size of the object (pixels); y axis: pixels found (percent). legend: lr, dsrl."
    )


def test_names_on_an_axis_are_told_and_numbers_are_not():
    heat = plots.class_heat(pd.DataFrame([[50.0, 60.0], [51.0, 59.0]], index=["lr", "dsrl"], columns=["Sky", "Tree"]))
    _, shown = heat._repr_png_()
    assert shown["alt"] == "Figure. x axis: Sky, Tree; y axis: lr (IoU), dsrl − lr. y axis: difference (points)."


def test_a_row_of_pictures_tells_titles_and_what_colours_mean():
    truth = np.zeros((8, 8), np.uint8)
    truth[:2] = 255
    image = np.zeros((8, 8, 3), np.uint8)
    figure = panels.predictions([panels.Prediction("frame 7", image, truth, truth % 255)], class_table("camvid"))
    picture, shown = Photo(figure)._repr_jpeg_()
    assert picture.startswith(b"\xff\xd8")
    assert shown["alt"].startswith("Figure. frame 7. truth. prediction. errors (100.0 % of pixels right). legend: Sky,")
    assert shown["alt"].endswith("void (truth), errors: wrong, errors: void, errors: right (pale class).")
