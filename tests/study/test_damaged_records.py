"""JSON that is JSON, but not what a run writes: an error that names the file, or a dash; never a traceback."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up_runs import MadeUpRun
from safetensors.torch import load_file, save_file
from tiny_runs import tiny

from dsrl_lib import network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.records import read_json, write_json
from dsrl_lib.training import checkpoint
from dsrl_lib.training.fit import fit
from dsrl_lib.training.state import RunState
from study import manage
from study.catalogue import load_run
from study.counts import DamagedRunError
from study.evidence import Study
from study.figures import showcase
from study.report.factor import strength_table
from study.report.histories import total_epochs
from study.report.tables import compute

SCORES = {"miou": 0.5, "iou": [0.5, None], "psnr": None, "ssim": None}
COST = {"cost": {"input": [16, 32], "macs_full": 3}}
GOOD = {"metrics.json": {"val": SCORES, "test": SCORES} | COST,
        "env.json": {"device": "CPU", "dirty": False, "train_seconds": 3.5}}  # fmt: skip


@pytest.fixture
def complete(results: Path) -> Path:
    """A complete run, as far as its JSON files go."""
    config = tiny("lr")
    directory = runs.folder(config)
    runs.prepare(directory, config)
    for name, values in GOOD.items():
        write_json(directory / name, values)
    return directory


def without(values: dict, *keys: str) -> dict:
    return {key: value for key, value in values.items() if key not in keys}


METRICS = [
    ({}, "val is missing"),
    ([1], r"the content = \[1\]; allowed: fields by their names"),
    ({"val": None, "test": None} | COST, "val = None; allowed: fields by their names"),
    ({"val": {}, "test": {}} | COST, "val.miou is missing"),
    ({"val": SCORES | {"miou": "0.5"}, "test": SCORES} | COST, "val.miou = '0.5'; allowed: a number from 0 to 1 or no"),
    ({"val": SCORES, "test": SCORES | {"miou": 50.0}} | COST, "test.miou = 50.0; allowed: a number from 0 to 1 or no"),
    (
        {"val": SCORES, "test": SCORES | {"iou": ["a"]}} | COST,
        r"test.iou = \['a'\]; allowed: a list, each item a number",
    ),
    (GOOD["metrics.json"] | {"cost": {"input": [16], "macs_full": "many"}}, "cost.macs_full = 'many'; allowed"),
]
ENVIRONMENT = [
    ([], r"the content = \[\]"),
    ({"device": 3}, "device = 3; allowed: text"),
    ({"dirty": "no"}, "dirty = 'no'; allowed: true, false or nothing"),
    ({"train_seconds": None}, "train_seconds = None; allowed: a number"),
    ({"data": ["a"]}, r"data = \['a'\]; allowed: fields by their names"),
]


@pytest.mark.parametrize(("content", "said"), METRICS)
def test_wrong_metrics_are_named(complete: Path, content: object, said: str) -> None:
    (complete / "metrics.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{complete.name}/metrics.json is damaged: {said}"):
        manage.compare(complete, complete)
    assert re.search(f"damaged: .*/metrics.json is damaged: {said}", manage.runs_table("smoke"))
    with pytest.raises(DamagedRunError, match=f"metrics.json is damaged: {said}"):
        load_run(complete)


@pytest.mark.parametrize(
    ("cost", "said"),
    [({}, "cost is missing"), ({"cost": {}}, "cost.input is missing"), ({"cost": {"input": 3}}, "cost.i")],
)
def test_tables_need_costs(complete: Path, cost: dict, said: str) -> None:
    (complete / "metrics.json").write_text(json.dumps({"val": SCORES, "test": SCORES} | cost))
    with pytest.raises(DamagedRunError, match=f"metrics.json is damaged: {said}"):
        load_run(complete)


@pytest.mark.parametrize(("content", "said"), ENVIRONMENT)
def test_a_wrong_environment_is_named(complete: Path, content: object, said: str) -> None:
    load_run(complete)
    (complete / "env.json").write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match=f"env.json is damaged: {said}"):
        load_run(complete)


@pytest.mark.parametrize("change", [{"optim": None}, {"optim": {"epochs": "ten"}}, {"optim": {"epochs": None}}, None])
def test_a_wrong_configuration_is_named(complete: Path, change: dict | None) -> None:
    values = read_json(complete / "config.json")
    (complete / "config.json").write_text(json.dumps([1] if change is None else values | change))
    with pytest.raises(DamagedRunError, match=rf"{complete.name}/config\.json(: | is damaged: )"):
        load_run(complete)
    assert f"{complete.name}/config.json is damaged: " in manage.runs_table("smoke")
    (complete / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match=r"config\.json is damaged: "):
        runs.read_config(complete)


def test_a_configuration_older_than_some_settings_is_read(complete: Path) -> None:
    values = read_json(complete / "config.json")
    (complete / "config.json").write_text(json.dumps(without(values, "warm_start", "downsampling", "continues")))
    run = load_run(complete)
    assert run.config == values and run.trains_host and total_epochs(run) == values["optim"]["epochs"]
    for change in ({"downsampling": None}, {"loss": {"w1": "x"}}, {"seed": 3}):
        (complete / "config.json").write_text(json.dumps(values | change))
        with pytest.raises(DamagedRunError, match=rf"{complete.name}/config\.json(:| is not the configuration)"):
            load_run(complete)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "epoch,step,lr,loss\n1,x,0.1,0.5\n"])
def test_a_wrong_history_is_named(complete: Path, content: str) -> None:
    (complete / "history.csv").write_text(content)
    with pytest.raises(DamagedRunError, match=r"history\.csv (cannot be read|has no numbers in the column)"):
        _ = load_run(complete).history


def test_a_history_that_is_no_table_is_named(complete: Path) -> None:
    (complete / "history.csv").write_text(f"epoch,{'1' * 200_000}\n")  # longer than a field of a table may be
    whole = tiny("sssr")
    runs.prepare(runs.folder(whole), whole)
    damaged, other = sorted(manage.runs_table("smoke").splitlines()[1:])  # one damaged run hides no other
    assert "history.csv is damaged: field larger" in damaged and other.split()[:2] == [whole.run_id, "not"]


COUNTS = {
    "images": np.array(["a", "b"]), "sequences": np.array(["a", "a"]), "counts": np.ones((2, 19, 3), int),
    "trimap": np.ones((2, 4, 19, 3), int), "trimap_px": np.arange(4), "object_recall": np.ones((19, 3, 2), int),
}  # fmt: skip
OTHERS = [
    *((name, np.array(3), f"{name} is int64 ") for name in COUNTS),
    *((name, np.array(["a"]), f"{name} is <U1 ") for name in COUNTS if name not in ("images", "sequences")),
    ("counts", np.ones((2, 18, 3), int), r"counts is int64 \(2, 18, 3\), expected integers \(2, 19, 3\)"),
    ("counts", np.zeros((2, 19, 3)), r"counts is float64 \(2, 19, 3\), expected integers"),
    ("trimap", -COUNTS["trimap"], "trimap has numbers below 0"),
    ("object_recall", np.ones((19, 3), int), r"object_recall is int64 \(19, 3\), expected integers \(19, 3, 2\)"),
]


@pytest.mark.parametrize(("name", "value", "said"), OTHERS)
def test_wrong_counts_are_named(complete: Path, name: str, value: np.ndarray, said: str) -> None:
    np.savez(complete / "counts_val.npz", **COUNTS)
    assert load_run(complete).counts("val").images == ("a", "b")
    np.savez(complete / "counts_val.npz", **COUNTS | {name: value})
    with pytest.raises(DamagedRunError, match=rf"counts_val\.npz: {said}" if name != "images" else "expected texts"):
        load_run(complete).counts("val")


def test_counts_with_a_byte_that_was_flipped_are_named(complete: Path) -> None:
    path = complete / "counts_test.npz"
    runs.write_counts(path, COUNTS)
    content, named = bytearray(path.read_bytes()), 0
    for at in range(0, len(content), 17):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:  # any other error is one too many
            found = load_run(complete).counts("test")
        except DamagedRunError:
            named += 1
        else:  # a byte that says nothing of the arrays
            assert all(np.array_equal(getattr(found, name), array) for name, array in COUNTS.items())
    assert named > 0
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedRunError, match=r"counts_test\.npz cannot be read: "):
        load_run(complete).counts("test")


def test_examples_of_a_run_with_damaged_counts_name_the_file(complete: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (complete / "counts_val.npz").write_bytes(b"PK")
    network = SimpleNamespace(eval=lambda: None), tiny("lr")
    for name, value in (("weights_of", complete), ("open_weights", network), ("load_split", [])):
        monkeypatch.setattr(showcase, name, lambda *_, value=value: value)
    with pytest.raises(DamagedRunError, match=r"counts_val\.npz cannot be read: "):
        showcase.examples(complete, "val", [])


def test_a_peak_of_memory_that_is_not_known_is_left_out() -> None:
    made = [MadeUpRun("lr", seed, 60) for seed in range(3)]
    for run, peak in zip(made, (None, 3.0, 2.0), strict=True):
        run.env["peak_memory_mib"] = peak
    assert compute(Study("camvid", made)).loc["lr", "peak memory (MiB)"] == 3.0


def test_a_mark_of_the_byte_order_is_no_damage(complete: Path) -> None:
    path = complete / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert runs.read_config(complete).run_id == complete.name


@pytest.mark.parametrize("name", ["metrics.json", "history.csv"])
def test_a_run_that_cannot_be_read_hides_no_other(complete: Path, name: str) -> None:
    other = shutil.copytree(complete, complete.with_name("other"))
    (other / name).unlink(missing_ok=True)
    (other / name).mkdir()
    damaged, good = sorted(manage.runs_table("smoke").splitlines()[1:])
    assert f"damaged: [Errno 21] Is a directory: '{other / name}'" in damaged and "50.00" in good


def test_a_score_of_nothing_is_a_dash(complete: Path) -> None:
    nothing = SCORES | {"miou": None}
    write_json(complete / "metrics.json", {"val": nothing, "test": SCORES, "cost": {}})
    assert manage.runs_table("smoke").splitlines()[-1].split()[-2:] == ["-", "50.00"]
    assert "val mIoU (points)               -  |  -" in manage.compare(complete, complete)


CHECKPOINTS = [
    [1],
    {},
    {"step": "7"},
    {"step": None},
    {"config": 5},
    {"config": {"optim": 5}},
    {"network": {}},
    {"network": [1]},
    {"optimizer": {}},
    {"scaler": 1},
    {"history": [3]},
    {"sums": None},
    {"seconds": "long"},
    {"step": -1},
    {"step": 10**6},
    {"step": 4},  # a whole epoch without its row of the history
    {"history": [{"epoch": 1, "val_miou": 0.5}]},  # a row without its steps
    {"sums": {"loss": float("nan")}},
    {"seconds": -1.0},
    {"epochs_before": "one"},
    {"data": 3},
    {"weights": {"w1": "large"}},
]


@pytest.mark.parametrize("change", CHECKPOINTS, ids=str)
def test_a_wrong_checkpoint_is_named(results: Path, change: object) -> None:
    config = tiny("lr")
    directory = runs.folder(config)
    runs.prepare(directory, config)
    state = RunState(config, load_split("streets", "train"), torch.device("cpu")).state_dict()
    checkpoint.save(directory, {**state, **change} if isinstance(change, dict) and change else change)
    before = (directory / "last.pt").read_bytes()
    with pytest.raises(ValueError, match=f"{directory.name}.*delete it to start the run again"):
        fit(config, device="cpu", progress=False)
    assert (directory / "last.pt").read_bytes() == before and not runs.is_complete(directory)


def test_the_checkpoint_before_a_wrong_one_is_used(results: Path) -> None:
    config = tiny("lr")
    directory = runs.folder(config)
    runs.prepare(directory, config)
    state = RunState(config, load_split("streets", "train"), torch.device("cpu")).state_dict()
    checkpoint.save(directory, state | {"step": 2})
    checkpoint.save(directory, state | {"step": "3"})
    assert checkpoint.load(directory)["step"] == 2


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"classes": "{"}, "metadata of .* cannot be read"),
        ({"classes": "3"}, "classes = 3; allowed: a list, each item text"),
        ({"classes": "[1, 2]"}, r"classes = \[1, 2\]; allowed"),
        ({"normalisation": "null"}, "normalisation = None; allowed"),
        ({"normalisation": "[]"}, r"normalisation = \[\]; allowed"),
        ({"normalisation": '{"mean": [0, 0, 0], "std": [1, 1, 1]}'}, "takes images normalised by .*this library"),
        ({"config": '{"optim": 3}'}, "configuration in .* cannot be read: optim = 3"),
        ({"config": '{"seed": 1, "seed": 2}'}, "configuration in .* cannot be read: seed stands twice"),
        ({"config": "[" * 100_000}, "configuration in .* cannot be read"),
        ({"classes": "[" * 100_000}, "metadata of .* cannot be read"),
    ],
)
def test_wrong_metadata_of_weights_are_named(tmp_path: Path, metadata: dict, said: str) -> None:
    config, path = tiny("lr"), tmp_path / "w.safetensors"
    network.save(network.build(config), config, path)
    network.load(path)
    save_file(load_file(path), path, network.metadata(path) | metadata)
    with pytest.raises(ValueError, match=said) as raised:
        network.load(path)
    assert "w.safetensors" in str(raised.value)


def test_a_record_nested_without_end_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ' + "[" * 100_000)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["", "arm,term\ndsrl,ce\n", "arm,term,gradient\ndsrl,ce,1\ndsrl,fa,much\n", "\xff"])
def test_damaged_gradient_shares_are_named_with_what_writes_them_again(results, content):
    path = results / "camvid" / "gradient_shares.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"{path} is damaged: .*`python -m study shares --arm fa --profile camvid`"):
        strength_table(Study("camvid", []), "C7")
