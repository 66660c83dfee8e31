"""Pages made from the code: the commands from their help texts, the API from the doors."""

import ast
import importlib
import inspect
import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from dsrl_lib.paths import root

PACKAGES = ("study", "dsrl_lib", "benchmarks")
DOORS = ("dsrl_lib", "study", "benchmarks")
_BOX = str.maketrans(dict.fromkeys("╭╮╰╯│", " ") | {"─": "-"})


def write_command_page(path: Path) -> None:
    """Every command with its help text, as the terminal shows it."""
    from study.execution import run_all

    parts = ["# Commands\n"]
    parts.append(_section("./run_all.sh", _printed(lambda: run_all.main(["--help"])), 2))
    for package in PACKAGES:
        main = importlib.import_module(f"{package}.__main__")
        program = f"python -m {package}"
        overview = help_text(main, ["--help"])
        parts.append(_section(program, overview, 2))
        for command in commands(overview):
            parts.append(_section(f"{program} {command}", help_text(main, [command, "--help"]), 3))
    path.write_text("\n".join(parts))


def commands(overview: str) -> list[str]:
    """The commands that the first line of a help text lists, as in `usage: prog [-h] {train,plan}`."""
    found = re.search(r"\[-h\] \{([\w,\s-]+)\}\n", overview)
    return re.split(r",\s*", found[1]) if found else []


def help_text(main: ModuleType, arguments: Sequence[str]) -> str:
    """What `main.main()` prints for these arguments; boxes become blank."""
    with patch.object(sys, "argv", ["prog", *arguments]), patch.dict("os.environ", COLUMNS="100"):
        text = _printed(main.main)
    lines = [line.translate(_BOX).rstrip() for line in text.splitlines()]
    return "\n".join(re.sub(r"^ - (.+?) -+$", r"\1:", line) for line in lines)


def write_api_pages(folder: Path) -> None:
    """One page per door: its public names, grouped by the file that each comes from."""
    folder.mkdir()
    for package in DOORS:
        door = importlib.import_module(package)
        lines = [f"# {package}\n", (door.__doc__ or "").strip().partition("\n")[0], ""]
        for module, names in names_by_module(root() / package / "__init__.pyi").items():
            lines += [f"## {module}\n", "```{eval-rst}"]
            for name in names:
                lines += [_directive(f"{package}.{name}", getattr(door, name)), ""]
            lines += ["```", ""]
        (folder / f"{package}.md").write_text("\n".join(lines))


def names_by_module(stub: Path) -> dict[str, list[str]]:
    """The names that `__init__.pyi` gives, by the module that holds them."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            found.setdefault(node.module or "", []).extend(alias.asname or alias.name for alias in node.names)
    return found


def _directive(name: str, value: object) -> str:
    if not callable(value):  # a table of the study
        return f".. py:data:: {name}" + f"\n   :value: {value!r}" * (len(repr(value)) < 100)
    return f".. {'autoclass' if inspect.isclass(value) else 'autofunction'}:: {name}"


def _section(title: str, text: str, level: int) -> str:
    return f"{'#' * level} `{title}`\n\n```text\n{text.strip()}\n```\n"


def _printed(call: Callable[[], object]) -> str:
    with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
        call()
    return out.getvalue()
