"""The command line as a user meets it: help, results, messages and exit codes."""

import os
import subprocess
import sys

import pytest

TINY = ["data.height=32", "data.width=64", "data.crop_height=32", "data.crop_width=64", "optim.epochs=1"]


def dsrl(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dsrl_lib", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_help_names_every_command():
    done = dsrl("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("train", "plan", "collect", "claims", "bench", "execute"))


def test_no_heavy_import_behind_help():
    program = "import sys, dsrl_lib.__main__; print(*{'torch', 'pandas', 'matplotlib', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_train_then_collect(results):
    settings = [word for item in TINY for word in ("--set", item)]
    done = dsrl("train", "--arm", "sssr", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(results / "smoke" / "runs" / "smoke-espnetv2_s0.5-sssr-s0-"))
    assert "images/s" in done.stderr  # the progress bar
    done = dsrl("collect")
    assert done.returncode == 0, done.stderr
    assert "sssr" in (results / "smoke" / "results.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--arm", "dsr"], 1, "error: unknown arm 'dsr'; valid: lr, bilinear"),
        (["train", "--arm", "lr", "--set", "optim.epoch=3"], 1, "unknown setting 'optim.epoch'; valid settings:"),
        (["train", "--arm", "lr", "--host", "vgg"], 1, "model.host = 'vgg'; allowed: espnetv2_s0.5"),
        (["train", "--arm", "lr", "--device", "tpu"], 2, "--device"),
        (["plan", "--profile", "kitty"], 1, "unknown profile 'kitty'; valid: smoke, camvid, cityscapes"),
        (["trian"], 2, "trian"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(results, arguments, status, message):
    done = dsrl(*arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_says_what_to_get_and_where_it_looked(results, tmp_path):
    done = dsrl("train", "--profile", "cityscapes", "--arm", "lr", DSRL_DATA=str(tmp_path))
    assert done.returncode == 1
    assert "leftImg8bit_trainvaltest.zip" in done.stderr and str(tmp_path / "cityscapes") in done.stderr
    assert "Traceback" not in done.stderr
