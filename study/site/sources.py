"""The source of the site: a folder that mirrors the repository, so that links lead where they lead there.

It holds the Markdown files, the executed notebooks, what these link to, and pages that are made here (see `claim_pages`
and `generated`).
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from dsrl_lib.paths import root
from study.claims.together import BEDS
from study.site.claim_pages import write_claim_pages
from study.site.generated import write_api_pages, write_command_page

LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
SHOW_CODE = ("try_it", "02_method", "51_inference", "52_affinity_explorer")
"""Notebooks that are about their code; in the others a reader opens it."""
TEXTS = ("*.md", "docs/**", "data/*.md", "profiles/*/*.md", "results/*/*.md", "weights/*.md")
NOTEBOOKS = "results/*/notebooks/*.ipynb"
"""Git's glob patterns. The notebook of each run and the tables alone are for the repository."""


def write_sources(folder: Path) -> None:
    """Fill an empty folder."""
    for path in _tracked(*TEXTS, NOTEBOOKS):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            notebook = json.loads((root() / path).read_text())
            target.write_text(json.dumps(readable(notebook, path.stem in SHOW_CODE, _bed(path))))
        else:
            shutil.copy(root() / path, target)
    shutil.move(folder / "docs" / "conf.py", folder / "conf.py")
    (folder / "index.md").write_text(_at_the_top((folder / "docs" / "index.md").read_text()))
    (folder / "docs" / "index.md").unlink()
    for path in list(folder.rglob("*.md")):
        _copy_what_it_links_to(path, folder)
    for path in _tracked("results/*/claims.csv"):
        write_claim_pages(path.parent.name, folder / "claims")
    write_command_page(folder / "commands.md")
    write_api_pages(folder / "api")


def readable(notebook: dict[str, Any], show_code: bool, bed: str = "") -> dict[str, Any]:
    """An executed notebook for a page: code folded, each picture described by the heading above it and its own words.

    bed: the data set, which stands below the title, since pages of several data sets have one title.
    """
    if bed:
        title, *text = notebook["cells"][0]["source"]
        notebook["cells"][0]["source"] = [title, f"*Executed for {bed}.*\n", "\n", *text]
    injected = any("injected-parameters" in cell["metadata"].get("tags", []) for cell in notebook["cells"])
    heading = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            found = re.findall(r"^#+ (.+)$", "".join(cell["source"]), re.MULTILINE)
            heading = found[-1] if found else heading
            continue
        cell["outputs"] = [output for output in cell["outputs"] if not _repeated(output, notebook["cells"][0])]
        tags = cell["metadata"].setdefault("tags", [])
        tags += ["remove-cell"] if injected and "parameters" in tags else [] if show_code else ["hide-input"]
        cell["metadata"]["mystnb"] = {"image": {"alt": ". ".join([heading, *_described(cell)])}}
    return notebook


def _repeated(output: dict[str, Any], first: dict[str, Any]) -> bool:
    """Whether it is an answer that stands in the first cell already (`execution.answers`)."""
    is_answer = output.get("metadata", {}).get("text/markdown", {}).get("answer", False)
    return is_answer and "".join(output["data"]["text/markdown"]) in "".join(first["source"])


def _described(cell: dict[str, Any]) -> list[str]:
    """What the pictures of a cell say of themselves (`study.figures.described`)."""
    told = [
        kind for output in cell["outputs"] for kind in output.get("metadata", {}).values() if isinstance(kind, dict)
    ]
    return [kind["alt"].removeprefix("Figure. ").rstrip(".") for kind in told if "alt" in kind]


def _bed(path: Path) -> str:
    """Such as "CamVid (profile `camvid`)", of results/camvid/notebooks; "" of another notebook."""
    profile = path.parts[1] if path.parts[0] == "results" else ""
    return f"{BEDS[profile]} (profile `{profile}`)" if profile in BEDS else profile and f"profile `{profile}`"


def _tracked(*patterns: str) -> list[Path]:
    """Files of the repository, relative to it; what git ignores, such as results of `smoke`, is not published."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    command += [f":(glob){pattern}" for pattern in patterns]
    found = subprocess.run(command, cwd=root(), capture_output=True, text=True)
    if found.returncode:
        raise ValueError(f"the site shows the files that git lists in {root()}: {found.stderr.strip()}")
    return sorted(Path(name) for name in found.stdout.split("\0") if name)


def _at_the_top(index: str) -> str:
    """docs/index.md as the first page: its links start at the top of the repository."""
    return re.sub(r"\]\((?!https?:|\.\./|#)", "](docs/", index).replace("](../", "](")


def _copy_what_it_links_to(page: Path, folder: Path) -> None:
    """Files that are no pages, such as claims.csv or a module, become files of the site."""
    for link in LINK.findall(page.read_text()):
        target = page.parent / link
        source = root() / target.resolve().relative_to(folder.resolve()) if "://" not in link else None
        if source and source.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
