"""The study on a real Slurm of one node: the same steps in the same order, failures named, jobs that die go on."""

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import slurm_kills
import slurm_node
import snakemake_executor_plugin_slurm as executor
from study_copy import Copy

from dsrl_lib.paths import root
from study.execution.slurm import ask_steadily, tell_ended_jobs

OPTIONS = ("smoke", "--arms", "sssr_sisr", "--seeds", "0", "--slurm")


@pytest.fixture(scope="module", params=[False, True], ids=["squeue", "sacct"])
def slurm(request, tmp_path_factory):
    """Without and with accounting."""
    if reason := slurm_node.missing(accounting=request.param):
        pytest.skip(f"no Slurm for tests here: it {reason}")
    with slurm_node.running(tmp_path_factory.mktemp("slurm"), accounting=request.param) as node:
        yield node


def quick(copy: Copy) -> None:
    """For jobs of seconds: one more try."""
    profile = copy.folder / "profiles" / "slurm" / "config.yaml"
    slurm_node.impatient(profile)
    assert "retries: 5 " in profile.read_text()
    profile.write_text(profile.read_text().replace("retries: 5 ", "retries: 1 "))


def test_jobs_are_asked_for_in_equal_intervals(monkeypatch):
    monkeypatch.setattr(executor.Executor, "next_seconds_between_status_checks", None)  # put back afterwards
    ask_steadily()
    one = executor.Executor.__new__(executor.Executor)
    one.workflow = SimpleNamespace(executor_settings=SimpleNamespace(init_seconds_before_status_checks=20))
    one.next_seconds_between_status_checks = 180
    assert one.next_seconds_between_status_checks == 20


def test_every_job_that_will_not_run_again_counts_as_ended(monkeypatch):
    """What sacct and squeue say of seven jobs: see `slurm.tell_ended_jobs`."""
    said = {
        "sacct --name run": dict(a="CANCELLED by 0", b="PREEMPTED", c="PREEMPTED", d="NODE_FAIL", e="COMPLETED"),
        "squeue --name run": dict(b="PENDING", d="RUNNING", f="PENDING", g="PREEMPTED"),
    }

    async def ask(command, logger):
        return said[command], 0.1

    monkeypatch.setattr(executor, "query_job_status", ask)
    monkeypatch.setattr(executor, "query_job_status_squeue", lambda run: f"squeue --name {run}")
    tell_ended_jobs()
    states, seconds = asyncio.run(executor.query_job_status("sacct --name run", None))
    known = dict(b="PENDING", d="RUNNING", f="PENDING", g="FAILED")
    assert states == dict(a="CANCELLED", c="FAILED", e="COMPLETED", **known)
    assert seconds == 0.1
    assert asyncio.run(executor.query_job_status("squeue --name run", None)) == (known, 0.1)
    said["squeue --name run"] = None  # squeue does not answer
    assert asyncio.run(executor.query_job_status("sacct --name run", None)) == (None, None)


@pytest.mark.endurance
def test_a_study_runs_on_slurm_as_it_does_here(tmp_path: Path, slurm: slurm_node.Node):
    copy = Copy(tmp_path)
    quick(copy)
    copy.notebook("12_stage2_sisr").write_text("BROKEN")
    gpus = ("--gpus-per-run", "1", "--device", "cpu")
    status, text, _ = copy.run(*OPTIONS, *gpus, "--dry-run")
    assert status == 0 and text.count("1 GPU (standin)") == 2, text
    status, text, steps = copy.run(*OPTIONS, *gpus, "--gpu-type", "standin", "--time", "0.5")
    assert (status, steps) == (1, ["01_data_prep", "sssr s0"]), text
    assert "FAILED 12_stage2_sisr sssr_sisr" in text and "ValueError: broken on purpose" in text
    copy.notebook("12_stage2_sisr").write_text("mended")
    status, text, steps = copy.run(
        *OPTIONS, "--gpus-per-run", "0", "--partition", "debug", "--account", slurm_node.ACCOUNT
    )
    assert (status, steps) == (0, ["sssr_sisr s0", "collect", "claims", "41_main_results", "90_audit"]), text


@pytest.mark.endurance
@pytest.mark.parametrize("slurm", [True], indirect=True, ids=["sacct"])
def test_jobs_killed_in_every_way_end_as_undisturbed_ones(tmp_path: Path, slurm: slurm_node.Node):
    """The whole study, twenty kills, both Slurms: half an hour of `python tests/helpers/slurm_kills.py`."""
    few = ("01_data_prep", "11_stage1_sssr", "12_stage2_sisr", "41_main_results", "90_audit")
    options = ("--arms=sssr_sisr", "--seeds=0")
    ways = list(slurm_kills.Killer.WAYS)
    kills, different = slurm_kills.compare(tmp_path, slurm, len(ways), (3, 8), options, few, among="train")
    assert kills == ways
    assert different == []


@pytest.mark.endurance
@pytest.mark.parametrize("slurm", [False], indirect=True, ids=["squeue"])
def test_the_documented_array_trains_every_run(tmp_path: Path, slurm: slurm_node.Node):
    study = slurm_kills.Study(tmp_path / "clone")
    page = (root() / "profiles" / "slurm" / "README.md").read_text()
    (commands,) = re.findall(r"```bash\n(export DSRL_RESULTS=[^\n]*\npython -m study execute .*?)```", page, re.DOTALL)
    before, submit = commands.replace("camvid", "smoke").split("sbatch", 1)
    before = before.replace("$HOME/dsrl-results", str(study.results.parent)).replace(" >", " | head -2 >")
    submit = submit.replace("--gpus=1 ", "").replace("--cpus-per-task=4", "--cpus-per-task=1")
    assert "head -2" in before and submit.count("--cpus-per-task=1") == 2
    active = study.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-ec", f"{before}sbatch{submit}"], cwd=study.folder, env=active, check=True)
    end = time.monotonic() + 300
    while slurm_node.jobs() and time.monotonic() < end:
        time.sleep(1)
    done = [path.parent.name for path in (study.results / "runs").glob("*/metrics.json")]
    wanted = [line for line in (study.folder / "runs.txt").read_text().splitlines() if line]
    assert len(done) == len(wanted) == 2, [path.read_text() for path in study.folder.glob("slurm-*.out")]
