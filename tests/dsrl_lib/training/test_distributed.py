"""Two processes on one run: the same losses and counts as one; stops, damaged checkpoints and failures lose nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_runs import TINY, assert_same, tiny

from dsrl_lib import distributed, network, runs
from dsrl_lib.data.split import load_split
from dsrl_lib.evaluation.evaluate import evaluate
from dsrl_lib.paths import root
from dsrl_lib.training import checkpoint, launch, loop
from dsrl_lib.training.fit import fit
from dsrl_lib.training.signals import StoppedError
from study.execution import warm
from study.train import train_with_parents

CHAIN = ("sssr", "sssr_sisr", "dsrl")
LIMIT = 600
"""Seconds: a process that stops alone leaves the others waiting for ever."""


PROGRAM = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from dsrl_lib import distributed, network
from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.split import load_split
from dsrl_lib.data.normalise import normalise
from dsrl_lib.losses.criterion import Targets, criterion
from dsrl_lib.evaluation.evaluate import evaluate
from study.presets import preset
with distributed.group(torch.device("cpu")):
    config = preset("smoke", sys.argv[2], overrides=sys.argv[3:])
    model = network.build(config).double().train()
    samples = TrainingSet(load_split("streets", "train"), config.data, 0, 0.5)
    every = [samples[0, index] for index in range(6)]
    for index, sample in enumerate(every):
        sample["labels"][6 * index + 1 :] = 255  # unequal shares of void
    mine = every[distributed.rank() :: distributed.size()]
    batch = {name: torch.stack([sample[name] for sample in mine]) for name in mine[0]}
    shared = model if distributed.size() == 1 else DistributedDataParallel(model)
    inputs, image = (normalise(batch[name]).double() for name in ("input", "hr"))  # so that rounding hides nothing
    terms = criterion(shared(inputs), Targets(batch["labels"], image), config.loss)
    sum(terms.values()).backward()
    result = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    result |= {name: b.clone() for name, b in model.named_buffers() if b.is_floating_point()}
    result |= dict(zip(terms, map(torch.tensor, distributed.means(list(terms.values())))))
    evaluation = evaluate(model.float(), load_split("streets", "val"), config)
    result |= {name: torch.from_numpy(a) for name, a in evaluation.arrays().items() if a.dtype.kind in "if"}
    if distributed.rank() == 0:
        torch.save(result, sys.argv[1])
"""


def torchrun(python_m: list[str], processes: int) -> list[str]:
    """What starts the command that follows so many times. All processes are forked."""
    return [*python_m, "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python"]


@pytest.fixture
def forked(python_m: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of `fit(devices=2)` are forked."""

    def command(arguments: Sequence[str], processes: int) -> list[str]:
        return [*torchrun(python_m, processes), *python_m, "dsrl_lib", *arguments]

    monkeypatch.setattr(launch, "command", command)


def together(python_m: list[str], folder: Path, processes: int, *arguments: str) -> dict[str, torch.Tensor]:
    """What PROGRAM finds in so many processes."""
    (folder / "program.py").write_text(PROGRAM)
    program = [*python_m, "program", f"{processes}.pt", *arguments]
    command = [*torchrun(python_m, processes), *program] if processes > 1 else program
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / f"{processes}.pt")


@pytest.mark.parametrize(
    "loss",
    [
        (),
        ("loss.segmentation=relaxed", "loss.relax_upper_bound=6", "loss.relax_weights_over=batch"),
        ("loss.class_weights=batch", "loss.class_bound=6"),
    ],
)
def test_a_batch_in_two_parts_has_the_gradient_of_the_whole(python_m, tmp_path, loss):
    """The parts differ in their shares of void and of the classes; 40 frames are evaluated, each once."""
    settings = (*TINY, "model.sync_bn=true", *loss)
    one, two = (together(python_m, tmp_path, processes, "dsrl", *settings) for processes in (1, 2))
    assert one.keys() == two.keys() and len(one) > 100
    for name, expected in one.items():
        scale = max(expected.abs().double().max().item(), 1e-6)
        torch.testing.assert_close(two[name], expected, rtol=0, atol=1e-5 * scale, equal_nan=True)


def test_the_group_of_processes_is_left_alone_after_an_error(monkeypatch):
    """A group of one process. It ends after its block; after an error others may still wait for it."""
    here = {"TORCHELASTIC_RUN_ID": "0", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    with distributed.group(torch.device("cpu")):
        assert torch.distributed.is_initialized()
    assert not torch.distributed.is_initialized()
    with pytest.raises(ZeroDivisionError), distributed.group(torch.device("cpu")):
        _ = 1 / 0
    assert torch.distributed.is_initialized()
    torch.distributed.destroy_process_group()


def test_a_batch_that_the_processes_of_torchrun_cannot_share_is_refused(results, monkeypatch):
    """torchrun was called by hand, so that `fit` is not told of `devices`."""
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "from_first", lambda value: value)
    with pytest.raises(ValueError, match=r"optim.batch_size = 9 cannot be shared by 2 processes"):
        fit(tiny("lr", "optim.batch_size=9"), device="cpu", progress=False)


@pytest.mark.endurance  # those below share one run as well, and its gradient is compared above
def test_two_processes_train_as_one_does(forked, tmp_path, monkeypatch):
    """A chain of all three stages, so all loss terms, optimiser restarts, warm starts and validations."""
    found = []
    settings = ("model.sync_bn=true", "optim.optimizer=sgd", "optim.lr=0.002")  # Adam would enlarge what is rounded
    for name, devices in (("one", 1), ("two", 2)):
        monkeypatch.setenv("DSRL_RESULTS", str(tmp_path / name))
        train_with_parents(tiny("dsrl", *settings), device="cpu", devices=devices, progress=False)
        found.append([runs.folder(tiny(arm, *settings)) for arm in CHAIN])
    for one, two in zip(*found, strict=True):
        histories = [pd.read_csv(directory / "history.csv") for directory in (one, two)]
        # FA of untrained maps enlarges what float32 rounds; in double precision, the test above holds to 1e-5.
        for name, tolerance in {"loss": 2e-3, "ce": 2e-3, "mse": 2e-3, "fa": 0.05}.items():
            if histories[0][name].notna().any():
                np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=tolerance)
    environments = [json.loads((directories[0] / "env.json").read_text()) for directories in found]
    assert environments[1]["device"] == f"2 x {environments[0]['device']}"


def test_the_scores_of_two_processes_are_those_of_the_saved_network(forked, results, capfd):
    """Without synchronised batch norm each process has running statistics of its own: the first one's count."""
    directory = fit(tiny("lr"), device="cpu", devices=2)
    assert "note:" not in capfd.readouterr().err  # by a process that looks for the weights before they are written
    model, config = network.load(directory / "final.safetensors")
    for name in ("val", "test"):
        expected = evaluate(model, load_split("streets", name), config)
        with np.load(directory / f"counts_{name}.npz") as file:
            np.testing.assert_array_equal(file["counts"], expected.counts)
            np.testing.assert_array_equal(file["trimap"], expected.trimap)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_goes_on_from_that_step(trained, results, monkeypatch, number):
    config, handler = tiny("lr"), signal.getsignal(number)
    undisturbed = trained(config)
    real, calls = loop.loss_terms, []

    def counted(*arguments):
        calls.append(None)
        if len(calls) == 3:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(loop, "loss_terms", counted)
    with pytest.raises(StoppedError, match="asked to stop after step 3 of 12; the same command continues from there"):
        fit(config, device="cpu", progress=False)
    assert checkpoint.load(runs.folder(config))["step"] == 3
    assert signal.getsignal(number) is handler
    assert_same(fit(config, device="cpu", progress=False), undisturbed)
    assert len(calls) == 12  # no step was done twice


def test_a_truncated_checkpoint_falls_back_to_the_one_before(trained, results, monkeypatch):
    config = tiny("lr")
    undisturbed = trained(config)
    real, calls = loop.loss_terms, []

    def poisoned(*arguments):
        calls.append(None)
        terms = real(*arguments)
        return terms if len(calls) < 6 else terms | {"ce": terms["ce"] * float("nan")}

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(loop, "loss_terms", poisoned)
    with pytest.raises(loop.NonFiniteLossError):
        fit(config, device="cpu", progress=False)
    directory = runs.folder(config)
    last, previous = (directory / name for name in checkpoint.NAMES)
    last.write_bytes(last.read_bytes()[:-2000])
    assert checkpoint.load(directory)["step"] == 4
    monkeypatch.setattr(loop, "loss_terms", real)
    assert_same(fit(config, device="cpu", progress=False), undisturbed)
    previous.write_bytes(b"")
    last.write_bytes(b"")
    with pytest.raises(ValueError, match=r"last\.pt is damaged .*; .*previous\.pt is damaged .*; delete it"):
        checkpoint.load(directory)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_notebook_whose_job_ends_leaves_a_checkpoint(python_m, results, tmp_path, number):
    """Signalled is papermill alone, or it and its kernel, as by a scheduler. The kernel is forked."""
    settings = (*TINY, "optim.epochs=40")
    config = tiny("lr", "optim.epochs=40")
    notebook = root() / "notebooks" / "19_train_arm.ipynb"
    parameters = {"arm": "lr", "device": "cpu", "workers": 1, "overrides": ",".join(settings)}
    words = [word for name, value in parameters.items() for word in ("-p", name, str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "study", "execute", str(notebook), str(tmp_path / "executed.ipynb"), *words],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {warm.VARIABLE: python_m[-1]},
    )
    last = runs.folder(config) / "last.pt"
    while process.poll() is None and not last.exists():
        time.sleep(0.05)
    before = checkpoint.load(last.parent)["step"]
    kernels = kernels_of(process.pid) if number == signal.SIGTERM else []
    for pid in (process.pid, *kernels):
        os.kill(pid, number)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "StoppedError" in errors and "asked to stop after step" in errors, errors
    assert checkpoint.load(last.parent)["step"] >= before
    assert (tmp_path / "executed.failed.ipynb").exists() and not (tmp_path / "executed.ipynb").exists()


def kernels_of(parent: int) -> list[int]:
    children = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True).stdout
    return [int(pid) for pid in children.split()]


LONGER = ("model.frozen_bn=true", "optim.epochs=3")


def stop_once_saved(directory: Path, process: int) -> None:
    end = time.monotonic() + LIMIT
    while not (directory / "last.pt").exists():
        if time.monotonic() > end:
            return
        time.sleep(0.05)
    os.kill(process, signal.SIGTERM)


def test_two_processes_stop_together_and_go_on(forked, results):
    config = tiny("lr", *LONGER)
    directory = runs.folder(config)
    Thread(target=stop_once_saved, args=(directory, os.getpid()), daemon=True).start()
    with pytest.raises(RuntimeError, match="asked to stop after step"):
        fit(config, device="cpu", devices=2, progress=False)
    assert not runs.is_complete(directory) and checkpoint.exists(directory)
    assert runs.is_complete(fit(config, device="cpu", devices=2, progress=False))


@pytest.mark.endurance
def test_the_command_line_starts_and_stops_processes_that_are_not_forked(results):
    settings = [word for item in (*TINY, *LONGER) for word in ("--set", item)]
    command = [sys.executable, "-m", "study", "train", "--arm", "lr", "--device", "cpu", "--devices", "2", *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    directory = runs.folder(tiny("lr", *LONGER))
    Thread(target=stop_once_saved, args=(directory, process.pid), daemon=True).start()
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "asked to stop after step" in errors, errors
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and runs.is_complete(directory), done.stderr


@pytest.mark.parametrize(
    ("overrides", "devices", "message"),
    [
        (("optim.batch_size=15",), 2, "optim.batch_size = 15 cannot be shared by 2 processes"),
        (("model.sync_bn=true", "model.host=deeplabv3plus_mobilenetv2"), 1, "which has no such form"),
    ],
)
def test_impossible_settings_are_explained(results, overrides, devices, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        fit(tiny("lr", *overrides), device="cpu", devices=devices, progress=False)


@pytest.mark.endurance  # a true torchrun
def test_the_name_of_the_machine_need_not_be_known():
    """Nothing finds the address of some containers by their name: torchrun would try for minutes."""
    unknown = ["unshare", "--map-root-user", "--uts", "sh", "-c", 'hostname nowhere && exec "$@"', "sh"]
    if subprocess.run([*unknown, "true"]).returncode:
        pytest.skip("this machine cannot be given another name")
    done = subprocess.run([*unknown, *launch.command(["--help"], 2)], capture_output=True, timeout=120)
    assert done.returncode == 0
