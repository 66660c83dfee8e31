"""What the executed notebooks in git say of the runs is what they would say today."""

import json
from pathlib import Path

import pytest
from notebook_cells import code_cells
from repository import committed

from dsrl_lib.paths import root
from study.figures.notes import Note

OPENING = "how_measured(study)"
"""In the cell that opens a notebook of results: its answers, what was run and what was not."""


def opening(path: Path) -> str | None:
    """The source of the cell after the parameters, if it is such a cell."""
    source = code_cells(root() / "notebooks" / path.name)[1].source
    return source if OPENING in source else None


OPENED = [path for path in committed("results/*/notebooks/[0-9]*.ipynb") if opening(path)]


def notes_shown(path: Path, source: str) -> list[str]:
    (cell,) = (cell for cell in json.loads(path.read_text())["cells"] if "".join(cell["source"]) == source)
    kept = [output.get("data", {}).get("text/markdown") for output in cell["outputs"]]
    return ["".join(text) for text in kept if text is not None]


@pytest.mark.parametrize("path", OPENED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_an_executed_notebook_opens_as_it_would_today(path, monkeypatch):
    """One that was left as it was when runs or rules were added shows old numbers beside new ones."""
    monkeypatch.delenv("DSRL_RESULTS", raising=False)
    displayed: list[object] = []
    monkeypatch.setattr("IPython.display.display", lambda *shown: displayed.extend(shown))
    defined: dict = {}
    parameters, first, *_ = code_cells(root() / "notebooks" / path.name)
    exec(parameters.source, defined)
    exec(first.source, defined | {"profile": path.parts[-3]})
    assert [str(note) for note in displayed if isinstance(note, Note)] == notes_shown(path, first.source)


def test_notebooks_of_every_profile_with_results_are_looked_at():
    assert len(OPENED) > 20 and {path.parts[-3] for path in OPENED} >= {"camvid", "idd", "camvid_videos"}
