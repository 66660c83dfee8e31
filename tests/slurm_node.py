"""A real Slurm of one node, for tests: munge, slurmctld and slurmd, started by hand as root, and a stand-in GPU."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")  # nowhere else: jobs do not inherit another place
MARK = "# of the tests of dsrl_lib\n"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "setpriv")


def missing() -> str | None:
    """Why there can be no Slurm for tests here, or None."""
    if os.getuid() != 0:
        return "needs root"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)} (apt-get install slurmctld slurmd slurm-client slurm-wlm munge)"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(MARK):
        return f"{CONFIGURATION} is that of another Slurm"
    return None


class Node:
    """The daemons of a running Slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: dict[str, subprocess.Popen] = {}

    def start(self, *command: str) -> None:
        name = "munged" if "munged" in command else command[0]
        with (self.folder / f"{name}.log").open("a") as log:
            self.started[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def start_slurmd(self) -> None:
        self.start("slurmd", "-D", "-N", _host())

    def kill_slurmd(self) -> None:
        """As `kill -9` does: its jobs live on."""
        self.started["slurmd"].kill()
        self.started["slurmd"].wait()

    def stop(self) -> None:
        subprocess.run(["scancel", "--user=root", "--full", "--signal=KILL"], capture_output=True)
        for process in reversed(self.started.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def jobs(*options: str) -> dict[str, str]:
    """Names of jobs by their numbers; options of squeue choose among them."""
    command = ["squeue", "--noheader", "--format=%A %k", *options]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def processes(job: str) -> list[int]:
    """Those that a job has started, without Slurm's own."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mine = f"SLURM_JOB_ID={job}".encode() in (path / "environ").read_bytes().split(b"\0")
            if mine and "slurm" not in (path / "comm").read_text():
                found.append(int(path.name))
    return found


def impatient(profile: Path) -> None:
    """Change profiles/slurm/config.yaml for jobs of seconds on one machine: ask often, wait for no file."""
    text = profile.read_text()
    assert "latency-wait: 60 " in text
    text = text.replace("latency-wait: 60 ", "latency-wait: 5 ")
    profile.write_text(text + "slurm-init-seconds-before-status-checks: 2\nseconds-between-status-checks: 2\n")


@contextmanager
def running(folder: Path, cpus: int = 2) -> Iterator[Node]:
    """Slurm with one partition, whose files lie in `folder`."""
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(MARK + _configuration(folder, cpus))
    (CONFIGURATION.parent / "gres.conf").write_text(f"NodeName={_host()} Name=gpu Type=standin File=/dev/null\n")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    node = Node(folder)
    try:
        node.start("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--foreground")
        node.start("slurmctld", "-D", "-i")
        node.start_slurmd()
        _wait_until_idle()
        yield node
    finally:
        node.stop()
        CONFIGURATION.unlink()
        (CONFIGURATION.parent / "gres.conf").unlink()


def _wait_until_idle(seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shown = subprocess.run(["sinfo", "--noheader", "--format=%t"], capture_output=True, text=True).stdout
        if shown.strip() == "idle":
            return
        time.sleep(0.2)
    raise RuntimeError(f"Slurm's node is not idle after {seconds} s, but {shown.strip()!r}")


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _configuration(folder: Path, cpus: int) -> str:
    settings = {
        "ClusterName": "tests",
        "SlurmctldHost": f"{_host()}(127.0.0.1)",
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "ReturnToService": "2",
        "AccountingStorageType": "accounting_storage/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "SchedulerParameters": "batch_sched_delay=1,sched_interval=2",
        "KillWait": "5",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "MpiDefault": "none",
        "GresTypes": "gpu",
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines += [
        f"NodeName={_host()} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=20000 Gres=gpu:standin:1 State=UNKNOWN",
        f"PartitionName=debug Nodes={_host()} Default=YES MaxTime=INFINITE State=UP",
    ]
    return "\n".join(lines) + "\n"
