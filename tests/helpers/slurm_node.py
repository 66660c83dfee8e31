"""A real Slurm of one node, for tests: munge, slurmctld and slurmd, started by hand as root, and a stand-in GPU.

With accounting also slurmdbd and its MariaDB, and one account.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")  # nowhere else: jobs do not inherit another place
MARK = "# of the tests of dsrl_lib\n"
DATABASE = CONFIGURATION.with_name("slurmdbd.conf")
DEVICES = CONFIGURATION.with_name("gres.conf")
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "setpriv")
NEEDED_FOR_ACCOUNTING = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
ACCOUNT = "tests"
"""The only account, where there is accounting, and the cluster."""


def missing(accounting: bool = False) -> str | None:
    """Why there can be no Slurm for tests here, or None."""
    if os.getuid() != 0:
        return "needs root"
    absent = [name for name in NEEDED + accounting * NEEDED_FOR_ACCOUNTING if shutil.which(name) is None]
    if absent:
        packages = "slurmctld slurmd slurm-client slurm-wlm munge" + accounting * " slurmdbd mariadb-server"
        return f"needs {', '.join(absent)} (apt-get install {packages})"
    for path in (CONFIGURATION, DATABASE):
        if path.exists() and not path.read_text().startswith(MARK):
            return f"{path} is that of another Slurm"
    return None


class Node:
    """The daemons of a running Slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *options: str, user: tuple[str, ...] = ()) -> None:
        """Start a daemon, which ends with this process, also if that is killed. user: what setpriv is told."""
        command = ["setpriv", *user, "--pdeathsig=KILL", name, *options]
        place = os.environ | {"MYSQL_UNIX_PORT": str(self.folder / "socket")}  # where slurmdbd finds its database
        with (self.folder / f"{name}.log").open("a") as log:
            self.started[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=place)

    def start_accounting(self) -> None:
        data = ("--no-defaults", "--user=root", f"--datadir={self.folder / 'database'}")
        subprocess.run(["mariadb-install-db", *data, "--skip-test-db"], check=True, capture_output=True)
        only_here = ("--skip-networking", "--skip-grant-tables", f"--socket={self.folder / 'socket'}")
        self.start("mariadbd", *data, *only_here, f"--pid-file={self.folder / 'mariadbd.pid'}")
        _wait_until((self.folder / "socket").exists, "MariaDB runs")
        DATABASE.touch(mode=0o600)  # slurmdbd reads no other
        DATABASE.write_text(MARK + _database(self.folder))
        self.start("slurmdbd", "-D")
        add = ["sacctmgr", "--immediate", "add"]
        cluster = [*add, "cluster", ACCOUNT]
        _wait_until(lambda: subprocess.run(cluster, capture_output=True).returncode == 0, "slurmdbd answers")
        subprocess.run([*add, "account", ACCOUNT], check=True, capture_output=True)
        subprocess.run([*add, "user", "root", f"account={ACCOUNT}"], check=True, capture_output=True)

    def start_slurmd(self) -> None:
        self.start("slurmd", "-D", "-N", _host())

    def kill_slurmd(self) -> None:
        """As `kill -9` does: its jobs live on."""
        self.started["slurmd"].kill()
        self.started["slurmd"].wait()

    def preempt(self, mode: str) -> None:
        """End the running jobs for one of another partition. mode: what Slurm does with them, REQUEUE or CANCEL."""
        _scontrol("PartitionName=debug", f"PreemptMode={mode}")
        urgent = ["sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wait", "--wrap=true"]
        subprocess.run(urgent, check=True, capture_output=True)

    def fail(self) -> None:
        """As a node does that is lost and found empty: its jobs wait in the queue again.

        Slurm drains a node where a job that starts again meets itself.
        """
        lost = jobs("--states=RUNNING")
        _scontrol(f"NodeName={_host()}", "State=DOWN", "Reason=test")  # and it comes back by itself
        _wait_until(lambda: not any(map(_has_steps, lost)), "the jobs of the node have ended")

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


def hurry() -> None:
    """Start jobs that Slurm put back into its queue, which it would do after two minutes."""
    for job in jobs("--states=PENDING"):
        with suppress(subprocess.CalledProcessError):  # it may have started by itself
            _scontrol(f"JobId={job}", "StartTime=now")


def repair() -> None:
    """What an administrator does after a launch that failed: the node is used again, and the job may start.

    A job that starts again while its last step still ends meets itself; Slurm then drains the node and holds the job.
    """
    if _state().startswith("dr"):  # drained, or draining
        _scontrol(f"NodeName={_host()}", "State=RESUME")
    for job in jobs("--states=PENDING"):
        why = ["squeue", "--noheader", "--format=%r", f"--jobs={job}"]
        if "held" in subprocess.run(why, capture_output=True, text=True).stdout:
            subprocess.run(["scontrol", "release", job], capture_output=True)  # it may have gone meanwhile


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
def running(folder: Path, cpus: int = 2, accounting: bool = False) -> Iterator[Node]:
    """Slurm, whose files lie in `folder`: a partition for all jobs, and one that pre-empts them."""
    CONFIGURATION.parent.mkdir(exist_ok=True)
    CONFIGURATION.write_text(MARK + _configuration(folder, cpus, accounting))
    DEVICES.write_text(f"NodeName={_host()} Name=gpu Type=standin File=/dev/null\n")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    node = Node(folder)
    try:
        node.start("munged", "--foreground", user=("--reuid=munge", "--regid=munge", "--clear-groups"))
        if accounting:
            node.start_accounting()
        node.start("slurmctld", "-D", "-i")
        node.start_slurmd()
        _wait_until(_idle, "Slurm's node is idle")
        yield node
    finally:
        node.stop()
        for path in (CONFIGURATION, DEVICES, DATABASE):
            path.unlink(missing_ok=True)


def _wait_until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not so after {seconds} s: {what}")
        time.sleep(0.2)


def _scontrol(*changes: str) -> None:
    subprocess.run(["scontrol", "update", *changes], check=True, capture_output=True)


def _has_steps(job: str) -> bool:
    return subprocess.run(["pgrep", "-f", rf"slurmstepd: \[{job}\."], capture_output=True).returncode == 0


def _state() -> str:
    """Of the node, as sinfo says it for the partition of all jobs: idle, mix, alloc, drain, ..."""
    command = ["sinfo", "--noheader", "--partition=debug", "--format=%t"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _idle() -> bool:
    return _state() == "idle"


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _configuration(folder: Path, cpus: int, accounting: bool) -> str:
    settings = {
        "ClusterName": ACCOUNT,
        "SlurmctldHost": f"{_host()}(127.0.0.1)",
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "ReturnToService": "2",
        "AccountingStorageType": f"accounting_storage/{'slurmdbd' if accounting else 'none'}",
        "JobAcctGatherType": "jobacct_gather/none",
        "SchedulerParameters": "batch_sched_delay=1,sched_interval=2",
        "KillWait": "5",
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "MpiDefault": "none",
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "GresTypes": "gpu",
    }
    if accounting:
        settings["AccountingStorageEnforce"] = "associations"  # a job without an account is refused
    lines = [f"{name}={value}" for name, value in settings.items()]
    lines += [
        f"NodeName={_host()} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=20000 Gres=gpu:standin:1 State=UNKNOWN",
        f"PartitionName=debug Nodes={_host()} Default=YES MaxTime=INFINITE State=UP",
        f"PartitionName=urgent Nodes={_host()} PriorityTier=2 MaxTime=INFINITE State=UP",
    ]
    return "\n".join(lines) + "\n"


def _database(folder: Path) -> str:
    settings = {
        "AuthType": "auth/munge",
        "DbdHost": "localhost",
        "SlurmUser": "root",
        "StorageType": "accounting_storage/mysql",
        "StorageUser": "root",
        "PidFile": folder / "slurmdbd.pid",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
