"""Run directories to tables: what is read, refused, and stale. Figures: drawn, and drawn the same again."""

import json
import zlib
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
import pytest
from contrasts import difference, single
from PIL import Image

from dsrl_lib.data.class_tables import class_table
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.metrics import iou
from dsrl_lib.records import write_json
from dsrl_lib.runs import folder, write_counts, write_history
from study import catalogue, factorial
from study.evidence import Study
from study.figures import cell_charts, cost_chart, gain_panels, interval_charts, panels, plots, style
from study.presets import preset
from study.report import audit
from study.report.results import factorial_cells, results_frame, write_results
from study.statistics.scores import Resamples, score

IMAGES, CLASSES = 12, 11
TABLE = class_table("camvid")


def write_run(arm="lr", seed=0, *, dirty=False, host=None, overrides=()):
    """A complete run directory with random counts, as training writes it."""
    config = preset("camvid", arm, host, seed, overrides)
    directory = folder(config)
    directory.mkdir(parents=True)
    rng = np.random.default_rng([seed, zlib.crc32(arm.encode())])
    write_json(directory / "config.json", config.to_dict())
    terms = {"loss": 1.2, "ce": 1.0, "mse": 0.1, "fa": 0.1, "lr": 0.001}
    rows = [{"epoch": e, "step": 45 * e, "val_miou": 0.5 - 0.1 / e, "val_psnr": 20 + e} for e in range(1, 11)]
    rows = [row | {name: value / row["epoch"] for name, value in terms.items()} for row in rows]
    write_history(directory / "history.csv", rows, TERMS)
    for split in ("val", "test"):
        arrays = {
            "counts": rng.integers(0, 90, (IMAGES, CLASSES, 3)).astype(np.int32),
            "images": np.array([f"{split}_{i:02d}" for i in range(IMAGES)]),
            "sequences": np.array(["a"] * 5 + ["b"] * 7),
            "trimap": rng.integers(0, 9, (IMAGES, 5, CLASSES, 3)).astype(np.int32),
            "trimap_px": np.array([1, 2, 4, 8, 16]),
            "object_recall": np.ones((CLASSES, 5, 2), int),
        }
        write_counts(directory / f"counts_{split}.npz", arrays)
    write_json(directory / "env.json", {"commit": "abc", "dirty": dirty, "device": "CPU"})
    cost = {"input": [180, 240], "macs_pruned": 187, "macs_host": 100, "latency_ms_pruned": 2.5}
    test = {"miou": 0.5, "psnr": None, "ssim": None}
    write_json(directory / "metrics.json", {"val": {"miou": 0.5}, "test": test, "cost": cost})
    return directory


def test_complete_runs_are_loaded_in_order(results):
    assert catalogue.load_runs("camvid") == []
    second, first = write_run("lr", 1), write_run("bilinear", 0)
    unfinished = write_run("lr", 2)
    (unfinished / "metrics.json").unlink()
    runs = catalogue.load_runs("camvid")
    assert [run.run_id for run in runs] == [first.name, second.name]
    assert (runs[1].arm, runs[1].seed, runs[1].host, runs[1].profile) == ("lr", 1, "espnetv2_s1.0", "camvid")
    assert len(runs[0].history) == 10 and runs[0].history["val_miou"].iloc[-1] == pytest.approx(0.49)


def test_table_recomputes_scores_from_counts(results):
    directory = write_run("lr", 0)
    row = results_frame(catalogue.load_runs("camvid")).iloc[0]
    with np.load(directory / "counts_test.npz") as file:
        total = file["counts"].sum(0)
    by_hand = [100 * tp / (tp + fp + fn) for tp, fp, fn in total]
    assert row["test_miou"] == pytest.approx(np.mean(by_hand))  # not the 0.5 that metrics.json says
    assert [row[f"iou_{name}"] for name in TABLE.classes] == pytest.approx(by_hand)
    assert (row["input"], row["macs_pruned"], row["device"], row["stale"]) == ("180x240", 187, "CPU", "")


def test_results_csv_has_no_difference_when_repeated(results):
    for seed in range(2):
        write_run("lr", seed)
        write_run("dsrl", seed)
    path = write_results("camvid")
    first = path.read_bytes()
    assert path == results / "camvid" / "results.csv"
    assert write_results("camvid").read_bytes() == first
    assert pd.read_csv(path)["arm"].tolist() == ["dsrl", "dsrl", "lr", "lr"]


def test_metrics_that_contradict_the_counts_are_found(results):
    directory = write_run("lr", 0)
    problems = audit.problems(catalogue.load_runs("camvid"))
    assert problems["run_id"].tolist() == [directory.name] * 2
    assert "val mIoU" in problems["problem"][0] and "test mIoU" in problems["problem"][1]


def test_stale_runs(results):
    write_run("dsrl", 0)
    write_run("lr", 1, dirty=True)
    write_run("dsrl", 2, overrides=("loss.w2=0.5", "optim.epochs=20"))
    odd = write_run("lr", 3)
    config = json.loads((odd / "config.json").read_text())
    config["optim"]["epochs"] = 31  # no preset of this arm gives that: it trains three times optim.epochs
    write_json(odd / "config.json", config)
    runs = {run.seed: run for run in catalogue.load_runs("camvid")}
    assert [runs[seed].stale for seed in range(3)] == ["", "made from uncommitted code", ""]
    assert runs[2].overrides == ("loss.w2=0.5", "optim.epochs=20")
    assert "no present preset" in runs[3].stale and runs[3].overrides is None
    chosen = catalogue.select(runs.values(), "dsrl")
    assert [run.seed for run in chosen] == [0]  # an overridden run is no run of the arm itself
    chosen = catalogue.select(runs.values(), "dsrl", overrides=("optim.epochs=20", "loss.w2=0.5"))
    assert [run.seed for run in chosen] == [2]


def test_main_host_unless_another_is_asked_for(results):
    write_run("lr", 0)
    write_run("lr", 1, host="ddrnet23_slim")
    runs = catalogue.load_runs("camvid")
    assert [run.seed for run in catalogue.select(runs, "lr")] == [0]
    assert [run.seed for run in catalogue.select(runs, "lr", host="ddrnet23_slim")] == [1]


FILES = ("config.json", "env.json", "metrics.json", "history.csv", "counts_test.npz")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_damage_is_named(results, name, damage):
    path = write_run() / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if damage == "cut" and name != "history.csv" else b"")
    with pytest.raises(catalogue.DamagedRunError, match=rf"{name} "):
        runs = catalogue.load_runs("camvid")
        assert len(runs[0].history) and results_frame(runs) is not None


def test_missing_and_contradicting_files_are_named(results):
    directory = write_run()
    (directory / "env.json").unlink()
    with pytest.raises(catalogue.DamagedRunError, match=r"env\.json"):
        catalogue.load_runs("camvid")
    write_json(directory / "env.json", {})
    config = json.loads((directory / "config.json").read_text())
    write_json(directory / "config.json", config | {"seed": 5})
    with pytest.raises(catalogue.DamagedRunError, match=r"config\.json is not the configuration that named"):
        catalogue.load_runs("camvid")
    with pytest.raises(ValueError, match="split 'train'; allowed: val, test"):
        catalogue.Run(directory, config, {}, {}).counts("train")


def test_counts_by_seed(results):
    for seed in range(3):
        write_run("lr", seed)
    runs = catalogue.load_runs("camvid")
    counts, sequences = catalogue.counts_by_seed(runs, "trimap")
    assert sorted(counts) == [0, 1, 2] and counts[0].shape == (IMAGES, 5, CLASSES, 3)
    assert sequences == ("a",) * 5 + ("b",) * 7
    with pytest.raises(ValueError, match="equal seeds"):
        catalogue.counts_by_seed([runs[0], runs[0]])


def test_arms_scored_on_other_images_of_equal_number_are_not_compared(results):
    for arm in ("lr", "bilinear"):
        write_run(arm, 0)
    assert Study("camvid").difference("bilinear", "lr") is not None
    (run,) = catalogue.select(catalogue.load_runs("camvid"), "bilinear")
    with np.load(run.folder / "counts_test.npz") as file:
        arrays = {name: file[name] for name in file.files}
    write_counts(run.folder / "counts_test.npz", arrays | {"images": np.roll(arrays["images"], 1)})
    with pytest.raises(ValueError, match="bilinear and lr were evaluated on different images"):
        Study("camvid").difference("bilinear", "lr")


def test_factorial_names_its_cells(results):
    write_run("dsrl", 0)
    write_run("dsrl", 1)
    write_run("fa_output_to3_raw", 1)
    write_run("lr", 0)
    found = factorial_cells(catalogue.load_runs("camvid"), factorial.cells())
    names = found[["placement", "ftm", "normalisation", "seed"]].to_numpy().tolist()
    assert names == [["features", "keep", "norm", 1], ["output", "to3", "raw", 1]]  # seed 0 is of one cell alone
    assert factorial_cells([], factorial.cells()).empty


@pytest.fixture
def figures(results):
    """One figure of every kind from made-up runs."""
    for seed in range(2):
        for arm in ("lr", "dsrl"):
            write_run(arm, seed)
    runs = catalogue.load_runs("camvid")
    history, table = runs[0].history, results_frame(runs)
    scores = {}
    for statistic, what in ((None, "counts"), (iou, "counts"), (None, "trimap")):
        for arm in ("lr", "dsrl"):
            counts, sequences = catalogue.counts_by_seed(catalogue.select(runs, arm), what)
            resamples = Resamples.of(sequences, resamples=100)
            more = (statistic,) if statistic else ()
            scores[arm, what, bool(statistic)] = score(counts, resamples, *more)
    gain = difference(scores["dsrl", "counts", False], scores["lr", "counts", False])
    by_class = difference(scores["dsrl", "counts", True], scores["lr", "counts", True])
    bands = {arm: single(scores[arm, "trimap", False]) for arm in ("lr", "dsrl")}
    heat = table.set_index("arm")[[f"iou_{name}" for name in TABLE.classes]]
    heat.iloc[0, 0] = np.nan
    levels = product(("features", "output"), "xyz", ("norm", "raw"), (0, 1))
    cells = pd.DataFrame(levels, columns=["placement", "ftm", "normalisation", "test_miou"])
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, (36, 48)).astype(np.uint8)
    truth[:4] = 255
    image = rng.integers(0, 256, (36, 48, 3)).astype(np.uint8)
    return {
        "training_curves": plots.training_curves(history, "a run"),
        "validation_curves": plots.validation_curves({"lr": [history, history], "dsrl": [history.head(5)]}),
        "forest": interval_charts.forest({"dsrl − lr": gain}, claimed={"dsrl − lr": 2}, interest=0.5),
        "class_differences": plots.class_differences(TABLE.classes, {"dsrl − lr": by_class}),
        "class_heat": plots.class_heat(heat),
        "accuracy_cost": cost_chart.accuracy_cost(table, "macs_pruned", "GMACs", unit=1e9),
        "factorial": cell_charts.factorial(cells),
        "trimap_gains": gain_panels.trimap_gains(bands, (1, 2, 4, 8, 16), "points"),
        "size_gains": gain_panels.size_gains({"lr": np.ones((2, 3)), "dsrl": np.zeros((1, 3))}, (64, 256), "points"),
        "predictions": panels.predictions([panels.Prediction("frame", image, truth, truth % CLASSES)], TABLE),
        "reconstructions": panels.reconstructions([("frame", image, image // 3, image // 2)]),
        "affinity": panels.affinity(image, {"SSSR": truth / 255, "SISR": truth / 255}, (0.5, 0.5)),
    }


def test_figures_are_drawn_and_reproducible(figures, tmp_path):
    before = dict(matplotlib.rcParams)
    for name, figure in figures.items():
        path = style.save(figure, tmp_path / "figures" / f"{name}.png")
        with Image.open(path) as picture:
            assert picture.width > 600 and len(np.unique(picture.convert("L"))) > 20, name
    assert figures["forest"]._repr_png_()[0].startswith(b"\x89PNG")  # what a notebook shows
    assert dict(matplotlib.rcParams) == before
    for suffix in (".svg", ".pdf", ".png"):
        curves = [gain_panels.size_gains({"lr": np.array([[1, 2, 3]])}, (64, 256), "points") for _ in range(2)]
        first, second = (style.save(curve, tmp_path / f"curve{suffix}").read_bytes() for curve in curves)
        assert first == second
    with pytest.raises(ValueError, match=r"'\.gif'; allowed: \.svg, \.pdf, \.png"):
        style.save(figures["forest"], tmp_path / "forest.gif")


def test_forest_shows_every_seed(figures):
    axes = figures["forest"].axes[0]
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert len(dots.get_xdata()) == 2
    assert len(figures["class_heat"].axes[0].texts) == 4 * CLASSES - 1  # the absent class is blank


def test_each_pixel_is_in_one_ring():
    nothing = np.zeros(0)
    near = np.array([2, 3, 3, 7])[None, :, None, None] * np.ones((1, 1, 2, 3), int)  # cumulative, four bands
    counts = catalogue.Counts(("a",), ("s",), np.full((1, 2, 3), 9), near, np.array([1, 2, 4, 8]), nothing)
    np.testing.assert_array_equal(counts.rings[0, :, 0, 0], [2, 1, 0, 4, 2])
