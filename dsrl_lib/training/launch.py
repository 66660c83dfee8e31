"""Several processes for one run: torchrun starts them, as `python -m dsrl_lib ...` on this machine."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

from dsrl_lib.progress import PASSED_ON, shows_bars
from dsrl_lib.training.signals import passed_on

ERROR = re.compile(r"^error: (.*(?:\n  .*)*)\n?", re.MULTILINE)
"""How a process says what went wrong (`ending.finish`)."""
OWN_LOG = re.compile(r"[EWI]\d{4} [\d:.]+ \d+ torch/distributed/elastic")
"""Where torchrun begins to tell of the end of its processes, with a traceback of its own."""


def command(arguments: Sequence[str], processes: int) -> list[str]:
    """The command line of torchrun for `python -m dsrl_lib ARGUMENTS` in so many processes."""
    # By this address: the name of a machine, such as a container's, need not be known anywhere.
    here = ["--standalone", "--local-addr=127.0.0.1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *here, f"--nproc-per-node={processes}"]
    return [*torchrun, "-m", "dsrl_lib", *arguments]


def launch(arguments: Sequence[str], processes: int, show: bool = True) -> None:
    """`python -m dsrl_lib ARGUMENTS` in so many processes. RuntimeError, with its message, if one fails.

    show: pass on what they write to stderr, their progress above all. SIGTERM, SIGUSR1 and SIGINT ask them to stop.
    """
    tail, ended = "", False
    with (
        subprocess.Popen(
            command(arguments, processes),
            env=_threads(processes) | os.environ | ({PASSED_ON: "1"} if show and shows_bars() else {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that a Ctrl-C comes here alone
            preexec_fn=lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),  # torchrun would die of it
        ) as torchrun,
        passed_on(torchrun),
    ):
        # A notebook does not show what a child process writes itself.
        while block := torchrun.stderr.read1():  # type: ignore[union-attr]  # of a PIPE, which is buffered
            text = block.decode(errors="replace")
            tail = (tail + text)[-10_000:]
            if show and not ended:
                sys.stderr.write(ERROR.sub("", OWN_LOG.split(text)[0]))
                sys.stderr.flush()
            ended = ended or bool(OWN_LOG.search(text))
    if torchrun.returncode:
        raise RuntimeError(_reason(tail, torchrun.returncode))


def _threads(processes: int) -> dict[str, str]:
    """The share of each process in the cores of this machine or job, where the user has not set it."""
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // processes))}


def _reason(text: str, status: int) -> str:
    """Why the processes failed, from the end of what they and torchrun wrote."""
    errors = ERROR.findall(text)
    own = [error for error in errors if "closed by peer" not in error]  # the others complain of the one that failed
    if own or errors:
        return (own or errors)[0]
    if killed := re.search(r"Signal \d+ \((SIG\w+)\) received", text):
        return (f"a process of the run was ended by {killed[1]}, perhaps for want of memory; the same command "
                "continues from the last checkpoint")  # fmt: skip
    return f"a process of the run ended with status {status}:\n{OWN_LOG.split(text)[0].rstrip()}"
