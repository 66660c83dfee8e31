"""Several processes for one run: torchrun starts them, as `python -m dsrl_lib ...` on this machine."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

from dsrl_lib.training.signals import passed_on


def launch(arguments: Sequence[str], processes: int, show: bool = True) -> None:
    """`python -m dsrl_lib ARGUMENTS` in so many processes. RuntimeError, with its message, if one fails.

    show: pass on what they write to stderr, their progress above all. SIGTERM, SIGUSR1 and SIGINT ask them to stop.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    tail = ""
    with (
        subprocess.Popen(
            [*command, "-m", "dsrl_lib", *arguments],
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that a Ctrl-C comes here alone
            preexec_fn=lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),  # torchrun would die of it
        ) as torchrun,
        passed_on(torchrun),
    ):
        while block := torchrun.stderr.read1():  # a notebook does not show what a child process writes itself
            text = block.decode(errors="replace")
            tail = (tail + text)[-10_000:]
            if show:
                sys.stderr.write(text)
                sys.stderr.flush()
    if torchrun.returncode:
        errors = re.findall(r"^error: (.*)$", tail, re.MULTILINE)
        own = [error for error in errors if "closed by peer" not in error]  # the others complain of the one that failed
        raise RuntimeError((own or errors or [f"torchrun ended with status {torchrun.returncode}:\n{tail}"])[0])
