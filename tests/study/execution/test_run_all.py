"""The graph of notebooks, in a copy of the repository whose notebooks only leave a line in a journal."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from study_copy import Copy

from dsrl_lib import runs
from dsrl_lib.paths import root
from dsrl_lib.records import write_json
from study.execution import options as run_options
from study.execution import run_all as study
from study.plan import planned_runs


def test_study_runs_in_order_continues_after_a_failure_and_repeats_nothing(tmp_path):
    copy = Copy(tmp_path)
    options = ("smoke", "--arms", "sssr_sisr", "--seeds", "0", "--cores", "2", "--device", "cpu")

    copy.notebook("12_stage2_sisr").write_text("BROKEN")
    status, text, steps = copy.run(*options)
    assert (status, steps) == (1, ["01_data_prep", "sssr s0"])
    assert "FAILED 12_stage2_sisr sssr_sisr" in text
    assert "12_stage2_sisr.ipynb, In [3]: ValueError: broken on purpose" in text
    assert "Traceback" not in text and "Snakefile" not in text

    copy.notebook("12_stage2_sisr").write_text("mended")
    status, text, steps = copy.run(*options)
    assert (status, steps) == (0, ["sssr_sisr s0", "collect", "claims", "41_main_results", "90_audit"])
    assert "[1/6] 12_stage2_sisr sssr_sisr espnetv2_s0.5 s0" in text
    assert text.rstrip().splitlines()[-1].strip() == "results/smoke/results.csv"

    copy.notebook("11_stage1_sssr").write_text("changed: but complete runs are not trained again")
    (copy.folder / "Snakefile").write_text((copy.folder / "Snakefile").read_text() + "# changed\n")
    copy.notebook("41_main_results").write_text("changed: and nothing else is done again")
    next(copy.folder.glob("results/smoke/notebooks/runs/*-sssr-*.ipynb")).unlink()
    status, text, steps = copy.run(*options)
    assert (status, sorted(steps)) == (0, ["41_main_results", "90_audit", "show sssr s0"])


def test_a_run_is_not_trained_again_where_its_notebook_fails_afterwards(tmp_path):
    copy = Copy(tmp_path)
    options = ("smoke", "--arms", "sssr", "--seeds", "0", "--cores", "2", "--device", "cpu")
    copy.notebook("11_stage1_sssr").write_text("LATER")
    status, text, steps = copy.run(*options)
    assert (status, steps) == (1, ["01_data_prep", "sssr s0"])
    assert "ValueError: broken after the training" in text
    copy.notebook("11_stage1_sssr").write_text("mended")
    status, text, steps = copy.run(*options)
    assert (status, sorted(steps)) == (0, ["41_main_results", "90_audit", "claims", "collect", "show sssr s0"])


def test_notebooks_of_runs_that_were_trained_elsewhere_are_not_made(tmp_path):
    """Runs in git have left no weights, without which a notebook has no pictures: a clone stays as it is."""
    copy = Copy(tmp_path)
    options = ("smoke", "--arms", "sssr,sssr_sisr", "--seeds", "0", "--cores", "2", "--device", "cpu")
    assert copy.run(*options)[0] == 0
    shutil.rmtree(copy.folder / "results/smoke/notebooks/runs")
    shutil.rmtree(copy.folder / "results/smoke/logs")
    assert copy.run(*options)[::2] == (0, [])
    assert not (copy.folder / "results/smoke/notebooks/runs").exists()


def test_a_change_of_what_judges_makes_the_verdicts_again_and_one_of_a_command_nothing(tmp_path):
    copy = Copy(tmp_path)
    options = ("smoke", "--arms", "sssr", "--seeds", "0", "--cores", "2", "--device", "cpu")
    assert copy.run(*options)[2] == ["01_data_prep", "sssr s0", "collect", "claims", "41_main_results", "90_audit"]
    for name in ("study/claims/judge.py", "dsrl_lib/metrics.py"):
        (copy.folder / name).write_text((copy.folder / name).read_text() + "# changed\n")
        assert copy.run(*options)[2] == ["collect", "claims", "41_main_results", "90_audit"], name
    for name in ("study/execution/slurm.py", "study/release.py", "study/site/build.py", "dsrl_lib/network.py"):
        (copy.folder / name).write_text((copy.folder / name).read_text() + "# changed\n")
    assert copy.run(*options)[2] == []


def test_the_files_that_notebooks_depend_on_are_those_that_they_import(monkeypatch):
    monkeypatch.chdir(root())
    (definition,) = re.findall(r"^NOT_SHOWN = .*?(?=^TRAINING)", Path("Snakefile").read_text(), re.M | re.S)
    found: dict = {"Path": Path}
    exec(definition, found)
    graph = grimp.build_graph("study", cache_dir=None)
    doors = re.findall(r"^from \.(\S+) import", Path("study/__init__.pyi").read_text(), re.M)
    executed_by = {f"study.execution.{name}" for name in ("notebooks", "portable", "answers")}
    imported, left = executed_by, {f"study.{name}" for name in doors}
    while left:
        imported |= left
        left = {name for module in left for name in graph.find_modules_directly_imported_by(module)} - imported
    files = {name.removesuffix(".py") for name in found["SHOWN_BY"] if name.endswith(".py")}
    shown = {".".join(Path(name).parts) for name in files if not name.endswith("__init__")}
    assert shown == imported | {"dsrl_lib.metrics"}


LISTED = """
import sys
from snakemake.cli import main
from snakemake.jobs import Job

def tell(job, **_):
    here = str(job.rule) in job.rule.workflow._localrules  # in a dry run, job.is_local is true of all
    print("JOB", job.rule, here, job.resources.get("runtime"), job.shellcmd)

Job.log_info = tell
main(sys.argv[1:])
"""
"""A dry run that says of each job its rule, whether it runs here, its minutes and its command."""


def test_jobs_on_a_cluster_have_time_and_cores_and_data_are_prepared_before_them(tmp_path):
    copy = Copy(tmp_path)
    options = ["--dry-run", "--workflow-profile=profiles/slurm", "--cores=2", "--config"]
    config = ["profile=smoke", "arms=lr", "seeds=0", "device=cuda", "gpus=2", "threads=32", "hours=0.5"]
    done = subprocess.run(
        [sys.executable, "-c", LISTED, *options, *config],
        cwd=copy.folder,
        env=os.environ | {"PYTHONPATH": str(copy.folder)},
        capture_output=True,
        text=True,
    )
    jobs = re.findall(r"^JOB (\w+) (True|False) (\w+) (.*)$", done.stdout, re.M)
    here = [rule for rule, local, *_ in jobs if local == "True"]
    assert sorted(here) == ["all", "data", "table", "verdicts"], done.stderr
    minutes = [(rule, runtime) for rule, local, runtime, _ in jobs if local == "False"]
    assert sorted(minutes) == [("notebook", "180"), ("notebook", "180"), ("train", "30")]
    commands = {rule: command for rule, *_, command in jobs}
    assert "study execute notebooks/01_data_prep.ipynb results/smoke/notebooks/01_data_prep.ipynb" in commands["data"]
    assert "-m study execute notebooks/19_train_arm.ipynb" in commands["train"]  # Slurm gives a job its GPUs
    assert "OMP_NUM_THREADS=16 " in commands["train"] and "-p devices 2 -p workers 8 " in commands["train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smoke", "--quick"], "unrecognized arguments: --quick"),
        (["smok"], "choose from"),
        (["smoke", "--arms", "dslr"], "profile 'smoke' has no arm 'dslr'; valid: lr, bilinear, sssr"),
        (["smoke", "--seeds", "9"], "profile 'smoke' has no seed 9; valid: 0, 1"),
        (["smoke", "--arms", ","], "arms: none given; valid: lr, bilinear, sssr"),
        (["smoke", "--seeds", ""], "seeds: none given; valid: 0, 1"),
        (["smoke", "--seeds", " , "], "seeds: none given; valid: 0, 1"),
        (["smoke", "--slurm", "--partition", ""], "--partition '': allowed: a name, or leave the option out"),
        (["smoke", "--slurm", "--gpu-type", ""], "--gpu-type '': allowed: a name"),
        (["smoke", "--slurm", "--gpu-type", "a100", "--gpus-per-run", "0"], "--gpu-type goes with a GPU"),
        (["smoke", "--hosts", ","], "hosts: none given; valid: espnetv2_s0.5"),
        (["smoke", "--cores", "0"], "--cores 0: allowed: from 1 to "),
        (["smoke", "--cores", "1000000"], "--cores 1000000: allowed: from 1 to "),
        (["smoke", "--cores", "0", "--dry-run"], "--cores 0: allowed: 1 or more"),
        (["smoke", "--runs-per-gpu", "0"], "--runs-per-gpu 0: allowed: 1 to 64, and 1 with --slurm"),
        (
            ["smoke", "--runs-per-gpu", "100000000000", "--device", "cuda", "--dry-run"],
            "--runs-per-gpu 100000000000: al",
        ),
        (["smoke", "--gpus", "100000000000", "--device", "cuda", "--dry-run"], "--gpus 100000000000: allowed: 1 to 64"),
        (["smoke", "--gpus", "0"], "--gpus 0: allowed: 1 to 64"),
        (["smoke", "--gpus", "2", "--slurm"], "--gpus 2: allowed: 1 to 64; with --slurm, --gpus-per-run instead"),
        (["smoke", "--gpus", "2", "--device", "cpu"], "--gpus goes with a GPU; on a CPU --cores says how many"),
        (["smoke", "--gpus-per-run", "4"], "--gpus-per-run goes with --slurm; here each run has one GPU, and --gpus"),
        (["smoke", "--slurm", "--device", "cuda", "--gpus-per-run", "0"], "--device cuda goes with a GPU"),
        (["smoke", "--slurm", "--account", " "], "--account ' ': allowed: a name, or leave the option out"),
        (["smoke", "--slurm", "--time", "nan"], "--time nan: allowed: more than 0 hours, at most 8760"),
        (["smoke", "--slurm", "--time", "1e300"], "--time 1e+300: allowed: more than 0 hours, at most 8760"),
        (["smoke", "--slurm", "--gpus-per-run", "-1"], "--gpus-per-run -1: allowed: 0 or more"),
        (["smoke", "--slurm", "--gpus-per-run", "3"], "optim.batch_size = 16 cannot be shared by 3 processes"),
        (["camvid_gpu", "--arms", "dsrl", "--hosts", "espnetv2_s1.0"], "no run with arms = dsrl and hosts = esp"),
    ],
)
def test_wrong_option_is_named_with_the_valid_ones(results, arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        study.main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert message in error and "--dry-run" in error


SINFO = """#!/bin/sh
case "$*" in
    *%R) printf 'gpu\\nlong\\n' ;;
    *--partition=long) echo '(null)' ;;
    *) printf 'gpu:a100:4(S:0-1),lscratch:1\\n(null)\\ngpu:h100:8\\ngpu:2080ti:8(S:0-1),gpu:2\\n' ;;
esac
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--partition", "lung"], "--partition 'lung'; allowed: gpu, long (did you mean long?)"),
        (["--partition", "gpu,typo"], "--partition 'typo'; allowed: gpu, long"),
        (["--partition", "gpu", "--gpu-type", "v100"], "--gpu-type 'v100'; allowed: 2080ti, a100, h100"),
        (["--gpu-type", "nvidia_a100-sxm4-40gb"], "Snakemake's executor takes no name with a hyphen"),
        (["--partition", "gpu", "--gpu-type", "2080ti"], None),
        (["--partition", "gpu,long", "--gpu-type", "A100"], None),
        (["--partition", "long", "--gpu-type", "v100"], None),  # it does not say which it has
    ],
)
def test_what_a_cluster_lacks_is_named_before_its_plan(results, tmp_path, monkeypatch, capsys, options, message):
    (tmp_path / "sinfo").write_text(SINFO)
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    arguments = ["camvid_gpu", "--arms", "lr", "--slurm", "--dry-run", *options]
    if message is None:
        assert study.main(arguments) == 0
        return
    with pytest.raises(SystemExit):
        study.main(arguments)
    assert message in capsys.readouterr().err


def test_a_list_may_have_spaces(results, capsys):
    words = ["smoke", "--dry-run", "--device", "cpu", "--arms"]
    for arms, seeds in (("lr,dsrl", "0,1"), (" lr , dsrl", "0, 1")):
        assert study.main([*words, arms, "--seeds", seeds]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4 and lines[: len(lines) // 2] == lines[len(lines) // 2 :]


@pytest.fixture
def gpus_here(monkeypatch):
    """`gpus_here("0", "1")`: torch finds GPUs of these names."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def find(*names: str, why: str = "") -> None:
        monkeypatch.setattr(run_options, "DRIVER", root())  # something that exists
        monkeypatch.setattr(run_options.gpus, "visible", lambda: (list(names), why))

    return find


@pytest.mark.parametrize(
    ("options", "at_once"),
    [
        ([], 4),
        (["--gpus", "2"], 2),
        (["--runs-per-gpu", "2"], 8),
        (["--gpus", "1", "--runs-per-gpu", "5"], 5),
        (["--cores", "3"], 3),
        (["--device", "cpu", "--cores", "5"], 5),
    ],
)
def test_a_plan_tells_the_time_with_all_gpus(results, gpus_here, capsys, options, at_once):
    gpus_here("0", "1", "2", "3")
    assert study.main(["cityscapes", "--arms", "lr", "--dry-run", "--cores", "16", *options]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    device = "cpu" if "cpu" in options else "cuda"
    seconds = [run.seconds for run in planned_runs("cityscapes", ["lr"], device=device)]  # none starts from another
    assert all(("1 GPU" in line) == (device == "cuda") for line in lines)
    minutes = round(max(sum(seconds) / at_once, max(seconds)) / 60)
    assert f"on {device}, {at_once} at a time: {len(lines)} runs" in total
    assert f"in about {minutes // 60} h {minutes % 60:02d} min, " in total


def test_a_plan_may_be_of_another_machine(results, gpus_here, capsys):
    gpus_here(why="torch finds no CUDA device here")
    words = ["camvid_gpu", "--arms", "lr", "--dry-run", "--device", "cuda"]
    assert study.main(words) == study.main([*words, "--gpus", "3", "--cores", "3"]) == 0
    one, three = [line for line in capsys.readouterr().out.splitlines() if "at a time" in line]
    assert "on cuda, 1 at a time" in one and "on cuda, 3 at a time" in three


def test_gpus_that_are_not_there_are_not_used(results, gpus_here, monkeypatch, capsys):
    gpus_here("0", "1")
    words = ["camvid_gpu", "--arms", "lr", "--dry-run"]
    assert study.main([*words, "--gpus", "3"]) == 1
    assert "--gpus 3; allowed: 1 to 2, the number of GPUs that torch finds here" in capsys.readouterr().err
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert study.main(words) == 0
        assert "on cpu, " in capsys.readouterr().out


def test_a_job_on_cpus_asks_for_no_gpu(results, capsys):
    assert study.main(["camvid", "--arms", "lr", "--dry-run", "--slurm", "--device", "cpu"]) == 0
    assert "GPU" not in capsys.readouterr().out


def test_runs_go_at_once_on_gpus_of_their_own(tmp_path):
    copy = Copy(tmp_path)
    (copy.folder / "dsrl_lib" / "device.py").write_text(
        "def why_no_cuda():\n    return ''\n\ndef cuda_devices():\n    return ['4', 'GPU-6a']\n"
    )
    copy.notebook("11_stage1_sssr").write_text("TOGETHER")
    status, text, steps = copy.run("smoke", "--arms", "sssr", "--seeds", "0,1", "--cores", "5", "--device", "cuda")
    assert status == 0, text
    first, *trained, collect = steps[:4]
    assert (first, collect) == ("01_data_prep", "collect")
    assert sorted(step.partition(" on ")[0] for step in trained) == ["sssr s0", "sssr s1"]
    where = ["GPU 4, 2 threads", "GPU GPU-6a, 2 threads"]
    assert sorted(step.partition(" on ")[2] for step in trained) == where
    assert "GPU" not in " ".join(steps[3:])


def test_dry_run_lists_runs_and_starts_nothing(results, capsys):
    assert study.main(["camvid", "--arms", "dsrl", "--seeds", "0", "--dry-run", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("GiB")[1].split()[1] for line in lines[:3]] == ["sssr", "sssr_sisr", "dsrl"]
    assert sum("data.height=180" in line for line in lines) == 3  # the same arms at the smaller input
    assert "12 runs, 12 to do in about" in lines[-1]
    assert not results.exists()


def test_dry_run_tells_what_complete_runs_cost(results, capsys):
    words = ["camvid", "--arms", "lr", "--seeds", "0", "--dry-run", "--device", "cpu", "--cores", "1"]
    study.main(words)
    left = re.search(r"(\d+) runs, \1 to do in about (\d+ min)", capsys.readouterr().out)
    for run in planned_runs("camvid", ["lr"], [0]):
        runs.prepare(runs.folder(run.config), run.config)
        write_json(runs.folder(run.config) / "metrics.json", {})
    study.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert f"{left[1]} runs, 0 to do in about 0 s" in lines[-3]
    assert lines[-2] == f"All {left[1]} runs: about {left[2]}."
    assert lines[-1] == "To train them again, set DSRL_RESULTS to a new folder."


@pytest.mark.parametrize(("gib", "at_once"), [(1, 1), (4, 2), (1000, 4), (float("inf"), 4)])
def test_no_more_runs_go_at_once_than_memory_allows(results, monkeypatch, capsys, gib, at_once):
    monkeypatch.setattr(run_options, "free_bytes", lambda: gib * 2.0**30)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    largest = max(run.memory_gib for run in planned_runs("camvid", ["lr"], [0]))
    assert 4 / 3 < largest < 2
    words = ["camvid", "--arms", "lr", "--seeds", "0", "--dry-run", "--device", "cpu"]
    assert study.main(words) == study.main([*words, "--cores", "4"]) == 0
    chosen, asked = [line for line in capsys.readouterr().out.splitlines() if "at a time" in line]
    assert f"on cpu, {at_once} at a time" in chosen and "on cpu, 4 at a time" in asked


def test_help_needs_no_environment():
    done = subprocess.run(
        ["python3", "-S", "-m", "study.execution.run_all", "--help"], cwd=root(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "./run_all.sh" in done.stdout and "lab" in done.stdout


def test_what_is_known_at_the_start_is_said_at_the_start(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert study.main(["smoke", "--device", "cuda", "--arms", "lr"]) == 1
    assert "error: --device cuda: torch finds no CUDA device here; allowed: cpu" in capsys.readouterr().err
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / "file"))
    for more in ([], ["--dry-run"]):
        assert study.main(["smoke", "--device", "cpu", *more]) == 1
        assert f"error: DSRL_RESULTS = {tmp_path / 'file'} is not a folder" in capsys.readouterr().err


def test_a_folder_may_have_any_name():
    """What the shell gets is quoted: DSRL_RESULTS may hold a space."""
    shell = re.findall(r"^    shell:\n((?:        .*\n)+)", (root() / "Snakefile").read_text(), re.M)
    names = [name for text in shell for name in re.findall(r"\{((?:input|output|log)[^}]*)\}", text)]
    assert len(shell) == 4 and len(names) == 7 and all(name.endswith(":q") for name in names)


def test_a_relative_folder_is_meant_from_where_the_caller_is(tmp_path):
    (tmp_path / "mine").write_text("a file")
    environment = os.environ | {"DSRL_RESULTS": "mine", "VIRTUAL_ENV": sys.prefix}
    command = ["bash", str(root() / "run_all.sh"), "smoke", "--dry-run", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and f"DSRL_RESULTS = {tmp_path / 'mine'} is not a folder" in done.stderr


def test_a_scheduler_is_asked_for_a_minute_at_least():
    assert planned_runs("smoke", ["lr"])[0].limits(hours=0.001)["runtime"] == 1


def test_a_stopped_study_says_so_in_one_line(results, monkeypatch, capsys):
    def stopped(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "_study", stopped)
    assert study.main(["smoke", "--device", "cpu"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_reader_of_the_plan_may_stop_early():
    command = (
        f"{sys.executable} -m study.execution.run_all camvid --dry-run --device cpu | true; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=root(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_scripts_may_be_called_through_a_link(tmp_path):
    (tmp_path / "study").symlink_to(root() / "run_all.sh")
    environment = os.environ | {"DSRL_RESULTS": str(tmp_path), "VIRTUAL_ENV": sys.prefix}
    command = [str(tmp_path / "study"), "smoke", "--dry-run", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "smoke on cpu" in done.stdout, done.stderr


def test_an_empty_out_is_not_the_folder_of_the_caller(tmp_path):
    command = [str(root() / "run_all.sh"), "site", "--out", ""]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"VIRTUAL_ENV": sys.prefix}, capture_output=True, text=True
    )
    assert done.returncode == 2 and "an empty word is no path" in done.stderr
    assert not list(tmp_path.iterdir())
