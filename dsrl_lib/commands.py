"""What the command lines of all packages share: options, and how a word becomes a path."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


def optional(metavar: str, otherwise: str = "", help: str | None = None) -> Any:
    """An option that may be left out: what it takes, and what holds without it. On its own, tyro says None for both."""
    return tyro.conf.arg(metavar=metavar, help=help, help_behavior_hint=f"(default: {otherwise})" if otherwise else "")


Changes = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(name="set", metavar="SECTION.KEY=VALUE", help="Another value for one setting; may be repeated."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], tyro.conf.arg(help="Where to run; auto takes CUDA if it can.")]

Weights = Annotated[
    Path,
    tyro.conf.arg(help="Released weights (dsrl-camvid), a run, a .safetensors file, or a published .pth or .pt file."),
]
STARTS = "Weights to start from (fine-tuning): released ones, a run, a .safetensors, .pth or .pt file."
Start = Annotated[Path | None, optional("WEIGHTS", "none", STARTS)]
Workers = Annotated[
    int | None,
    optional("INT", "up to 8 with a GPU, else none", "Processes that load samples; results do not depend on them."),
]
PathIfGiven = Annotated[Path | None, optional("PATH", "none")]
HostOfWeights = Annotated[
    str | None, optional("HOST", "other files name it", "The network of a .pth or .pt file, such as espnetv2_s2.0.")
]


@dataclass(frozen=True)
class Machine:
    """What trains a run, and what it keeps; the run's numbers do not depend on it."""

    device: Device = "auto"
    workers: Workers = None
    devices: int = 1
    """Processes that share the run, each with its own device."""
    keep_best: bool = False
    """Also keep the weights of the epoch with the highest validation mIoU."""
    keep_last: int = 0
    """Also keep the weights of so many last epochs."""


OnMachine = Annotated[Machine, tyro.conf.arg(name="")]
"""The options of `Machine` without a prefix."""


PATHS = tyro.constructors.ConstructorRegistry()
"""How a word of a command line becomes a path: for all commands, `cli(registry=PATHS)`."""


@PATHS.primitive_rule
def _path(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """~ is the home folder. An empty word, such as an unset variable, is no path: it would be the working folder."""
    if info.type is not Path:
        return None

    def parse(words: list[str]) -> Path:
        if not words[0].strip():
            raise ValueError("an empty word is no path; '.' is the present folder")
        return Path(os.path.expanduser(words[0]))  # a shell leaves the ~ of --out=~/made as it is

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1, metavar="PATH", instance_from_str=parse, is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )  # fmt: skip
