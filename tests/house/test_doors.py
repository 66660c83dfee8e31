"""The doors: the names that `dsrl_lib`, `study` and `benchmarks` offer, loaded when they are first used."""

import ast
import importlib
import subprocess
import sys

import pytest

from dsrl_lib.paths import root

DOORS = ("dsrl_lib", "study", "benchmarks")


def offered(door: str) -> dict[str, str]:
    """Name -> module that defines it, as the stub says."""
    statements = ast.parse((root() / door / "__init__.pyi").read_text()).body
    return {
        alias.asname: f"{door}.{statement.module}"
        for statement in statements if isinstance(statement, ast.ImportFrom) for alias in statement.names
    }  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_every_name_is_the_one_of_its_module(door):
    package = importlib.import_module(door)
    assert sorted(package.__all__) == sorted(offered(door))
    assert set(dir(package)) >= set(offered(door))
    for name, module in offered(door).items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name), name


@pytest.mark.parametrize("door", DOORS)
def test_no_name_is_also_a_module(door):
    """Of two things with one name the import order would decide which one the door gives."""
    modules = {path.stem for path in (root() / door).iterdir()}
    assert modules.isdisjoint(offered(door))


@pytest.mark.parametrize("door", DOORS)
def test_opening_a_door_loads_nothing(door):
    code = (
        f"import sys; before = set(sys.modules); import {door}; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root(), capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {door, "lazy_loader"}


@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_name_is_an_error(door):
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(door).no_such_name  # noqa: B018
