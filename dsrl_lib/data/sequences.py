"""Which frames of your own data set belong together: by their names, or by a list.

Frames of one video look alike, so intervals resample sequences or parts of them, never single frames.
"""

from collections.abc import Callable
from pathlib import Path

from dsrl_lib.data.frames import read_list
from dsrl_lib.paths import DataError

LIST = "sequences.txt"


def by_last_underscore(name: str) -> str:
    """The part of a frame's name before its last underscore: "drive3_0012" -> "drive3". The whole name without one."""
    return name.rpartition("_")[0] or name


def own_sequences(root: Path) -> Callable[[str], str]:
    """From the name of a frame of your own data set to that of its sequence.

    sequences.txt of `root`, if it exists, has one line per frame of all splits: name, tab, sequence. Without it,
    `by_last_underscore`. DataError for a line of another form, a frame in two sequences, and (when it is asked for) a
    frame without a line.
    """
    path = root / LIST
    if not path.is_file():
        return by_last_underscore
    listed: dict[str, str] = {}
    for number, line in enumerate(read_list(path).splitlines(), start=1):
        name, _, sequence = (part.strip() for part in line.partition("\t"))
        if not (name and sequence):
            raise DataError(f"{path}, line {number}: {line!r} is not the name of a frame, a tab and its sequence")
        if listed.setdefault(name, sequence) != sequence:
            raise DataError(f"{path}, line {number}: frame {name} is in sequence {listed[name]} and in {sequence}")

    def sequence_of(name: str) -> str:
        if name not in listed:
            raise DataError(f"{path} has no line for frame {name}: list all frames, by their names without suffix")
        return listed[name]

    return sequence_of
