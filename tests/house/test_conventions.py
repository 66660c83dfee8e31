"""Files that other tools read: container, workflow, checks before a commit, forms of issues, the notebook to try."""

import json
import re
import shlex
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from dsrl_lib.paths import root

DEFINITION = (root() / "profiles" / "slurm" / "dsrl.def").read_text()
LOCK = (root() / "requirements.lock").read_text()


def sections(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Header and sections of an Apptainer definition, without comments; continued lines are joined."""
    header: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        line = line.strip()
        if line.startswith("%"):
            lines = found.setdefault(line[1:], [])
        elif line and not line.startswith("#"):
            if lines is None:
                name, _, value = line.partition(": ")
                header[name] = value
            else:
                lines.append(line)
    return header, found


HEADER, SECTIONS = sections(DEFINITION)


def test_the_container_has_a_python_that_the_project_allows():
    assert HEADER["Bootstrap"] == "docker"
    version = re.fullmatch(r"python:(3\.\d+)-slim-bookworm", HEADER["From"])
    project = tomllib.loads((root() / "pyproject.toml").read_text())["project"]
    assert version and SpecifierSet(project["requires-python"]).contains(version[1])
    assert set(SECTIONS) == {"files", "post", "environment", "runscript", "test"}


def test_the_container_installs_the_lock_as_environment_sh_does():
    copied = dict(shlex.split(line) for line in SECTIONS["files"])
    assert [name for name in copied if not (root() / name).is_file()] == []
    environment = dict(line.removeprefix("export ").split("=", 1) for line in SECTIONS["environment"])
    venv = environment["VIRTUAL_ENV"]
    assert f"python3 -m venv {venv}" in SECTIONS["post"]
    assert environment["PATH"] == f"{venv}/bin:$PATH"
    installs = [line for line in SECTIONS["post"] if " install " in line and "apt-get" not in line]
    program, options = installs[0].split(" install ")
    assert len(installs) == 1 and program.startswith(f"{venv}/bin/python -m pip ")
    written = (root() / "environment.sh").read_text()
    assert f'"${{install[@]}}" {options.replace(copied["requirements.lock"], "")}"$root/requirements.lock"' in written
    assert options.endswith(copied["requirements.lock"])
    assert all(line.startswith(f"{venv}/bin/python ") for line in SECTIONS["test"])
    assert SECTIONS["runscript"] == ['exec "$@"']


def test_the_container_has_what_a_run_calls():
    """git for provenance; Triton compiles its launcher with a C compiler when a kernel first runs on a GPU."""
    (packages,) = (line for line in SECTIONS["post"] if line.startswith("apt-get install"))
    assert {"git", "gcc", "libc6-dev"} <= set(packages.split())
    assert "dsrl.def" in (root() / "profiles" / "slurm" / "README.md").read_text()


def test_checks_before_a_commit_use_the_ruff_of_the_lock_and_tests_that_exist():
    repos = yaml.safe_load((root() / ".pre-commit-config.yaml").read_text())["repos"]
    ruff, local = repos
    assert ruff["rev"] == "v" + re.search(r"^ruff==(\S+)", LOCK, re.M)[1]
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
    words = local["hooks"][0]["entry"].split()
    tests = [word for word in words if word.startswith("tests/")]
    assert tests and all((root() / name).is_file() for name in tests)
    assert words[:3] == ["python", "-m", "pytest"] and local["hooks"][0]["language"] == "system"


def test_the_workflow_publishes_the_site_that_it_builds():
    workflow = yaml.safe_load((root() / ".github/workflows/site.yml").read_text())
    steps = workflow["jobs"]["site"]["steps"]
    (python,) = (step["with"]["python-version"] for step in steps if step.get("uses", "").startswith("actions/setup-p"))
    project = tomllib.loads((root() / "pyproject.toml").read_text())["project"]
    assert SpecifierSet(project["requires-python"]).contains(python)
    (build,) = (step["run"] for step in steps if "run" in step)
    (kept,) = (step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", ""))
    assert build == f"./run_all.sh site --out {kept}"
    assert {"pages", "id-token"} <= {name for name, access in workflow["permissions"].items() if access == "write"}


def test_forms_of_issues_are_whole():
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (root() / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    assert set(forms) == {"fault", "question", "config"}
    for name in ("fault", "question"):
        assert forms[name]["name"] and forms[name]["description"]
        fields = [field for field in forms[name]["body"] if field["type"] != "markdown"]
        assert all(field["attributes"]["label"] for field in fields)
        assert fields[0]["validations"]["required"] is True


def test_the_notebook_to_try_and_the_readme_name_one_address():
    notebook = json.loads((root() / "docs" / "try_it.ipynb").read_text())
    source = "".join("".join(cell["source"]) for cell in notebook["cells"])
    addresses = set(
        re.findall(r"(?:github|githubusercontent|research\.google)\.com/(?:github/)?([\w-]+/[\w-]+)", source)
    )
    readme = (root() / "README.md").read_text()
    (link,) = re.findall(r"colab\.research\.google\.com/github/([\w-]+/[\w-]+)/blob/main/docs/try_it\.ipynb", readme)
    assert addresses == {link}
    assert [cell for cell in notebook["cells"] if cell.get("outputs")] == []
    frame = re.search(r'FRAME = "(\S+)"', source)[1]
    assert (root() / frame).is_file()
