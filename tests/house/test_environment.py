"""pyproject.toml, environment.yml and requirements.lock say the same; the scripts use what is there."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dsrl_lib.deploy.export import PACKAGES
from dsrl_lib.paths import root

PROJECT = tomllib.loads((root() / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
DECLARED = [*PROJECT["project"]["dependencies"], *EXTRAS["study"], *EXTRAS["test"]]
SITE = [*EXTRAS["site"], *EXTRAS["types"]]


def pinned() -> dict[str, list[str]]:
    """Versions in the lock by package; a package may have several, each for some Python versions."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (root() / "requirements.lock").read_text(), re.M):
        versions.setdefault(name, []).append(version)
    return versions


def test_environment_yml_lists_what_pyproject_lists():
    environment = yaml.safe_load((root() / "environment.yml").read_text())
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert sorted(pip) == sorted(DECLARED)
    assert f"python{PROJECT['project']['requires-python']},<3.15" in conda  # as far as the lock goes
    assert environment["name"] == "dsrl"


def test_lock_satisfies_pyproject():
    versions = pinned()
    for text in [*DECLARED, *SITE, *PROJECT["build-system"]["requires"]]:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{text} is not in requirements.lock"
        assert all(requirement.specifier.contains(version) for version in found), f"{text}: {found}"


def test_a_checkout_has_what_exports_need():
    """The library alone does without."""
    assert set(EXTRAS["export"]) <= set(EXTRAS["study"])
    assert [Requirement(text).name for text in EXTRAS["export"]] == list(PACKAGES)
    assert not {*EXTRAS["export"]} & {*PROJECT["project"]["dependencies"]}


def test_lock_has_hashes_and_no_addresses():
    text = (root() / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", text)
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_lock_pairs_torch_with_its_torchvision():
    versions = pinned()
    pair = dict(text.split("==") for text in PROJECT["tool"]["uv"]["constraint-dependencies"])
    assert {name: versions[name] for name in pair} == {name: [version] for name, version in pair.items()}
    assert pair == {"torch": "2.13.0", "torchvision": "0.28.0"}
    assert Requirement(next(text for text in DECLARED if text.startswith("torch>"))).specifier.contains("2.11.0")


def test_every_imported_package_is_declared():
    distributions = {"cv2": ["opencv-python-headless"]} | packages_distributions()  # it need not be installed
    listed = [*DECLARED, *SITE, *EXTRAS["flow"], *PROJECT["build-system"]["requires"]]  # flow: not in the lock
    everywhere = {canonicalize_name(Requirement(text).name) for text in listed}
    library = [*PROJECT["project"]["dependencies"], *EXTRAS["flow"], *EXTRAS["export"]]
    packages = {"dsrl_lib", "study", "streets", "benchmarks"}
    undeclared = set()
    for folder in (*packages, "tests"):
        of_library = {canonicalize_name(Requirement(text).name) for text in library}  # all that `pip install .` gives
        declared = of_library if folder in ("dsrl_lib", "streets") else everywhere
        for path in (root() / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                for module in {name.split(".")[0] for name in names} - sys.stdlib_module_names - packages - {""}:
                    owners = {canonicalize_name(owner) for owner in distributions.get(module, [module])}
                    if not owners & declared:
                        undeclared.add(f"{path.name}: {module}")
    # Parts of pytest, snakemake and torch that are published on their own, and modules of the tests.
    own = {path.stem for path in (root() / "tests" / "helpers").glob("*.py")}
    parts = ("packaging", "snakemake_interface_logger_plugins", "triton", *own)
    assert {item for item in undeclared if not item.endswith(parts)} == set()


@pytest.mark.skipif(
    not (root() / ".venv" / ".stamp").exists(), reason="this environment was not made by environment.sh"
)
def test_a_finished_environment_is_used_at_once():
    without = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    command = ["bash", "-c", "source ./environment.sh && echo $PYTHON"]
    done = subprocess.run(command, cwd=root(), env=without, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(root() / ".venv" / "bin" / "python"), "")


@pytest.mark.parametrize("variable", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_an_active_environment_is_used_as_it_is(variable, tmp_path):
    program(tmp_path / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    active = {variable: str(tmp_path)} | ({"CONDA_DEFAULT_ENV": "dsrl"} if variable == "CONDA_PREFIX" else {})
    command = ["bash", "-c", "source ./environment.sh && echo $PYTHON && python -c 'import dsrl_lib'"]
    without = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=root(), env=without | active, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (str(tmp_path / "bin" / "python"), "")


def test_a_conda_environment_that_lacks_packages_is_an_error_that_says_what_to_do(tmp_path):
    program(tmp_path / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # sees no packages
    active = {"CONDA_PREFIX": str(tmp_path), "CONDA_DEFAULT_ENV": "dsrl"}
    command = ["bash", "-c", "source ./environment.sh"]
    done = subprocess.run(command, cwd=root(), env=os.environ | active, capture_output=True, text=True)
    assert done.returncode == 1
    assert "lacks: filelock>=3.20" in done.stderr and "conda env update -f environment.yml" in done.stderr


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the repository without results and without .venv."""
    folder = tmp_path / "checkout"
    kept = ["environment.sh", "run_all.sh", "pyproject.toml", "setup.py", "requirements.lock", "dsrl_lib", "study"]
    folder.mkdir()
    for name in kept:
        copy = shutil.copytree if (root() / name).is_dir() else shutil.copy2
        copy(root() / name, folder / name)
    return folder


def make_environment(folder: Path, made_for: Path, options: str = "") -> Path:
    """A .venv whose interpreter is this one; with option -S it sees no packages."""
    folder.mkdir()
    program(folder / "bin" / "python", f'#!/bin/sh\nexec {sys.executable} {options} "$@"\n')
    (folder / "pyvenv.cfg").write_text(f"command = /usr/bin/python3 -m venv {made_for}\n")
    return folder


PYTHON3 = f"""#!/bin/sh
[ "$2" = venv ] || exec {sys.executable} -S "$@"
mkdir -p "$3/bin"
echo "command = python3 -m venv $3" >"$3/pyvenv.cfg"
printf '#!/bin/sh\\nexec {sys.executable} "$@"\\n' >"$3/bin/python"
chmod +x "$3/bin/python"
"""
"""It sees no packages, and what it makes as an environment is this one."""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def bash(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run in `folder`, where no environment is active, with the programs of `folder`/../path."""
    path = folder.parent / "path"
    program(path / "python3", PYTHON3)
    gone = ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name not in gone}
    env |= {"PATH": f"{path}:/usr/bin:/bin"} | variables
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)


def contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


def test_pip_installs_the_four_packages_for_work_on_them(monkeypatch):
    """What it installs elsewhere: test_wheel."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **options: given.update(options))
    monkeypatch.setattr(sys, "argv", ["setup.py", "editable_wheel"])
    monkeypatch.chdir(root())
    runpy.run_path("setup.py")
    assert {name.partition(".")[0] for name in given["packages"]} == {"dsrl_lib", "study", "streets", "benchmarks"}
    assert "study.execution" in given["packages"] and given["package_dir"] == {}


def test_a_linked_environment_is_used_but_never_installed_into(checkout, tmp_path):
    shared = make_environment(tmp_path / "shared", tmp_path / "shared")
    (checkout / ".venv").symlink_to(shared)
    before = contents(shared)
    done = bash(checkout, "source ./environment.sh && echo $PYTHON")
    assert done.stdout.strip() == str(checkout / ".venv" / "bin" / "python")
    assert f"symbolic link to {shared}" in done.stderr
    assert contents(shared) == before
    script = (root() / ".ci" / "run").read_text()  # nor by continuous integration
    add = script[script.index("add() {") : script.index("\n}\nadd ") + 3]
    done = bash(checkout, f"source ./environment.sh\n{add}add no_module no-package-of-this-name")
    assert f"belongs to another folder (it is a symbolic link to {shared}): no-package-of-this-name" in done.stderr
    assert contents(shared) == before and "pip" not in done.stderr


@pytest.mark.parametrize("linked", [True, False])
def test_an_environment_of_another_folder_that_lacks_packages_is_refused(checkout, tmp_path, linked):
    if linked:
        shared = make_environment(tmp_path / "shared", tmp_path / "shared", "-S")
        (checkout / ".venv").symlink_to(shared)
    else:
        make_environment(checkout / ".venv", tmp_path / "elsewhere" / ".venv", "-S")
    before = contents(checkout)
    done = bash(checkout, "source ./environment.sh")
    assert done.returncode == 1
    assert "belongs to another folder" in done.stderr and "filelock>=3.20" in done.stderr
    assert f"Remove {checkout}/.venv" in done.stderr
    assert contents(checkout) == before


def test_its_own_environment_belongs_to_no_other_folder_and_keeps_bytecode(checkout):
    make_environment(checkout / ".venv", checkout / ".venv")
    command = "may_install=no; source ./environment.sh && echo $PYTHON $PYTHONDONTWRITEBYTECODE"
    done = bash(checkout, command, PYTHONDONTWRITEBYTECODE="1")
    assert (done.stdout.strip(), done.stderr) == (str(checkout / ".venv" / "bin" / "python"), "")


def test_an_environment_is_made_again_until_it_is_whole_and_then_kept(checkout):
    path, command = checkout.parent / "path", "source ./environment.sh && echo $PYTHON"
    program(path / "uv", f'#!/bin/sh\necho "$*" >>{path}/asked\necho no room\nexit 1\n')
    done = bash(checkout, command)
    assert done.returncode == 1 and "no room\nerror: the packages could not be installed; the whole" in done.stderr
    assert (checkout / ".venv" / ".incomplete").exists() and not (checkout / ".venv" / ".stamp").exists()
    (checkout / ".venv" / "half").touch()

    program(path / "uv", f'#!/bin/sh\necho "$*" >>{path}/asked\n')
    done = bash(checkout, command)
    assert done.stdout.strip() == str(checkout / ".venv" / "bin" / "python"), done.stderr
    assert "The last set-up was interrupted: starting again." in done.stderr
    names = {item.name for item in (checkout / ".venv").iterdir()}
    assert names == {"bin", "pyvenv.cfg", "install.log", ".stamp"}
    asked = (path / "asked").read_text().splitlines()
    lock, own = f"--require-hashes -r {checkout}/requirements.lock", f"--no-deps --no-build-isolation -e {checkout}"
    python = f"--python {checkout}/.venv/bin/python"  # whatever UV_SYSTEM_PYTHON says
    assert asked == [f"pip install {python} {options}" for options in (lock, lock, own)]

    assert bash(checkout, command).stderr == "" and len((path / "asked").read_text().splitlines()) == 3
    (checkout / "requirements.lock").write_text("")
    done = bash(checkout, f"may_install=no; {command}")
    assert (done.returncode, done.stderr) == (0, "")  # it is old, and serves
    assert "Bringing .venv up to date with requirements.lock" in bash(checkout, command).stderr

    (checkout / ".venv" / "bin" / "python").unlink()  # as after an upgrade of the system's Python
    done = bash(checkout, f"may_install=no; {command}")
    assert done.returncode == 1 and "To make it: bash environment.sh" in done.stderr
    done = bash(checkout, command)
    assert "The Python of .venv is gone, or is another version now: starting again." in done.stderr
    assert "Making the environment in .venv" in done.stderr and bash(checkout, command).stderr == ""


def test_an_environment_of_ones_own_is_not_installed_into(checkout):
    """Such as one with the torch of an older driver. It lacks nothing, and environment.sh has not made it."""
    make_environment(checkout / ".venv", checkout / ".venv")
    before = contents(checkout)
    done = bash(checkout, "source ./environment.sh && echo $PYTHON")
    assert (done.stdout.strip(), done.stderr) == (str(checkout / ".venv" / "bin" / "python"), "")
    assert contents(checkout) == before


def test_without_locks_an_environment_is_made_all_the_same(checkout):
    path = checkout.parent / "path"
    program(path / "uv", "#!/bin/sh\n")
    program(path / "flock", "#!/bin/sh\nexit 69\n")  # Function not implemented
    done = bash(checkout, "source ./environment.sh && echo $PYTHON")
    assert "This file system has no locks" in done.stderr and done.stdout.strip().endswith(".venv/bin/python")


@pytest.mark.parametrize("option", ["--dry-run", "--help"])
def test_what_only_prints_installs_nothing(checkout, option):
    before = contents(checkout)
    done = bash(checkout, f"./run_all.sh smoke {option}")
    assert contents(checkout) == before
    if option == "--help":
        assert done.returncode == 0 and "--dry-run" in done.stdout
        path = checkout.parent / "path"
        program(path / "python3.11", PYTHON3)
        done = bash(checkout, f"printf '#!/bin/sh\\nexit 1\\n' >{path}/python3; ./run_all.sh --help")  # an old one
        assert done.returncode == 0 and "--dry-run" in done.stdout and contents(checkout) == before
    else:
        assert done.returncode == 1 and "To make it: bash environment.sh" in done.stderr


def test_the_stamp_covers_the_packages_but_not_the_linter(checkout):
    def stamp() -> str:
        return bash(checkout, "source ./environment.sh && stamp", VIRTUAL_ENV=str(environment)).stdout

    environment = make_environment(checkout.parent / "active", checkout.parent / "active")
    project = checkout / "pyproject.toml"
    first, text = stamp(), project.read_text()
    assert len(first.strip()) == 64
    project.write_text(text.replace("line-length = 120", "line-length = 100"))
    assert stamp() == first
    project.write_text(text.replace("dsrl_lib.__main__:main", "study.__main__:main"))
    assert stamp() != first
    project.write_text(text)
    assert stamp() == first
    (checkout / "setup.py").write_text((checkout / "setup.py").read_text().replace('"streets*", ', ""))
    assert stamp() != first
