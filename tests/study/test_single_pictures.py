"""Rows of pictures also hold one picture."""

import numpy as np

from dsrl_lib.data.class_tables import class_table
from study.figures import data_charts, map_charts

FRAME, LABEL = np.zeros((8, 16, 3), np.uint8), np.zeros((8, 16), np.uint8)


def test_one_frame_one_sample_one_map_one_matrix():
    assert data_charts.label_pictures([FRAME], [LABEL], class_table("camvid"))
    assert data_charts.sample_pictures({"input": FRAME})
    titles = {
        figure.axes[0].get_title(loc="left")
        for figure in (map_charts.map_row({"a": LABEL}), map_charts.affinity_matrices({"a": LABEL}))
    }
    assert titles == {"a"}
