"""One line per step instead of Snakemake's own messages: a Snakemake logger plugin, registered by `study`."""

import sys
import time
from logging import ERROR
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from study.execution import stopping


class LogHandler(LogHandlerBase):
    """`[ 7/42] 13_stage3_fa dsrl espnetv2_s0.5 s0  12 s`; for a failure also its reason and the end of its log."""

    any_failed = False
    """Whether a step of this process has failed. Of the class: Snakemake makes the handler, and keeps it."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True  # and lets everything pass
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.jobs: dict[int, dict] = {}
        self.finished: list[int] = []
        self.errors: list[str] = []

    def emit(self, record: Any) -> None:  # a LogRecord with what Snakemake adds to it for each event
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.jobs[record.jobid] = {"name": record.rule_msg, "start": record.created}
        elif event == LogEvent.JOB_FINISHED:
            self.finished.append(record.job_id)
        elif event == LogEvent.PROGRESS:
            self._steps_done(record.done, record.total)
        elif event == LogEvent.JOB_ERROR:
            self._step_failed(record)
        elif record.getMessage().startswith("Trying to restart job"):
            self._say("    it begins again")
        elif record.levelno >= ERROR:
            self.errors.append(record.getMessage())
        self._show_running()

    def _steps_done(self, done: int, total: int) -> None:
        """Finished steps are known just before the counter that includes them."""
        first = done - len(self.finished) + 1
        for number, job_id in enumerate(self.finished, first):
            job = self.jobs.pop(job_id)
            width = len(str(total))
            self._say(f"[{number:{width}}/{total}] {job['name']}  {time.time() - job['start']:.0f} s")
        self.finished.clear()

    def _step_failed(self, record: Any) -> None:
        job = self.jobs.pop(record.jobid, None)
        if job is None:
            return
        LogHandler.any_failed = True
        self._say(f"{'stopped' if stopping.received else 'FAILED'} {job['name']}")
        if record.rule_msg:  # what a cluster says of its job
            self._say(f"    {record.rule_msg.splitlines()[0]}")
        for log in map(Path, record.log):  # of the step, and what Slurm wrote for its job
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            for line in lines[-5:]:
                self._say(f"    {line}")
            if lines:
                self._say(f"    log: {log}")

    def close(self) -> None:
        """Without a failed step, whose log says more, Snakemake's own errors are about the graph."""
        for message in self.errors if not LogHandler.any_failed else ():
            self._say(message)
        self.errors.clear()
        super().close()

    def _say(self, text: str) -> None:
        erase = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{erase}{text}", flush=True)

    def _show_running(self) -> None:
        """On a terminal, the steps under way; the next line replaces them."""
        if sys.stdout.isatty() and self.jobs:
            names = ", ".join(job["name"] for job in self.jobs.values())
            print(f"\r\033[K... {names}"[:100], end="", flush=True)
