"""The notebooks: their form, two of them run as papermill runs them, and the arrays behind their pictures."""

import ast
import dataclasses
import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from notebook_cells import NOTEBOOKS, code_cells, run_here
from tiny_runs import TINY, tiny

from dsrl_lib import metrics
from dsrl_lib.config import Config
from dsrl_lib.data.split import load_split
from dsrl_lib.paths import root
from study import plan
from study.execution import warm
from study.execution.notebooks import check_parameters, execute
from study.figures import showcase
from study.figures.example_panels import shown_frames
from study.presets import preset
from study.profiles import PROFILES

TRAINING = {plan.OTHER_ARMS, *plan.NOTEBOOK_OF_ARM.values()}
DOORS = {"dsrl_lib", "study", "benchmarks", "streets"}


@pytest.fixture(scope="module", autouse=True)
def forked_kernels(python_m: list[str]) -> Iterator[None]:
    """Kernels are forked from the process that has imported the libraries, as those of the study are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(warm.VARIABLE, python_m[-1])
        yield


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def shown_text(path: Path) -> str:
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)


def picture_kinds(path: Path) -> list[str]:
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    return [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]


def test_there_is_a_notebook_for_every_run_of_the_plan():
    names = [path.stem for path in NOTEBOOKS]
    assert set(names) >= TRAINING | {"00_start_here", "01_data_prep", "02_method"}
    assert all(re.fullmatch(r"\d\d_\w+", name) for name in names)
    assert len({name[:2] for name in names}) == len(names)


@each_notebook
def test_it_opens_with_question_answer_time_and_files(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {path.stem[:2]} · ")
    for word in ("**Question.**", "**Answer.**", "**Time.**", "**Reads**", "**Writes**"):
        assert first.source.count(word) == 1, word


@each_notebook
def test_it_is_neutral_and_small(path):
    content = json.loads(path.read_text())
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    assert content["metadata"]["kernelspec"] == kernel
    assert set(content["metadata"]) == {"kernelspec", "language_info"}
    nbformat.validate(content)
    cells = code_cells(path)
    assert 1 < len(cells) <= 25
    assert [cell for cell in cells if cell.outputs or cell.execution_count is not None] == []
    assert path.read_text().endswith("}\n")


@each_notebook
def test_it_is_plain_python_that_defines_nothing(path):
    for cell in code_cells(path):
        tree = ast.parse(cell.source)
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
        assert [node for node in ast.walk(tree) if isinstance(node, kinds)] == [], cell.source
        assert not any(line.lstrip().startswith(("%", "!")) for line in cell.source.splitlines())


@each_notebook
def test_it_imports_from_the_doors_alone(path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                assert not {alias.name.partition(".")[0] for alias in node.names} & DOORS, cell.source
            elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in DOORS:
                assert node.module in DOORS, cell.source
                package = importlib.import_module(node.module)
                assert {alias.name for alias in node.names} <= set(package.__all__), cell.source


@each_notebook
def test_its_parameters_are_plain_and_those_that_the_graph_passes(path):
    tagged = [cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == code_cells(path)[:1]
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.Assign)
        assert isinstance(ast.literal_eval(statement.value), str | int | float)
    given = {"profile": "camvid"}
    if path.stem in TRAINING:
        given |= {"arm": "dsrl", "host": "espnetv2_s0.5", "seed": "3", "device": "cpu"}
    assert check_parameters(path, given)["profile"] == "camvid"
    assert 'profile = "smoke"  # ' in tagged[0].source
    if path.stem != "02_method":  # it says what a profile decides
        *others, last = PROFILES
        assert f"# {', '.join(others)} or {last}" in tagged[0].source


def test_stage_notebooks_train_their_own_arm_by_default():
    for arm, name in plan.NOTEBOOK_OF_ARM.items():
        assert f'arm = "{arm}"' in code_cells(root() / "notebooks" / f"{name}.ipynb")[0].source


def test_settings_show_what_differs_from_the_defaults():
    config, defaults = preset("camvid", "dsrl"), Config().to_dict()
    lines = showcase.settings(config).replace("\n    ", " ").splitlines()
    paragraphs = dict(line.split(": ", 1) for line in lines[:-1])
    assert paragraphs["warm_start"] == config.warm_start and paragraphs["profile"] == "camvid"
    assert "arm" not in paragraphs and "downsampling" not in paragraphs  # the arm is that of the defaults
    for section in ("data", "model", "loss", "optim"):
        own = config.to_dict()[section]
        changed = [f"{name} = {value}" for name, value in own.items() if value != defaults[section][name]]
        assert paragraphs[section].split(", ") == changed


def test_affinity_row_is_that_of_the_written_out_matrix():
    features = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    row = showcase.affinity_to(features, (0.5, 0.99), (3, 4), normalise=True)  # token (1, 3)
    tokens = features[0].reshape(4, 3, 2, 4, 2).mean((2, 4)).numpy()  # (4, 3, 4)
    for y in range(3):
        for x in range(4):
            a, b = tokens[:, 1, 3], tokens[:, y, x]
            assert row[y, x] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    with pytest.raises(ValueError, match=r"pixel = 1.5; allowed: a number from 0 to 1"):
        showcase.affinity_to(features, (0.5, 1.5), (3, 4), normalise=True)
    raw = showcase.affinity_to(features, (0.0, 0.0), (3, 4), normalise=False)
    assert raw[2, 1] == pytest.approx(tokens[:, 0, 0] @ tokens[:, 2, 1], abs=1e-5)


def test_method_notebook_runs_with_its_defaults(tmp_path):
    output = tmp_path / "02.ipynb"
    execute(root() / "notebooks" / "02_method.ipynb", output, {})
    text = shown_text(output)
    assert "logits equal: True" in text
    assert re.search(r"equal maps +0\.000000\n", text)
    loop, function = re.search(r"double loop +(\S+)\nfeature_affinity +(\S+)", text).groups()
    assert float(loop) == pytest.approx(float(function), abs=1e-5)
    assert re.search(r"\nsisr +(\d+) +\1 +0\n", text)  # all tensors move, or none
    counted, by_hand = re.search(r"head: (\d+) counted, (\d+) by hand", text).groups()
    assert counted == by_hand
    terms = re.findall(r"(ce|mse|fa) +\S+ x \S+ = (\S+), criterion (\S+)", text)
    assert [name for name, *_ in terms] == ["ce", "mse", "fa"]
    for _, written_out, value in terms:
        assert 0 < float(written_out) == pytest.approx(float(value), abs=2e-5)
    before, _, after = map(float, re.findall(r"L_fa = (\S+)", text))
    assert 0 < after < before  # the trained networks, on a real frame
    assert picture_kinds(output) == ["image/png", "image/png", "image/jpeg"]


@pytest.fixture(scope="module")
def stage_1(tmp_path_factory):
    """The notebook of stage 1, executed at a tiny setting: folder, results, parameters."""
    folder = tmp_path_factory.mktemp("stage_1")
    parameters = {"overrides": ",".join(TINY), "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSRL_RESULTS", str(folder / "results"))
        execute(root() / "notebooks" / "11_stage1_sssr.ipynb", folder / "first.ipynb", parameters)
        yield folder, parameters


def test_training_notebook_shows_its_run(stage_1):
    folder, _ = stage_1
    config = tiny("sssr")
    run = folder / "results" / "smoke" / "runs" / config.run_id
    assert (run / "metrics.json").exists()
    assert f"complete: smoke/runs/{config.run_id}" in shown_text(folder / "first.ipynb")
    assert picture_kinds(folder / "first.ipynb") == ["image/png", "image/jpeg"]
    assert (folder / "first.ipynb").stat().st_size < 400_000


def test_pictures_show_what_was_counted(stage_1):
    folder, _ = stage_1
    run = folder / "results" / "smoke" / "runs" / tiny("sssr").run_id
    first, last = showcase.examples(run, "val", at=(0.0, 1.0))
    split = load_split("streets", "val")
    with np.load(run / "counts_val.npz") as file:
        for frame, index in ((first, 0), (last, len(split) - 1)):
            assert frame.name == split.names[index]
            assert np.array_equal(metrics.counts(frame.prediction, frame.truth, 19), file["counts"][index])
    assert first.image.shape == (16, 32, 3) and first.target.shape == (32, 64, 3)
    assert first.reconstruction is None and first.affinity == {}
    config = tiny("sssr")
    assert first.recorded and shown_frames([first, last], config) == f"{first.name}, {last.name}"
    other = dataclasses.replace(last, recorded=False)
    assert "trained again on another processor" in shown_frames([first, other], config)


def test_second_execution_gives_the_same_bytes(stage_1):
    folder, parameters = stage_1
    execute(root() / "notebooks" / "11_stage1_sssr.ipynb", folder / "second.ipynb", parameters)
    assert (folder / "second.ipynb").read_bytes() == (folder / "first.ipynb").read_bytes()


def test_later_stages_and_any_arm_run_through(stage_1, trained):
    """Stage 3 is trained here, stage 2 elsewhere."""
    folder, _ = stage_1
    runs = folder / "results" / "smoke" / "runs"
    shutil.copytree(trained(tiny("sssr_sisr")), runs / tiny("sssr_sisr").run_id)
    stage_2 = run_here("12_stage2_sisr", overrides=",".join(TINY))
    assert [run.arm for run in stage_2["stages"]] == ["sssr", "sssr_sisr"]
    assert stage_2["shown"][0].reconstruction.shape == (32, 64, 3)

    stage_3 = run_here("13_stage3_fa", overrides=",".join(TINY))
    assert [run.arm for run in stage_3["stages"]] == ["sssr", "sssr_sisr", "dsrl"]
    maps = stage_3["shown"][0].affinity
    assert [values.shape for values in maps.values()] == [(4, 8), (4, 8)]
    for values in maps.values():
        assert values[int(0.6 * 4), 4] == pytest.approx(1, abs=1e-3)  # the reference pixel itself

    again = run_here("19_train_arm", arm="dsrl", overrides=",".join(TINY))
    assert again["directory"] == stage_3["directory"]


def test_overview_and_data_notebooks_run_through(stage_1):
    overview = run_here("00_start_here")
    assert re.findall(r"^\| (\d\d_\w+) +\| [A-Z]", overview["titles"], re.M) == [path.stem for path in NOTEBOOKS]
    data = run_here("01_data_prep")
    assert data["shares"].sum().to_numpy() == pytest.approx(100)
    assert 0 < data["ceiling"].min() < data["ceiling"].max() <= 100


def test_complete_run_without_weights_needs_no_pictures(stage_1, capsys):
    folder, parameters = stage_1
    run = folder / "results" / "smoke" / "runs" / tiny("sssr").run_id
    (run / "final.safetensors").rename(run / "elsewhere")
    assert run_here("11_stage1_sssr", **parameters)["shown"] == []
    shown = capsys.readouterr().out
    assert "has no final.safetensors here" in shown
    assert "./run_all.sh smoke --arms sssr --seeds 0 --hosts espnetv2_s0.5" in shown
    (run / "elsewhere").rename(run / "final.safetensors")
