"""The audit lets nothing through: tampered counts, scores, tables and printed numbers, stale and mixed runs."""

import json
import zlib
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dsrl_lib.losses.terms import TERMS
from dsrl_lib.metrics import iou, miou
from dsrl_lib.paths import root
from dsrl_lib.records import write_json
from dsrl_lib.runs import folder, write_counts, write_history
from study.claims import table as claims_table
from study.claims.judge import judge, verdict
from study.evidence import Study
from study.presets import preset
from study.profiles import PROFILES
from study.report import audit, reported, tables, texts
from study.report.histories import histories
from study.report.provenance import how_measured
from study.report.results import results_frame, write_results
from study.statistics.scores import Resamples, mean_iou, score
from study.turns import write_turns

IMAGES, CLASSES = 12, 11
COST = {f"{name}_{variant}": 10 * (1 + i) for name in ("params", "macs", "latency_ms", "peak_mib")
        for i, variant in enumerate(("host", "pruned", "full"))}  # fmt: skip


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(Resamples, "of", partial(Resamples.of, resamples=200))


def write_run(arm: str, seed: int, profile: str = "camvid", dirty: bool = False) -> Path:
    """A complete and consistent run directory with made-up counts."""
    config = preset(profile, arm, seed=seed)
    directory = folder(config)
    directory.mkdir(parents=True)
    write_json(directory / "config.json", config.to_dict())
    write_history(directory / "history.csv", [{"epoch": 1, "val_miou": 0.5}], TERMS)
    metrics = {"cost": COST | {"input": [180, 240], "prune_bit_equal": True}}
    rng = np.random.default_rng([seed, zlib.crc32(arm.encode())])
    for split in ("val", "test"):
        counts = rng.integers(40, 60, (IMAGES, CLASSES if profile == "camvid" else 19, 3)).astype(np.int32)
        counts[..., 0] *= 4 if arm == "dsrl" else 2  # a clear difference
        arrays = {"counts": counts, "images": np.array([f"{i:02d}" for i in range(IMAGES)]),
                  "sequences": np.array(["a"] * 5 + ["b"] * 7), "trimap": np.stack([counts] * 2, 1),
                  "trimap_px": np.array([1, 4]), "object_recall": np.ones((counts.shape[1], 5, 2), int)}  # fmt: skip
        write_counts(directory / f"counts_{split}.npz", arrays)
        metrics[split] = {"miou": miou(counts), "iou": iou(counts.sum(0)).tolist(), "psnr": None, "ssim": None}
    write_json(directory / "env.json", {"dirty": dirty, "device": "CPU, one", "data": {"train": "a"}})
    write_json(directory / "metrics.json", metrics)
    return directory


@pytest.fixture
def directory(results) -> Path:
    """A small study in which all is well; the directory of one of its runs."""
    runs = [write_run(arm, seed) for arm in ("lr", "dsrl") for seed in (0, 1)]
    publish("camvid")
    return runs[-1]


def publish(profile: str) -> None:
    write_results(profile)
    claims_table.write_claims(Study(profile))
    tables.write(Study(profile))


def edit(path: Path, *keys: str, value: object) -> None:
    """Another value for one entry of a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def test_every_score_is_computed_once(directory, monkeypatch):
    computed = Counter()

    def counted(counts, resamples, statistic):
        computed[statistic, sum(int(values.sum()) for values in counts.values())] += 1  # the sums of lr and dsrl differ
        return score(counts, resamples, statistic)

    monkeypatch.setattr("study.evidence.score", counted)
    study = Study("camvid")
    for use in (judge, judge, tables.files, reported.side_by_side, lambda study: verdict(study, "C1")):
        use(study)
    assert computed.total() == 4 and set(computed.values()) == {1}
    assert Counter(statistic for statistic, _ in computed) == {mean_iou: 2, iou: 2}  # of lr and dsrl


def test_nothing_to_say_when_all_is_well(directory):
    assert audit.audit("camvid").empty


def test_tampered_score(directory):
    edit(directory / "metrics.json", "test", "miou", value=0.9)
    found = audit.audit("camvid")
    assert found["where"].tolist() == [directory.name] and found["fatal"].all()
    assert "test mIoU: 0.9 in metrics.json" in found["problem"][0]


def test_tampered_score_of_a_class(directory):
    edit(directory / "metrics.json", "val", "iou", value=[0.9] * CLASSES)
    assert audit.audit("camvid")["problem"].tolist() == ["val IoU by class in metrics.json is not that of the counts"]


@pytest.mark.parametrize("iou", [[0.5] * (CLASSES - 1), [None] * CLASSES])
def test_scores_that_are_null_or_too_few_are_found(directory, iou):
    edit(directory / "metrics.json", "test", "miou", value=None)
    edit(directory / "metrics.json", "test", "iou", value=iou)
    problem, other = audit.audit("camvid")["problem"]
    assert problem.startswith("test mIoU: None in metrics.json, 0.") and "test IoU by class" in other


def test_null_is_the_score_of_a_split_without_labelled_pixels(directory):
    with np.load(directory / "counts_val.npz") as file:
        arrays = {name: file[name] for name in file}
    write_counts(directory / "counts_val.npz", arrays | {"counts": 0 * arrays["counts"]})
    edit(directory / "metrics.json", "val", value={"miou": None, "iou": [None] * CLASSES})
    write_results("camvid")
    assert audit.audit("camvid").empty


def test_tampered_counts(directory):
    path = directory / "counts_test.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    arrays["counts"][0, 0, 0] += 500
    write_counts(path, arrays)
    found = audit.audit("camvid")
    assert {"runs", "files"} == set(found["check"])
    assert {directory.name, "results.csv", "claims.csv", "tables/main.csv"} <= set(found["where"])


@pytest.mark.parametrize("name", ["results.csv", "claims.csv", "tables/main.csv", "tables/differences.md"])
def test_tampered_and_missing_files(directory, results, name):
    path = results / "camvid" / name
    lines = path.read_text().splitlines(keepends=True)
    lines[-1] = "7" + lines[-1]
    path.write_text("".join(lines))
    found = audit.audit("camvid")
    assert found["where"].tolist() == [name] and f"first in line {len(lines)}" in found["problem"][0]
    path.unlink()
    assert audit.audit("camvid")[["where", "problem"]].to_numpy().tolist() == [[name, "is missing"]]


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: text.replace(b"\n", b"\r\n")])
def test_files_are_compared_byte_for_byte(directory, results, change):
    path = results / "camvid" / "tables" / "main.md"
    path.write_bytes(change(path.read_bytes()))
    problem = "differs from the counts in its line ends"
    assert audit.audit("camvid")[["where", "problem"]].to_numpy().tolist() == [["tables/main.md", problem]]


def test_stale_run(directory):
    edit(directory / "config.json", "optim", "epochs", value=31)  # no preset gives that
    found = audit.audit("camvid").query("check == 'runs'")
    assert found["where"].tolist() == [directory.name] and "no present preset" in found["problem"].iloc[0]


@pytest.mark.parametrize(("profile", "fatal"), [("camvid", True), ("smoke", False)])
def test_dirty_run_is_a_warning_in_smoke_alone(results, profile, fatal):
    write_run("lr", 0, profile, dirty=True)
    publish(profile)
    found = audit.audit(profile)
    assert found[["problem", "fatal"]].to_numpy().tolist() == [["made from uncommitted code", fatal]]


def test_mixed_devices_and_data(directory):
    both = [folder(preset("camvid", arm, seed=1)) for arm in ("lr", "dsrl")]
    for one in both:
        edit(one / "env.json", "device", value="CPU, another")
    assert audit.mixed(Study("camvid")) == []  # seed 1 on another CPU than seed 0
    edit(directory / "env.json", "device", value="CPU, a third")
    found, problem = audit.mixed(Study("camvid")), "devices mixed in seed 1: CPU, a third; CPU, another"
    assert ("C1, any gain", problem, False) in found
    edit(write_run("sssr_long", 1) / "env.json", "device", value="CPU, another")
    latency = "C3, latency relative to the host, pruned DSRL / SSSR alone"
    costs = [(where, fatal) for where, _, fatal in audit.mixed(Study("camvid")) if where.startswith("C3, ")]
    assert costs == [(latency, True)]  # of one machine; MACs and bits may come from several
    forms = {f"latency_ms_{form}": [3.0, 4.0, 8.0] for form in ("host", "pruned", "full")}
    write_turns("camvid", "CPU, a fourth", [([run.run_id for run in Study("camvid").runs], forms)])
    study = Study("camvid")
    assert not any(where.startswith("C3, ") for where, *_ in audit.mixed(study))  # all in turn, on one machine
    assert results_frame(study.runs)["latency_ms_pruned"].tolist() == [4.0] * 5
    assert tables.cost(study).loc["dsrl", "latency (ms), host"] == 4.0
    edit(directory / "env.json", "device", value="A GPU")
    edit(directory / "env.json", "data", "train", value="b")
    found = audit.mixed(Study("camvid"))
    assert ("C1, any gain", "devices mixed in seed 1: A GPU; CPU, another", True) in found
    assert ("C1, any gain", "devices mixed: A GPU, CPU", True) in found
    assert ("C1, any gain", "2 versions of the data mixed", True) in found


def test_a_run_that_was_continued_elsewhere_mixes_devices_too(directory):
    edit(directory / "env.json", "earlier", value=[{"device": "A GPU"}])
    found = audit.mixed(Study("camvid"))
    assert ("C1, any gain", "devices mixed in seed 1: A GPU; CPU, one", True) in found
    assert ("C1, any gain", "devices mixed: A GPU, CPU", True) in found
    assert "on A GPU, CPU (one). What each arm is:" in how_measured(Study("camvid"))


def test_arms_may_train_on_other_data_but_are_judged_on_the_same(results):
    one, other = (write_run(arm, seed=0, profile="moving") for arm in ("moving_one", "moving_joint"))
    edit(one / "env.json", "data", value={"train": "b", "test": "t"})
    edit(other / "env.json", "data", value={"train": "a", "test": "t"})
    assert audit.mixed(Study("moving")) == []
    edit(other / "env.json", "data", "test", value="u")
    problem = "2 versions of the data mixed"
    assert ("C22, gain over the labelled frame alone", problem, True) in audit.mixed(Study("moving"))


def test_marked_numbers_in_a_text(directory, tmp_path):
    study, text = Study("camvid"), tmp_path / "REPORT.md"
    values = results_frame(study.runs).groupby("arm")["test_miou"].mean()
    gain = f"{values['dsrl'] - values['lr']:+.2f}".replace("-", "−")
    text.write_text(
        f"DSRL gains <!-- miou: dsrl - lr -->{gain}<!-- end --> points and"
        f" reaches <!-- miou: dsrl -->{values['dsrl']:.1f}<!-- end -->;"
        " <!-- miou: dsrl - lr, low -->+99.0<!-- end -->, <!-- miou: hr -->70.0<!-- end -->,"
        " <!-- miou: dsrl - lr, seeds -->9<!-- end --> seeds"
    )
    wrong = texts.wrong_lines(study, text)
    assert len(wrong) == 1 and "+99.0" in wrong[0][1]
    again = texts.refreshed(text.read_text(), study)
    assert f">{gain}<" in again and f">{values['dsrl']:.1f}<" in again and "miou: hr -->not run<" in again
    assert f", seeds -->{len(study.seeds(['dsrl', 'lr']))}<" in again


def test_a_text_is_audited_with_every_profile_that_it_shows(results, tmp_path, monkeypatch):
    write_run("moving_one", 0, "moving")
    publish("moving")
    text = tmp_path / "README.md"
    text.write_text("reaches <!-- moving miou: moving_one -->99.0<!-- end -->")
    monkeypatch.setattr(audit, "published", lambda profile: [text] if profile == "moving" else [])
    found = audit.audit("moving")
    assert found["check"].tolist() == ["README.md"] and "99.0" in found["problem"][0]


def test_a_text_is_published_with_every_profile_of_its_tables(tmp_path, monkeypatch):
    """Each profile that a table reads, without any mark that names it."""
    (tmp_path / "README.md").write_text("<!-- moving_claims:begin -->\n<!-- moving_claims:end -->\n")
    for name in ("root", "released_dir"):
        monkeypatch.setattr(texts, name, lambda: tmp_path)
    monkeypatch.setattr(texts, "results_dir", lambda: tmp_path / "results")
    shown = {profile for profile in PROFILES if texts.published(profile)}
    assert shown == {"camvid", "idd", "camvid_videos", "moving"}


PUBLISHED = (root() / "README.md").exists() and (root() / "results" / "camvid" / "runs").exists()


@pytest.mark.skipif(not PUBLISHED, reason="no published runs in this copy of the repository")
def test_what_the_repository_publishes(monkeypatch):
    monkeypatch.undo()  # all resamples
    monkeypatch.delenv("DSRL_RESULTS", raising=False)
    assert audit.audit("camvid").query("fatal").empty


def test_the_history_of_a_stage_follows_those_before_it(results):
    for arm in ("sssr", "sssr_sisr", "dsrl"):
        write_run(arm, 0)
    (history,) = histories(Study("camvid"), "dsrl")
    assert history["epoch"].tolist() == [1, 6, 11]  # five epochs a stage
