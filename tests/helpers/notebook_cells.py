"""The notebooks, and their cells run without a kernel."""

from pathlib import Path
from typing import Any

import nbformat

from dsrl_lib.paths import root

NOTEBOOKS = sorted((root() / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def run_here(name: str, **parameters: str) -> dict[str, Any]:
    """Run the cells in this process, which is quicker than a kernel; return what they define."""
    defined: dict[str, Any] = {}
    for number, cell in enumerate(code_cells(root() / "notebooks" / f"{name}.ipynb")):
        exec(cell.source, defined)
        if number == 0:
            defined |= parameters
    return defined
