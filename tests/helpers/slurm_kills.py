"""A study on Slurm whose jobs are killed at random moments, against an undisturbed one on this machine.

``python tests/helpers/slurm_kills.py --kills 20`` runs the whole smoke study twice, in two copies of the repository.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import slurm_node

from dsrl_lib.paths import root

TIMES = r"latency|train_seconds|peak_memory_mib"
"""Columns of results.csv that no repetition gives again, and tables of them."""
TIME_TABLES = ("cost", "compute")


class Study:
    """A clone of the repository, and the smoke study in it."""

    def __init__(self, folder: Path, notebooks: Sequence[str] = ()) -> None:
        """notebooks: the only ones that it has; all of them where none is named."""
        self.folder = folder
        subprocess.run(["git", "clone", "-q", root(), folder], check=True)
        self.results = folder / "results" / "smoke"
        slurm_node.impatient(folder / "profiles" / "slurm" / "config.yaml")
        for path in (folder / "notebooks").glob("*.ipynb") if notebooks else ():
            if path.stem not in notebooks:
                path.unlink()

    def run(self, *options: str) -> tuple[int, str]:
        """Exit status and output of the study."""
        command = [sys.executable, "-m", "study.execution.run_all", "smoke", *options]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        text, _ = self.process.communicate(timeout=1200)  # rather than wait for ever
        return self.process.returncode, text

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the clone works in itself alone."""
        elsewhere = {"DSRL_RESULTS", "DSRL_CACHE", "PYTHONPATH"}
        kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
        return kept | {"PYTHONPATH": str(self.folder)}

    def scores(self) -> dict[str, object]:
        """What a repetition must give again: tables without times, counts, histories without speeds."""
        results, claims = (pd.read_csv(self.results / f"{name}.csv") for name in ("results", "claims"))
        found: dict[str, object] = {
            "results.csv": results.drop(columns=results.filter(regex=TIMES).columns).to_csv(),
            "claims.csv": claims[~claims.part.astype(str).str.contains("latency")].to_csv(),
        }
        for run in sorted(path.parent for path in (self.results / "runs").glob("*/metrics.json")):
            metrics = json.loads((run / "metrics.json").read_text())
            metrics["cost"] = {key: value for key, value in metrics["cost"].items() if "latency" not in key}
            history = pd.read_csv(run / "history.csv").drop(columns="images_per_s")
            found |= {f"{run.name}/metrics.json": json.dumps(metrics), f"{run.name}/history.csv": history.to_csv()}
            for split in ("val", "test"):
                with np.load(run / f"counts_{split}.npz") as counts:
                    arrays = {key: counts[key].tobytes() for key in counts.files}
                found[f"{run.name}/counts_{split}.npz"] = arrays
        for table in (self.results / "tables").glob("*.md"):
            if table.stem not in TIME_TABLES:
                found[f"tables/{table.name}"] = table.read_text()
        return found


class Killer(threading.Thread):
    """Kills running jobs, slurmd or the study itself at random moments: each way in turn."""

    WAYS = (
        "time limit",
        "scancel",
        "kill -9 of the job",
        "kill -9 of slurmd",
        "kill -9 of the study",
        "pre-emption with a place in the queue",
        "pre-emption without",
        "loss of the node",
    )

    def __init__(
        self, study: Study, node: slurm_node.Node, kills: int, seconds: tuple[float, float], among: str
    ) -> None:
        super().__init__(daemon=True)
        self.study, self.node, self.kills, self.seconds, self.among = study, node, kills, seconds, among
        self.random = random.Random(0)
        self.done: list[str] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(self.random.uniform(*self.seconds)):
            slurm_node.repair()
            jobs = {job: name for job, name in slurm_node.jobs("--states=RUNNING").items() if self.among in name}
            if jobs and len(self.done) < self.kills:
                job, (way,) = self.random.choice(sorted(jobs)), self.WAYS[len(self.done) % len(self.WAYS) :][:1]
                if self._kill(way, job):
                    self.done.append(way)
                    print(f"{time.strftime('%X')} {way}: job {job}, {jobs[job]}", flush=True)

    def _kill(self, way: str, job: str) -> bool:
        """Whether there was something to kill."""
        if way == "kill -9 of slurmd":
            self.node.kill_slurmd()
            time.sleep(self.random.uniform(0, 5))
            self.node.start_slurmd()
            return True
        if way == "kill -9 of the study":  # its jobs live on
            self.study.process.kill()
            return True
        if way.startswith("pre-emption"):
            self.node.preempt("CANCEL" if way.endswith("without") else "REQUEUE")
            slurm_node.hurry()
            return True
        if way == "loss of the node":
            self.node.fail()
            slurm_node.hurry()
            return True
        if way == "kill -9 of the job":
            processes = slurm_node.processes(job)
            for process in self.random.sample(processes, min(1, len(processes))):
                os.kill(process, signal.SIGKILL)
            return bool(processes)
        command = ["scancel", job] if way == "scancel" else ["scontrol", "update", f"JobId={job}", "EndTime=now"]
        return subprocess.run(command, capture_output=True).returncode == 0


def compare(
    folder: Path,
    node: slurm_node.Node,
    kills: int,
    seconds: tuple[float, float],
    options: Sequence[str] = (),
    notebooks: Sequence[str] = (),
    among: str = "",
) -> tuple[list[str], list[str]]:
    """The ways in which jobs were killed, and what differs then between that study and an undisturbed one here.

    kills: how many. seconds: between which times one comes after another. options: of both studies.
    among: what the names of the killed jobs hold.
    """
    undisturbed, killed = Study(folder / "undisturbed", notebooks), Study(folder / "killed", notebooks)
    begin = time.monotonic()
    status, text = undisturbed.run(*options, "--device", "cpu")
    assert status == 0, text
    print(f"undisturbed: {time.monotonic() - begin:.0f} s", flush=True)
    killer = Killer(killed, node, kills, seconds, among)
    killer.start()
    for turn in range(1, kills + 2):  # what a user does when a study was killed, or ended with a failed step
        begin = time.monotonic()
        status, text = killed.run(*options, "--slurm", "--gpus-per-run", "0")
        print(f"on Slurm, turn {turn}: exit {status} after {time.monotonic() - begin:.0f} s", flush=True)
        if status == 0:
            break
        print(text, end="", flush=True)
    killer.stop.set()
    killer.join()
    subprocess.run(["pkill", "-KILL", "-f", str(killed.folder)])  # what waits for ever for a killed part of its job
    assert status == 0, text
    first, second = undisturbed.scores(), killed.scores()
    different = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
    for name in different:
        print(f"{name}:\n{first.get(name)}\n{second.get(name)}", flush=True)
    return killer.done, different


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, nargs=2, default=(5.0, 40.0), help="from one kill to the next")
    parser.add_argument("--accounting", action="store_true", help="a Slurm that keeps accounts, asked with sacct")
    parser.add_argument("--arms", help="only these arms")
    parser.add_argument("--seeds", help="only these seeds")
    arguments = parser.parse_args()
    chosen = [f"--{name}={value}" for name, value in vars(arguments).items() if name in ("arms", "seeds") and value]
    with (
        tempfile.TemporaryDirectory() as place,
        slurm_node.running(Path(place, "slurm"), accounting=arguments.accounting) as node,
    ):
        kills, different = compare(Path(place), node, arguments.kills, tuple(arguments.seconds), chosen)
    print(f"{len(kills)} kills; different from the undisturbed study: {', '.join(different) or 'nothing'}")
    sys.exit(len(kills) < arguments.kills or bool(different))
