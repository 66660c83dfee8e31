"""What Snakemake's executor for Slurm has to be told: what the cluster offers, and what the states of jobs mean."""

import re
import subprocess
from pathlib import Path

from dsrl_lib.allowed import did_you_mean

NEVER_AGAIN = ("PREEMPTED", "NODE_FAIL")
"""States of jobs that Slurm has not put back into its queue: it would have called them PENDING."""


def executor_options(partition: str | None, account: str | None) -> list[str]:
    """Options of Snakemake for this cluster. ValueError where there is none."""
    import yaml  # lazy: --help needs no environment

    try:
        shown = _answer("scontrol", "show", "config")
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"--slurm: there is no working Slurm here (scontrol show config: {error})") from None
    resources = {"slurm_partition": partition, "slurm_account": account}
    chosen = [f"{name}={value}" for name, value in resources.items() if value]
    profile = yaml.safe_load(Path("profiles/slurm/config.yaml").read_text())
    accounting = not re.search(r"AccountingStorageType\s*=\s*(accounting_storage/none|\(null\))", shown)
    return [
        "--workflow-profile=profiles/slurm",
        *(["--default-resources", *profile["default-resources"], *chosen] if chosen else []),
        *([] if accounting else ["--slurm-status-command=squeue", "--slurm-no-account"]),
    ]


def check_names(partition: str | None, gpu_type: str | None) -> None:
    """ValueError for a partition or a kind of GPU that this cluster lacks, as far as it says what it has.

    An account is not looked up: clusters without accounting know none, and others need not list them all.
    """
    known = _offered("%R")
    for name in partition.split(",") if partition and known else ():
        if name not in known:
            raise ValueError(f"--partition {name!r}; allowed: {', '.join(known)}{did_you_mean(name, known)}")
    if gpu_type and "-" in gpu_type:
        raise ValueError(f"--gpu-type {gpu_type!r}: Snakemake's executor takes no name with a hyphen; leave it out, or "
                         "use the array of profiles/slurm/README.md with --gpus=TYPE:1")  # fmt: skip
    types = gpu_types(partition)
    if gpu_type and types and gpu_type.lower() not in map(str.lower, types):
        raise ValueError(f"--gpu-type {gpu_type!r}; allowed: {', '.join(types)}{did_you_mean(gpu_type, types)}")


def gpu_types(partition: str | None) -> list[str]:
    """GPUs of a partition, or of all; none where there is no Slurm: a plan can be made elsewhere."""
    shown = _offered("%G", *([f"--partition={partition}"] if partition else []))
    return sorted(set(re.findall(r"gpu:([^:,(\s]+):\d", "\n".join(shown))))


def _offered(form: str, *options: str) -> list[str]:
    """What sinfo lists in this format, each once; [] where it does not answer."""
    try:
        return sorted({*_answer("sinfo", "--all", "--noheader", f"--format={form}", *options).split()})
    except (OSError, subprocess.CalledProcessError):
        return []


def tell_ended_jobs() -> None:
    """Let the executor see every job that has ended.

    On its own (2.8) it waits for ever for a job that sacct calls "CANCELLED by 0", since it knows only CANCELLED, and
    for one pre-empted or lost with its node, in the belief that Slurm will start it again. sacct cannot tell whether
    that is so: squeue can, as long as it knows the job.
    """
    import snakemake_executor_plugin_slurm as executor

    ask = executor.query_job_status

    async def states_of_jobs(command, logger):
        states, seconds = await ask(command, logger)
        if states and command.startswith("sacct"):
            run = command.rpartition(" ")[2]
            recent, _ = await ask(executor.query_job_status_squeue(run), logger)
            if recent is None:  # to be asked again
                return None, None
            states |= recent
        return states and {job: ended(state) for job, state in states.items()}, seconds

    executor.query_job_status = states_of_jobs


def ask_steadily() -> None:
    """Let the executor ask for the states of jobs in equal intervals: its own grow by 10 s up to 3 minutes."""
    import snakemake_executor_plugin_slurm as executor

    first = property(lambda self: self.workflow.executor_settings.init_seconds_before_status_checks)
    executor.Executor.next_seconds_between_status_checks = first.setter(lambda self, seconds: None)


def ended(state: str) -> str:
    """A state of Slurm in the words of the executor: FAILED where the job will not run again."""
    word = state.partition(" ")[0]
    return "FAILED" if word in NEVER_AGAIN else word


def _answer(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
