"""The command lines as a user meets them: help, results, messages and exit codes."""

import json
import re
import subprocess
import sys
from inspect import signature

import pytest

from dsrl_lib.config import Config
from study import __main__ as commands
from study import measure_commands, training_commands

TINY = ["data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.epochs=1"]
SET_TINY = [word for item in TINY for word in ("--set", item)]
COMMANDS = {
    "dsrl_lib": (
        *("train", "resume", "samples", "statistics", "predict", "evaluate"),
        *("propagate", "submit", "prune", "inspect", "summary", "export", "speed"),
    ),
    "study": (
        *("train", "plan", "scan", "sweep", "runs", "collect", "claims", "latency", "shares", "interpolation"),
        *("probe", "branches", "execute", "release", "pictures", "site"),
    ),
    "benchmarks": (
        "all",
        "affinity",
        "relaxation",
        "relaxed_step",
        "downsampling",
        "loader",
        "training",
        "pruning",
        "stages",
    ),
}


@pytest.mark.parametrize("package", COMMANDS)
def test_help_names_every_command(package):
    done = subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    offered = re.search(r"\{([\w,]+)\}", done.stdout)[1].split(",")
    assert sorted(offered) == sorted(COMMANDS[package])


def test_every_command_of_the_study_takes_the_same_profile_if_none_is_named():
    functions = {**vars(commands), **vars(training_commands), **vars(measure_commands)}
    taken = {name: signature(functions[name]).parameters.get("profile") for name in COMMANDS["study"]}
    found = {name: profile.default for name, profile in taken.items() if profile}
    assert found.pop("runs") is None  # it also looks for a run in all of them
    assert len(found) == 11 and set(found.values()) == {"smoke"}


@pytest.mark.parametrize("package", COMMANDS)
def test_no_heavy_import_behind_help(package):
    command = [sys.executable, "-X", "importtime", "-m", package, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "tyro" in imported and not imported & {"torch", "pandas", "matplotlib", "numpy"}


def test_train_then_collect(command_line, results):
    done = command_line("study", "train", "--arm", "sssr", *SET_TINY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(results / "smoke" / "runs" / "smoke-espnetv2_s0.5-sssr-s0-"))
    assert "epoch 1 of 1" in done.stderr and "images/s" in done.stderr and "\r" not in done.stderr
    done = command_line("study", "collect")
    assert done.returncode == 0, done.stderr
    assert "sssr" in (results / "smoke" / "results.csv").read_text()


def test_train_the_run_of_a_configuration_file(command_line, results, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"profile": "mine", "arm": "host"}))
    done = command_line("dsrl_lib", "train", str(path), *SET_TINY, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    (directory,) = (results / "mine" / "runs").iterdir()
    assert done.stdout.strip() == str(directory)
    config = Config.from_dict(json.loads((directory / "config.json").read_text()))
    assert config.run_id == directory.name and (config.arm, config.data.height) == ("host", 32)
    path.write_text(json.dumps({"optim": {"rate": 1}}))
    done = command_line("dsrl_lib", "train", str(path))
    assert done.returncode == 1 and "unknown settings: optim.rate" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("package", "arguments", "status", "message"),
    [
        ("study", ["train", "--arm", "dsr"], 1, "error: unknown arm 'dsr'; valid: lr, bilinear"),
        (
            "study",
            ["train", "--arm", "lr", "--set", "optim.epoch=3"],
            1,
            "unknown setting 'optim.epoch'; valid settings:",
        ),
        ("study", ["train", "--arm", "lr", "--host", "vgg"], 1, "model.host = 'vgg'; allowed: espnetv2_s0.5"),
        ("study", ["train", "--arm", "lr", "--device", "tpu"], 2, "--device"),
        ("study", ["plan", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid, idd, city"),
        ("study", ["runs", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid, idd, city"),
        ("study", ["collect", "--profile", "../x"], 1, "unknown profile '../x'; valid: smoke, camvid, idd, city"),
        ("study", ["claims", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid, idd, city"),
        ("study", ["latency", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid, idd, city"),
        ("study", ["shares", "--arm", "fa", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid"),
        (
            "study",
            ["shares", "--arm", "fa", "--profile", "moving"],
            1,
            "profile moving has no cell of the FA factorial",
        ),
        ("study", ["trian"], 2, "trian"),
        ("dsrl_lib", ["train", "nowhere.json"], 1, "nowhere.json"),
        ("dsrl_lib", ["trian"], 2, "trian"),
        ("benchmarks", ["loader", "--threads", "0"], 1, "threads = 0; allowed: a whole number, from 1 to "),
        ("benchmarks", ["pasta"], 2, "pasta"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(command_line, results, package, arguments, status, message):
    done = command_line(package, *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not results.parent.joinpath("x").exists()


def test_a_reader_may_stop_early():
    command = f"{sys.executable} -m study plan --profile camvid | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("python -m study train --profile camvid") and done.stderr == ""
    assert done.returncode in (0, 141)  # all was printed before the reader left, or not


def test_no_stdout_and_a_full_one_give_no_traceback(results):
    for target, status, message in ((">&-", 0, ""), ("> /dev/full", 1, "error: [Errno 28] No space left on device\n")):
        for unbuffered in ("", "1"):
            command = f"PYTHONUNBUFFERED={unbuffered} {sys.executable} -m study runs {target}"
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (status, message)


def test_work_that_ends_since_nobody_reads_its_messages_is_not_done(tmp_path):
    program = (
        "import sys; from pathlib import Path; from dsrl_lib.ending import finish\n"
        "def work():\n"
        "    for epoch in range(20_000): print('epoch', epoch, file=sys.stderr, flush=True)\n"
        f"    Path({str(tmp_path / 'done')!r}).touch()\n"
        "sys.exit(finish(work))"
    )
    command = f'{sys.executable} -c "$1" 2>&1 | head -1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command, "-", program], capture_output=True, text=True)
    assert done.returncode == 141 and done.stdout == "epoch 0\n" and not (tmp_path / "done").exists()


def test_sigterm_ends_the_work_of_any_command_and_what_it_had_begun_is_deleted(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from dsrl_lib.ending import finish\n"
        "from dsrl_lib.records import write_atomically\n"
        "def write(path): path.write_text('half'); os.kill(os.getpid(), signal.SIGTERM); path.write_text('whole')\n"
        f"sys.exit(finish(lambda: write_atomically(Path({str(tmp_path)!r}, 'table.csv'), write)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "") and list(tmp_path.iterdir()) == []


def test_missing_data_says_what_to_get_and_where_it_looked(command_line, results, tmp_path):
    done = command_line("study", "train", "--profile", "cityscapes", "--arm", "lr", DSRL_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "leftImg8bit_trainvaltest.zip" in done.stderr and str(tmp_path / "cityscapes") in done.stderr
    assert "Traceback" not in done.stderr
