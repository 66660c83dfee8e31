"""What the numbers of a notebook rest on: runs, devices, test frames, kind of interval, and what was not run."""

from collections.abc import Sequence

from dsrl_lib.own_data import dataset as entry_of
from study.catalogue import Run
from study.evidence import Study
from study.figures.notes import Note, some
from study.profiles import PROFILES

INTERVALS = {
    "bootstrap": "of the two-level bootstrap (seeds, and blocks of neighbouring frames)",
    "random effects": "over random effects of seeds and of blocks of images (drives, where there are many)",
}
"""Kind of interval (`Profile.interval`) -> how a note describes it."""


def how_measured(study: Study) -> Note:
    """How the numbers were made: runs, host, split, evaluation size, intervals."""
    if not study.runs:
        return Note(f"**No runs of profile `{study.profile}` yet:** `./run_all.sh {study.profile}` makes them.")
    profile = PROFILES[study.profile]
    dataset = profile.base.data.dataset
    frames, videos, others = _test_frames(study.runs, dataset)
    of = f" of video {videos[0]}" if len(videos) == 1 else ""
    known = entry_of(dataset).one_size
    size = f" ({known[0]}x{known[1]})" if known else ""
    return Note(
        f"**How it was measured.** mIoU in points on the test split of {dataset} ({frames} "
        f"frames{of}, {len(study.classes)} classes), at the original size of the labels{size}.{others} The test "
        "split was not used for selection; the last epoch is reported. "
        f"Differences are paired by seed; brackets are 95 % intervals {INTERVALS[profile.interval]}. One and two "
        f"seeds have none. Host {profile.hosts[0]}; {len(study.runs)} complete runs of profile `{study.profile}`, on "
        f"{_devices(study.runs)}. What each arm is: `study/arms.py`, as a table in `00_start_here`."
    )


def not_run(study: Study, arms: Sequence[str]) -> Note:
    """Which of these arms have runs, with how many seeds, and which have none."""
    seeds = {arm: len(study.select(arm)) for arm in dict.fromkeys(arms)}
    run = ", ".join(f"{arm} {number}" for arm, number in seeds.items() if number)
    absent = ", ".join(arm for arm, number in seeds.items() if not number)
    if not run:
        return Note(f"**Not run** in this profile: {some(list(seeds))}.")
    return Note(f"Seeds: {run}." + (f" **Not run:** {absent}." if absent else ""))


def _test_frames(runs: Sequence[Run], dataset: str) -> tuple[int, list[str], str]:
    """How many test frames a data set has, of which videos, and a sentence about the other data sets of the runs."""
    first = {run.config["data"]["dataset"]: run for run in reversed(runs)}  # a run of each
    own = first.pop(dataset, None)
    test = (own or runs[0]).counts("test")
    found = len(test.images), sorted(set(test.sequences))
    if not own or not first:
        return *found, ""
    others = ", ".join(sorted(first))
    if all(run.counts("test").images == test.images for run in first.values()):
        return *found, f" Runs of {others} have the same test frames."
    return *found, (
        f" Other runs are of {others}, each with a test split of its own: what has an @ in its name. All else is of "
        "this one split."
    )


def _devices(runs: Sequence[Run]) -> str:
    """Such as "CPU (AMD EPYC; Intel(R) Xeon(R) Processor)": what the runs ran on, each kind and each name once."""
    kinds: dict[str, set[str]] = {}
    for kind, _, name in (device.partition(", ") for run in runs for device in run.devices):
        kinds.setdefault(kind, set()).update({name} - {""})
    return ", ".join(f"{kind} ({'; '.join(sorted(names))})" if names else kind for kind, names in sorted(kinds.items()))
