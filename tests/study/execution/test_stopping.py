"""A study that is stopped ends its steps, and says that it was stopped and not that a step failed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from dsrl_lib.paths import root
from study.execution import run_all, stopping, warm
from study.execution.progress import LogHandler

STUDY = """
import sys
from snakemake.cli import args_to_api, parse_args
from study.execution import stopping

parser, chosen = parse_args(["--quiet", "--nolock", "--cores=1", "--keep-going"])
with stopping.noticed() as signals:
    done = args_to_api(chosen, parser)
print(done, signals)
"""
SNAKEFILE = """
rule all:
    input: "first.txt", "second.txt"
rule step:
    output: "{name}.txt"
    shell: "'%s' step.py begun.{wildcards.name} > {output} 2>&1"
"""
STEP = """
import pathlib, signal, sys, time

def stop(*_):
    pathlib.Path("checkpoint").write_text("written")
    sys.exit(1)

signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""


def test_sigterm_to_the_study_ends_the_step_that_runs_and_begins_no_other(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE % sys.executable)
    (tmp_path / "step.py").write_text(STEP)
    environment = os.environ | {"PYTHONPATH": str(root()), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", STUDY]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as study:
        while not list(tmp_path.glob("begun.*")) and study.poll() is None:
            time.sleep(0.05)
        study.terminate()
        printed, errors = study.communicate()
    assert printed.splitlines()[-1] == f"False [{signal.SIGTERM.value}]", errors
    assert errors.count("stopping: training writes a checkpoint") == 1
    assert (tmp_path / "checkpoint").read_text() == "written" and len(list(tmp_path.glob("begun.*"))) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_study_has_the_status_of_its_signal(results, monkeypatch, capsys, number, status):
    monkeypatch.setattr(run_all, "_warm_where_useful", lambda options: stopping.suppress())
    monkeypatch.setattr(stopping, "_end_steps", lambda: None)

    def study(options):
        from snakemake.scheduling.job_scheduler import JobScheduler

        before = signal.signal(signal.SIGTERM, lambda *given: JobScheduler.exit_gracefully(None, *given))
        try:
            signal.raise_signal(number)
        finally:
            signal.signal(signal.SIGTERM, before)

    monkeypatch.setattr(run_all, "_snakemake", study)
    assert run_all.main(["smoke", "--device", "cpu"]) == status
    said = capsys.readouterr()
    assert "stopped: the same command continues from here" in said.err and "failed" not in said.out


def test_what_could_not_be_run_is_not_called_a_failed_step(results, monkeypatch, capsys):
    monkeypatch.setattr(run_all, "_warm_where_useful", lambda options: stopping.suppress())
    monkeypatch.setattr(run_all, "_snakemake", lambda options: False)
    monkeypatch.setattr(LogHandler, "any_failed", False)
    assert run_all.main(["smoke", "--device", "cpu"]) == 1
    assert "The study could not be run: the reason is above." in capsys.readouterr().out


def test_a_checkout_that_cannot_be_written_is_named_at_the_start(results, monkeypatch, capsys):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != root() and real(path, mode))
    assert run_all.main(["smoke", "--device", "cpu"]) == 1
    assert f"nothing can be written in {root()}" in capsys.readouterr().err and not results.exists()


@pytest.mark.parametrize("slurm", [False, True])
@pytest.mark.parametrize("writable", [False, True])
def test_snakemake_keeps_its_cache_in_the_checkout_where_the_home_may_not_take_it(
    tmp_path, monkeypatch, slurm, writable
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: (writable or Path(path) != tmp_path) and real(path, mode))
    run_all._move_cache(SimpleNamespace(slurm=slurm))
    moved = os.environ["XDG_CACHE_HOME"] == str(root() / ".snakemake" / "cache")
    assert moved is (slurm or not writable)


def test_a_system_that_cannot_wait_for_a_process_has_no_warm_ones(monkeypatch):
    assert warm.possible()

    def unknown(pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", unknown)
    assert not warm.possible()


def test_a_failed_job_is_told_with_what_the_cluster_says_of_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(LogHandler, "any_failed", False)
    monkeypatch.setattr(stopping, "received", [])
    handler = LogHandler.__new__(LogHandler)
    handler.__post_init__()
    (tmp_path / "job.log").write_text("one\ntwo\n")

    def record(event: LogEvent | None, text: str = "", **more: object) -> SimpleNamespace:
        return SimpleNamespace(event=event, levelno=20, getMessage=lambda: text, jobid=3, created=0.0, **more)

    handler.emit(record(LogEvent.JOB_INFO, rule_msg="lr s0", log=["empty.log"]))
    reason = "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'\nmore"
    handler.emit(record(LogEvent.JOB_ERROR, rule_msg=reason, log=["nowhere.log", str(tmp_path / "job.log")]))
    handler.emit(record(None, "Trying to restart job 3."))
    assert LogHandler.any_failed
    assert capsys.readouterr().out.splitlines() == [
        "FAILED lr s0", f"    {reason.splitlines()[0]}", "    one", "    two", f"    log: {tmp_path / 'job.log'}",
        "    it begins again",
    ]  # fmt: skip
    monkeypatch.setattr(stopping, "received", [signal.SIGTERM])
    handler.emit(record(LogEvent.JOB_INFO, rule_msg="lr s0", log=[]))
    handler.emit(record(LogEvent.JOB_ERROR, rule_msg=None, log=[]))
    assert capsys.readouterr().out == "stopped lr s0\n"
