"""The table of several reports, for notebook 51."""

from types import SimpleNamespace

from study.figures.prediction_files import report_table


def test_scores_are_in_points_and_the_cross_entropy_is_not():
    overall = {"mIoU": 0.6375, "pixel accuracy": 0.925, "cross entropy": 0.22833, "mIoU within 1 px": 0.2882}
    head, _, row = report_table({"plain": SimpleNamespace(overall=overall)}).splitlines()
    names, shown = ([cell.strip() for cell in line.split("|")[1:-1]] for line in (head, row))
    assert names == ["augmentation", "mIoU", "pixel accuracy", "cross entropy (nats)", "mIoU within 1 px"]
    assert shown == ["plain", "63.75", "92.50", "0.23", "28.82"]
    assert report_table({}) == "No weights."
