"""The packages are typed: mypy finds no mistake, stubs name what is there, and programs are checked by the doors."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dsrl_lib.paths import root

DOORS = ("dsrl_lib", "study", "benchmarks")
TAKES = "from pathlib import Path\nfrom dsrl_lib import Config, evaluate, from_pretrained, iou, predict\n"
WRONG = {
    "from dsrl_lib import feature_afinity": r'has no attribute "feature_afinity"; maybe "feature_affinity"',
    f'{TAKES}from_pretrained("a", hosts="b")': 'Unexpected keyword argument "hosts"',
    f'{TAKES}model, config = from_pretrained("a")\npredict(model, config, "camvid:val", 3)': 'expected "str . Path"',
    f"{TAKES}Config().optim.epoch": r'"Optim" has no attribute "epoch"; maybe "epochs"',
    'from study import train_arm\ntrain_arm("smoke", "dsrl", seed="0").nothing': r'expected "int"',
}


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What mypy prints of some files; its cache makes a second call quick."""
    pytest.importorskip("mypy", reason="this environment has no mypy (extra `types`)")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(tmp_path_factory.mktemp("cache"))]

    def call(*files: Path) -> str:
        return subprocess.run([*command, *map(str, files)], cwd=root(), capture_output=True, text=True).stdout

    return call


def test_the_packages_have_no_mistake_of_types_and_their_stubs_name_what_is_there(mypy):
    assert mypy() == ""


def test_programs_are_checked_by_the_doors(mypy, tmp_path):
    readme = re.findall(r"```python\n(.*?)```", (root() / "README.md").read_text(), re.DOTALL)
    assert len(readme) == 2
    names = [*(f"right_{n}" for n in range(2)), *(f"wrong_{n}" for n in range(len(WRONG)))]
    files = [tmp_path / f"{name}.py" for name in names]
    for file, text in zip(files, [*readme, *WRONG], strict=True):
        file.write_text(text)
    lines = mypy(*files).splitlines()
    assert [line for line in lines if "right_" in line] == []
    for number, message in enumerate(WRONG.values()):
        found = [line for line in lines if f"wrong_{number}.py" in line]
        assert any(re.search(message, line) for line in found), (message, found)


@pytest.mark.parametrize("door", DOORS)
def test_every_function_of_a_door_is_annotated(door):
    package = importlib.import_module(door)
    bare = []
    for name in package.__all__:
        thing = getattr(package, name)
        functions = [thing] if inspect.isfunction(thing) else []
        if inspect.isclass(thing) and thing.__module__.startswith(door) and "__init__" in vars(thing):
            functions = [thing.__init__]
        for function in functions:
            arguments = inspect.signature(function).parameters.values()
            missing = [a.name for a in arguments if a.name != "self" and a.annotation is inspect.Parameter.empty]
            if missing or "return" not in function.__annotations__:
                bare.append(f"{name}({', '.join(missing)})")
    assert bare == []


def test_the_packages_say_that_they_are_typed():
    settings = tomllib.loads((root() / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["files"] == [*DOORS, "streets"]
    assert all((root() / door / "py.typed").exists() for door in DOORS)
    assert all(ast.parse((root() / door / "__init__.pyi").read_text()).body for door in DOORS)
