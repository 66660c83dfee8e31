# The study as a graph of notebooks. No science here: study/plan.py knows the runs, a notebook does each.
# ./run_all.sh drives it; without that: snakemake --cores 2 --workflow-profile profiles/local --config profile=smoke
#
#   01_data_prep -> training notebooks, each after the run it starts from -> results.csv -> claims.csv -> the others

import os
import shlex
from pathlib import Path

from dsrl_lib.paths import results_dir
from study import plan
from study.execution.warm import python_m


def listed(name, convert=str):
    value = config.get(name)
    return None if value is None else [convert(item) for item in str(value).split(",")]


PROFILE = config.get("profile", "smoke")
DEVICE = config.get("device", "cpu")
GPUS = int(config.get("gpus", DEVICE == "cuda"))
GPU_TYPE = {"gpu_model": config["gpu_type"]} if GPUS and "gpu_type" in config else {}
HOURS = float(config.get("hours", 0))  # a run may take; 0: by the estimate
THREADS = int(config.get("threads", 1))
CORES = max(1, THREADS // max(1, GPUS))  # of each process of a run
WORKERS = min(CORES - 1, 8)  # of each process, to load samples; more would only take memory
GPU_PLACES = config.get("gpu_places")  # on one machine: see study/execution/gpus.py
RUNS = {
    run.run_id: run
    for run in plan.planned_runs(PROFILE, listed("arms"), listed("seeds", int), listed("hosts"), device=DEVICE)
}
RESULTS = os.path.relpath(results_dir() / PROFILE)
PYTHON_M = shlex.join(python_m())
EXECUTE = f"{PYTHON_M} study execute"
ON_A_GPU = shlex.join(["study.execution.gpus", RESULTS, str(GPU_PLACES)])
TRAIN = EXECUTE if GPU_PLACES is None else f"{PYTHON_M} {ON_A_GPU} study execute"
METRICS = f"{RESULTS}/runs/{{run_id}}/metrics.json"
EXECUTED = f"{RESULTS}/notebooks/{{name}}.ipynb"
RUN_NOTEBOOK = f"{RESULTS}/notebooks/runs/{{run_id}}.ipynb"

NOT_SHOWN = {  # files and folders of commands and pages, and of how steps are run; a test compares what notebooks import
    "__main__", "training_commands", "measure_commands", "manage", "release", "sweep", "interpolation", "latency",
    "latency_match", "probe", "branches", "shares", "site", "method_picture", "run_all", "options", "gpus", "progress",
    "slurm", "stopping", "warm", "warm_client",
}  # fmt: skip
# What makes tables, verdicts and what a notebook shows. Of the method only what turns counts into scores: the rest made
# the runs, which are not made again, and without their weights a notebook that is executed again loses its pictures.
SHOWN_BY = ["dsrl_lib/metrics.py"] + [
    str(path) for path in Path("study").rglob("*.*")
    if path.suffix in (".py", ".js", ".css") and not NOT_SHOWN & {path.stem, *path.parts}
]  # fmt: skip
TRAINING = {plan.OTHER_ARMS, *plan.NOTEBOOK_OF_ARM.values()}
FIRST = ["01_data_prep", "02_method"]  # they read no run
LAST = "90_audit"  # it checks what the others wrote
NAMES = sorted({path.stem for path in Path("notebooks").glob("[0-9][0-9]_*.ipynb")} - TRAINING)


def done(run_id):
    """The file that says that a run is complete.

    A run that is complete already is asked for by its metrics, which no rule makes: Snakemake deletes what a step that it
    does again has made, and must not be able to have a run trained twice. What it may delete is the notebook.
    """
    run = RUNS.get(run_id)
    return (METRICS if run is None or run.is_complete else RUN_NOTEBOOK).format(run_id=run_id)


def before_run(wildcards):
    run = RUNS[wildcards.run_id]
    if run.is_complete:
        return []
    return [EXECUTED.format(name="01_data_prep"), *([done(run.parent)] if run.parent else [])]


def run_notebooks():
    """Of runs that are to be trained, and of complete ones whose notebook was begun here.

    What was trained elsewhere, such as the runs in git, has left no weights here, and a notebook without its pictures.
    """
    begun = glob_wildcards(f"{RESULTS}/logs/{{run_id}}.log").run_id
    return [RUN_NOTEBOOK.format(run_id=run_id) for run_id, run in RUNS.items() if not run.is_complete or run_id in begun]


def every_run():
    """The planned runs, and all runs with results."""
    there = glob_wildcards(METRICS).run_id
    return [done(run_id) for run_id in sorted({*RUNS, *there})]


wildcard_constraints:
    run_id="[^/]+",
    name="[0-9][0-9]_[^/]+",


localrules:
    all,
    data,  # here, where there is internet: the nodes of a cluster may have none
    table,
    verdicts,


rule all:
    input:
        expand(EXECUTED, name=NAMES),
        run_notebooks(),
    message:
        "all results"


rule train:
    input:
        before_run,
    output:
        RUN_NOTEBOOK,
    log:
        f"{RESULTS}/logs/{{run_id}}.log",
    params:
        run=lambda wildcards: RUNS[wildcards.run_id],
        overrides=lambda wildcards: ",".join(RUNS[wildcards.run_id].overrides),
        devices=max(1, GPUS),
        workers=WORKERS,
    message:
        "{params.run.label}"
    threads: THREADS
    resources:
        nodes=1,
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: min(attempt, 3) * RUNS[wildcards.run_id].limits(GPUS)["mem_mb"],
        runtime=lambda wildcards: RUNS[wildcards.run_id].limits(GPUS, HOURS)["runtime"],
        **GPU_TYPE,
    shell:
        "OMP_NUM_THREADS={CORES} {TRAIN} notebooks/{params.run.notebook}.ipynb {output:q}"
        " -p profile {PROFILE} -p arm {params.run.config.arm} -p host {params.run.config.model.host}"
        " -p seed {params.run.config.seed} -p device {DEVICE} -p devices {params.devices} -p workers {params.workers}"
        " -p overrides '{params.overrides}' > {log:q} 2>&1"


rule table:
    input:
        every_run(),
        SHOWN_BY,
    output:
        f"{RESULTS}/results.csv",
    log:
        f"{RESULTS}/logs/results.log",
    message:
        "results.csv"
    shell:
        "{PYTHON_M} study collect --profile {PROFILE} > {log:q} 2>&1"


rule verdicts:
    input:
        f"{RESULTS}/results.csv",
        "claims.toml",
        SHOWN_BY,
    output:
        f"{RESULTS}/claims.csv",
    log:
        f"{RESULTS}/logs/claims.log",
    message:
        "claims.csv"
    shell:
        "{PYTHON_M} study claims --profile {PROFILE} > {log:q} 2>&1"


def before_notebook(wildcards):
    inputs = [f"notebooks/{wildcards.name}.ipynb"]
    if wildcards.name not in FIRST:
        inputs += [f"{RESULTS}/claims.csv", *SHOWN_BY]
    if wildcards.name == LAST:
        inputs += [EXECUTED.format(name=name) for name in NAMES if name != LAST]
    return inputs


rule notebook:
    input:
        before_notebook,
    output:
        EXECUTED,
    log:
        f"{RESULTS}/logs/{{name}}.log",
    message:
        "{wildcards.name}"
    shell:
        "OMP_NUM_THREADS={threads} {EXECUTE} {input[0]:q} {output:q} -p profile {PROFILE} > {log:q} 2>&1"


use rule notebook as data with:
    input:
        "notebooks/01_data_prep.ipynb",
    output:
        EXECUTED.format(name="01_data_prep"),
    log:
        f"{RESULTS}/logs/01_data_prep.log",
    message:
        "01_data_prep"


ruleorder: data > notebook
