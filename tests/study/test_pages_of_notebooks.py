"""What the notebooks of results show of runs, from made-up runs whose numbers are known, and what they say of none."""

from functools import partial

import made_up_runs
import numpy as np
import pandas as pd
import pytest
from made_up_runs import IMAGES, MadeUpRun
from matplotlib.figure import Figure
from notebook_cells import NOTEBOOKS, run_here
from PIL import Image
from tiny_runs import tiny

import study as door
from dsrl_lib import network, runs
from dsrl_lib.data.class_tables import class_table, colourise
from dsrl_lib.data.split import load_split
from study import affinities, evidence
from study.arms import FA_ARMS
from study.evidence import Study
from study.explore import STATES
from study.figures import prediction_files, style
from study.figures.explorer import explored
from study.figures.notes import Note, words
from study.report import audit_page, videos
from study.report.main_results import class_heat_chart, validation_chart
from study.report.reconstruction import quality_by_arm
from study.statistics.scores import Resamples

POINTS = {"lr": 50.0, "bilinear": 52.0, "sssr_long": 53.0, "sssr_sisr_long": 54.0, "dsrl": 55.0, "hr": 60.0}
SEEDS = (0, 1, 2)
COST = {"input": [180, 240], "prune_bit_equal": True} | {
    f"{name}_{form}": size * unit
    for name, unit in (("params", 1e3), ("macs", 1e6), ("latency_ms", 1.0), ("peak_mib", 1.0))
    for form, size in (("host", 100), ("pruned", 187), ("full", 400))
}


@pytest.fixture(scope="module", autouse=True)
def whole_runs():
    """Made-up runs with all classes and costs of CamVid; few resamples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_up_runs, "CLASSES", len(class_table("camvid").classes))
        patch.setattr(made_up_runs, "COST", COST)
        patch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))
        yield


@pytest.fixture(scope="module")
def made(whole_runs) -> Study:
    found = [MadeUpRun(arm, seed, points) for arm, points in POINTS.items() for seed in SEEDS]
    for run in found:
        psnr = {"psnr": 30.0 + run.seed, "ssim": 0.9} if run.config["model"]["sisr"] else {"psnr": None, "ssim": None}
        run.metrics["test"] = psnr | ({"psnr_bicubic": 29.0, "ssim_bicubic": 0.8} if psnr["ssim"] else {})
        epochs = np.arange(1, run.config["optim"]["epochs"] + 1)
        run.__dict__["history"] = pd.DataFrame({"epoch": epochs, "val_miou": (epochs + run.seed) / 100})
    return Study("camvid", found)


def cells(note: Note) -> list[list[str]]:
    """The rows of a table, below its head."""
    rows = [line.strip("|").split("|") for line in note.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def names(figure: Figure) -> list[str]:
    return [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]


def test_the_trimap_table_and_chart_have_the_miou_of_each_arm(made):
    rows = {arm: [float(cell) for cell in row] for arm, *row in cells(door.trimap_table(made))}
    assert list(rows) == list(POINTS)
    for arm, points in POINTS.items():
        assert rows[arm] == [pytest.approx(points, abs=0.3)] * 5
    panels = door.trimap_chart(made).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["lr", "sssr_long", "sssr_sisr_long", "dsrl"]
    for axes in panels:
        gain = POINTS[axes.get_title(loc="left")] - POINTS["bilinear"]
        assert axes.lines[0].get_ydata() == pytest.approx(np.full(5, gain), abs=0.3)


def test_what_the_sisr_branch_restores_is_the_mean_of_its_seeds(made):
    table = quality_by_arm(made)
    assert list(table.index) == ["dsrl", "sssr_sisr_long"] and set(table["seeds"]) == {3}
    assert set(table["PSNR (dB)"]) == {31.0} and set(table["PSNR (dB), bicubic"]) == {29.0}
    psnr, ssim = door.reconstruction_chart(made).axes
    assert names(psnr.figure)[:2] == list(table.index)
    means = [line.get_xdata() for line in psnr.lines if line.get_marker() == "D"]
    assert [float(np.squeeze(mean)) for mean in means] == [31.0, 31.0] and ssim.get_xlabel() == "SSIM"


def test_charts_of_differences_have_their_arms_and_numbers(made):
    arms = door.arm_chart(made)
    assert names(arms)[0] == "bilinear" and "hr" in names(arms)
    assert [axes.get_xlabel() for axes in arms.axes if axes.get_xlabel()] == ["mIoU minus that of lr (points)"]
    steps = door.step_chart(made)
    assert set(names(steps)) == {"HR labels", "SSSR head", "SISR", "FA", "all of it: dsrl − lr"}
    shown = [text.get_text() for axes in steps.axes for text in axes.texts]
    assert len(shown) == 5 and sum(text.startswith(("+1.", "+0.9")) for text in shown) == 3  # all but 2 and 5 points
    (axes,) = door.class_chart(made, [("dsrl", "lr")]).axes
    (diamonds,) = (line for line in axes.lines if line.get_marker() == "D")
    assert names(axes.figure) == list(made.classes) and diamonds.get_xdata() == pytest.approx(np.full(11, 5), abs=0.5)
    heat = class_heat_chart(made).axes[0]
    assert names(heat.figure)[:2] == ["lr (IoU)", "bilinear − lr"]
    assert np.asarray(heat.images[0].get_array())[1] == pytest.approx(np.full(11, 2), abs=0.5)


def test_curves_of_validation_are_those_of_the_histories(made):
    panels = {axes.get_title(loc="left"): axes for axes in validation_chart(made).axes if axes.axison}
    assert list(panels) == [arm for arm in POINTS if arm != "hr"]
    epochs = made.select("lr")[0].config["optim"]["epochs"]
    mean = panels["lr"].lines[-1]
    assert mean.get_ydata() == pytest.approx(np.arange(1, epochs + 1) + 1)  # of seeds 0, 1 and 2
    assert mean.get_xdata() == pytest.approx(np.arange(1, epochs + 1))


def test_the_figures_of_the_main_results_are_written_the_same_again(made, results):
    figures = door.main_figures(made)
    assert all(isinstance(figure, Figure) for figure in figures.values())
    assert set(door.main_figures(Study("camvid", []))) == set(figures)
    note = Note("No runs.")
    written = door.write_main_results(made, {"arms": figures["arms"], "cost": note})
    assert [path.name for path in written[-2:]] == ["arms.png", "arms.pdf"]
    assert {path.parent for path in written} == {results / "camvid" / "tables", results / "camvid" / "figures"}
    first = [path.read_bytes() for path in written]
    again = door.write_main_results(made, {"arms": door.arm_chart(made), "cost": note})
    assert [path.read_bytes() for path in again] == first


def test_costs_are_told_as_ratios_and_drawn_as_parts(made):
    assert "1.870: C4 " in door.cost_answer(made, "C4") and "not run: C4 " in door.cost_answer(Study("smoke", []), "C4")
    macs, latency = door.cost_shares(door.cost_table(made)).axes
    assert [bar.get_width() for bar in macs.patches] == pytest.approx([100, 87, 213])  # one bar: all arms cost the same
    assert [bar.get_width() for bar in latency.patches] == pytest.approx([100, 87])


def test_the_table_of_others_has_our_difference(made):
    (row,) = (row for row in cells(door.reported_table(made)) if row[0] == "DSRL − LR baseline")
    assert row[-2:] == [words(made.difference("dsrl", "lr")), "C1 reproduced"]


def test_cells_of_the_factorial_have_their_gains(made):
    more = [MadeUpRun(arm, seed, 53.0) for arm in FA_ARMS for seed in SEEDS]
    full = Study("camvid", [*made.runs, *more])
    rows = {row[0]: row for row in cells(door.cell_table(full, "C9"))}
    assert set(rows) == {"dsrl", *FA_ARMS}
    for arm in FA_ARMS:
        gains = [float(cell.split()[0].replace("−", "-")) for cell in rows[arm][-2:]]
        assert gains == pytest.approx([-1, -2], abs=0.3)  # to training without FA, and to the default cell
    panels = door.cell_chart(full, "C9").axes
    levels = sorted({round(float(y)) for axes in panels for line in axes.lines for y in line.get_ydata() if y > 10})
    assert len(panels) == 2 and levels == [53, 55]


def shares_of_variance(gain) -> list[float]:
    """Percent from seeds, from images, from both, of dsrl − lr; gain(seed): of `dsrl`, in shares, by image."""
    pair = [MadeUpRun(arm, seed, 50.0) for arm in ("lr", "dsrl") for seed in SEEDS]
    for run in pair[len(SEEDS) :]:
        truth = run.arrays.sum(-1)  # (I, K)
        run.arrays[..., 0] += (gain(run.seed) * truth).astype(int)
        run.arrays[..., 2] = truth - run.arrays[..., 0]
    rows = {row[0]: row for row in cells(door.interval_table(Study("camvid", pair)))}
    return [float(cell.removesuffix("%")) for cell in rows["C1 dsrl − lr"][-3:]]


def test_the_variance_of_a_difference_comes_from_where_it_was_put():
    by_image = 0.3 * np.linspace(0, 1, IMAGES)[:, None] ** 2
    assert shares_of_variance(lambda seed: 0.1 * seed) == [100, 0, 0]
    assert shares_of_variance(lambda seed: by_image) == [0, 100, 0]
    assert sum(shares_of_variance(lambda seed: 0)) == pytest.approx(100, abs=1)


def test_intervals_are_compared_for_each_number_of_seeds(made):
    rows = cells(door.agreement_table(made))
    assert [row[:2] for row in rows] == [["3", "6"]]
    assert all(0 < float(cell.removesuffix("%")) <= 100 for cell in rows[0][2:])
    assert "dsrl − lr" in " ".join(names(door.interval_chart(made)))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 60])
def test_no_frame_is_shown_twice_among_the_worst_and_best(number):
    gains = np.arange(number) - 0.5
    frames = pd.DataFrame({"index": range(number), "frame": [f"f{i}" for i in range(number)],
                           "dsrl": 50 + gains, "lr": 50.0, "difference": gains})  # fmt: skip
    note = door.extreme_frames(frames)
    shown = [row[1] for row in cells(note)]
    expected = [f"f{i}" for i in range(number) if i < 3 or i >= number - 3]
    assert shown == expected and f"on {100 * (number - 1) / number:.0f} % of {number} frames" in note


def test_the_audit_counts_problems_apart_from_warnings(made, monkeypatch):
    found = pd.DataFrame(
        [("files", "a", "is missing", fatal) for fatal in (True, False, True)], columns=audit_page.COLUMNS
    )
    monkeypatch.setattr(audit_page, "audit", lambda profile: found if profile == "camvid" else None)
    assert door.audit_problems(made) is found and door.audit_problems(Study("camvid", [])).empty
    assert "18 runs of profile camvid: 2 problems, 1 warnings." in door.audit_answer(made, found)
    assert "nothing to audit" in door.audit_answer(Study("camvid", []), found[:0])
    assert door.recomputed(made).startswith(f"{2 * IMAGES * len(made.runs)} evaluated frames, ")


def test_the_table_of_runs_has_one_row_for_each(made):
    rows = cells(door.run_table(made))
    assert [(row[0], row[2]) for row in rows] == [(arm, str(seed)) for arm in POINTS for seed in SEEDS]
    assert [float(row[4]) for row in rows] == pytest.approx([POINTS[row[0]] for row in rows], abs=0.3)
    assert door.readable_table(pd.DataFrame()) == "None."


def test_the_table_of_affinities_has_the_gap_of_each_map(monkeypatch):
    """Two frames through networks with random weights; FA compares the map after the FTM, which the first lacks."""
    configs = {STATES[arm]: tiny(arm) for arm in ("sssr_sisr", "dsrl")}
    networks = {name: (network.build(config).eval(), config) for name, config in configs.items()}
    monkeypatch.setattr(affinities, "trained_networks", lambda profile: networks)
    note, split = door.affinity_table("smoke", frames=2), load_split("streets", "val")
    frames = [explored(networks, split, index).tokens for index in (0, len(split) - 1)]
    maps = [(STATES["sssr_sisr"], "before the FTM", "seg"), (STATES["dsrl"], "before the FTM", "seg"),
            (STATES["dsrl"], "after the FTM", "ftm")]  # fmt: skip
    rows = cells(note)
    assert [row[:2] for row in rows] == [[name, shown] for name, shown, _ in maps]
    for row, (name, _, field) in zip(rows, maps, strict=True):
        gaps = []
        for tokens in frames:
            a, b = (
                getattr(tokens[name], which).reshape(len(getattr(tokens[name], which)), -1) for which in (field, "sr")
            )
            a, b = (x / np.linalg.norm(x, axis=0) for x in (a, b))
            gaps.append(np.abs(a.T @ a - b.T @ b).mean())
        assert float(row[2]) == pytest.approx(np.mean(gaps), abs=0.006)
    assert f"With FA the gap is {rows[2][2]} instead of {rows[0][2]}, and {rows[1][2]} if" in note


def test_a_run_is_trained_if_its_weights_are_here(results):
    config = tiny("lr")
    assert door.trained_run(config) is None
    runs.prepare(runs.folder(config), config)
    assert door.trained_run(config) is None
    (runs.folder(config) / runs.WEIGHTS).touch()
    assert door.trained_run(config) == runs.folder(config)


def test_written_predictions_are_read_back_as_classes(tmp_path, monkeypatch):
    split, table = load_split("streets", "val"), class_table("streets")
    indices = (0, len(split) // 2)
    for index in indices:
        for folder in ("rgb", "compose"):
            (tmp_path / folder).mkdir(exist_ok=True)
            colours = colourise(split.labels[index] % 19, table)
            Image.fromarray(colours).save(tmp_path / folder / f"{split.names[index]}.png")
    drawn = []
    monkeypatch.setattr(prediction_files.panels, "predictions", lambda rows, table: drawn.extend(rows))
    door.written_predictions(tmp_path, "streets")
    assert [row.title for row in drawn] == [split.names[index] for index in indices]
    for row, index in zip(drawn, indices, strict=True):
        assert np.array_equal(row.prediction, split.labels[index] % 19)


@pytest.mark.parametrize(
    "name",
    ["trimap_table", "trimap_chart", "reconstruction_chart", "arm_chart", "step_chart", "interval_chart",
     "interval_table", "agreement_table", "sensitivity_table", "scan_note", "scan_answer", "recomputed", "run_table"],
)  # fmt: skip
def test_a_table_or_chart_says_so_without_runs(results, name):
    said = getattr(door, name)(Study("smoke", []))
    assert isinstance(said, Note) and "|" not in said


OF_RESULTS = [path.stem for path in NOTEBOOKS if path.stem[0] in "249"]


@pytest.mark.parametrize("name", OF_RESULTS)
def test_a_notebook_of_results_runs_through_without_runs(results, monkeypatch, name):
    monkeypatch.setattr(affinities, "trained_networks", lambda profile: {})
    run_here(name)


@pytest.mark.parametrize("name", [name for name in OF_RESULTS if name[0] == "4"])
def test_a_notebook_of_results_runs_through_with_made_up_runs(results, monkeypatch, made, name):
    monkeypatch.setattr(evidence, "load_runs", lambda profile: made.runs if profile == "camvid" else [])
    monkeypatch.setattr(videos, "LEFT_OUT", "a")  # a video of the made-up runs
    monkeypatch.setattr(style, "save", lambda figure, path: path)  # a test above writes one
    monkeypatch.setattr(affinities, "trained_networks", lambda profile: {})
    run_here(name, profile="camvid", studies=2)
