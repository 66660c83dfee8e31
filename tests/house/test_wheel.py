"""What `pip install .` installs: one package with all that it needs, and the command `dsrl`."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dsrl_lib.paths import root

PROGRAM = """
import sys
from pathlib import Path
from dsrl_lib import paths
from dsrl_lib.data.readers.streets import streets
from dsrl_lib.__main__ import main
from dsrl_lib.download import camvid_sums
from dsrl_lib.training.provenance import _git
assert Path(paths.__file__).is_relative_to(sys.argv[1])
sys.argv = ["dsrl", "resume", "smoke-nothing"]
main()
print(len(camvid_sums()), streets.scene.__module__, _git("rev-parse", "HEAD"))
print(*(folder() for folder in (paths.data_dir, paths.results_dir)), *paths.released_dir().glob("*.safetensors"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy: setuptools leaves files behind."""
    copy, built = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("built")
    for name in ("dsrl_lib", "study", "streets", "benchmarks", "weights", "data/manifests"):
        shutil.copytree(root() / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root() / name, copy)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(built)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (found,) = built.glob("*.whl")
    return found


def test_a_wheel_has_one_package_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.partition("/")[0] for name in names}
        information = next(top for top in tops if top.endswith(".dist-info"))
        assert tops == {"dsrl_lib", information}
        assert archive.read(f"{information}/top_level.txt").split() == [b"dsrl_lib"]
        assert b"dsrl = dsrl_lib.__main__:main" in archive.read(f"{information}/entry_points.txt")
    for name in ("py.typed", "__init__.pyi", "_streets/scene.py", "_shipped/weights/dsrl-camvid.safetensors"):
        assert f"dsrl_lib/{name}" in names
    every = {path.relative_to(root()).as_posix() for path in (root() / "dsrl_lib").rglob("*.py*") if path.is_file()}
    assert {name for name in every if "__pycache__" not in name} <= set(names)


def test_the_notebook_to_try_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    """All cells but the one that installs, in a folder that holds a frame."""
    installed, here = tmp_path / "installed", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    cells = json.loads((root() / "docs" / "try_it.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [text for text in code if text.startswith("%pip install")] == code[:1]
    (here / "try_it.py").write_text("\n".join([*code[1:], "import dsrl_lib; print(dsrl_lib.__file__)"]))
    shutil.copy(root() / "tests" / "frames" / "camvid" / "val" / "0016E5_08089.jpg", here / "street.jpg")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSRL_")}
    env = kept | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "try_it.py"], cwd=here, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 picture; espnetv2_s1.0 at 180 x 240" in done.stdout and "logits equal: True" in done.stdout
    assert "SISR branch: " in done.stdout and "bicubic upsampling: " in done.stdout
    assert done.stdout.strip().endswith(str(installed / "dsrl_lib" / "__init__.py"))
    assert {path.parent.name for path in here.glob("predicted/*/street.png")} == {"compose", "pred", "rgb", "sr"}


def test_it_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    installed, here = tmp_path / "installed", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DSRL_")}
    environment["PYTHONPATH"] = str(installed)
    command = [sys.executable, "-P", "-c", PROGRAM, str(installed)]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "there is no run 'smoke-nothing' in " in done.stderr and "python -m study" not in done.stderr
    first, second = done.stdout.splitlines()
    assert first == "1402 dsrl_lib._streets.scene None"
    data, results, *weights = second.split()
    assert (data, results) == (str(here / "data"), str(here / "results"))
    released = {path.name for path in (root() / "weights").glob("*.safetensors")}
    assert {Path(path).name for path in weights} == released != set()
