"""Make an executed notebook portable: nothing in it depends on the machine, the user or the moment.

It keeps what a reader needs (code, text, tables, figures, errors), so that a diff in git is a difference in
results.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from dsrl_lib import paths

_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_WIDGET = "application/vnd.jupyter.widget-view+json"
_CELL_FILE = re.compile(r"(?<!\S)\S*/ipykernel_\d+/\d+\.py")  # tried once per word: words of a page may be long
_TEMPORARY_FILE = re.compile(rf"{re.escape(tempfile.gettempdir())}/tmp\w{{8}}")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


def clean(notebook: NotebookNode) -> NotebookNode:
    """`notebook`, changed in place: without what two runs or two machines would not share."""
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:02d}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_clean_output, _merge_streams(cell.outputs)) if output]
    return notebook


def portable(text: str) -> str:
    """`text` without the addresses of objects and the folders of this machine."""
    text = _ADDRESS.sub("at 0x...", text)
    text = _CELL_FILE.sub("<cell>", text)
    text = _TEMPORARY_FILE.sub("<tmp>", text)
    for folder, name in _machine_folders():
        text = re.sub(rf"(?<![\w.]){re.escape(folder)}(?![\w-])", name, text)
    return text


def _machine_folders() -> list[tuple[str, str]]:
    """Folders of this machine and what stands for them, longest first: a folder goes before its parent."""
    root = paths.root()
    movable = {
        paths.data_dir(): "$DSRL_DATA",
        paths.weights_dir(): "$DSRL_WEIGHTS",
        paths.cache_dir(): "$DSRL_CACHE",
        paths.results_dir(): "results",
        Path(sys.prefix): "<environment>",
    }
    named = {folder: name for folder, name in movable.items() if not folder.is_relative_to(root)}
    home = Path(os.path.expanduser("~"))  # stays "~" for a user whom the system does not know, as in containers
    named |= {root: ".", home: "~", Path(tempfile.gettempdir()): "<tmp>"}
    useful = [(str(folder), name) for folder, name in named.items() if folder != Path("/")]
    return sorted(useful, key=lambda item: -len(item[0]))


def _merge_streams(outputs: Iterable[NotebookNode]) -> Iterable[NotebookNode]:
    """The clock cuts text into pieces: here one of stdout, then one of stderr, between other outputs."""
    for is_stream, group in groupby(outputs, lambda output: output.output_type == "stream"):
        pieces = list(group)
        if not is_stream:
            yield from pieces
            continue
        for name in ("stdout", "stderr"):
            text = "".join(piece.text for piece in pieces if piece.name == name)
            if text:
                yield nbformat.v4.new_output("stream", name=name, text=text)


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    """The output made portable, or None where nothing of it should stay."""
    if output.output_type == "stream":
        output.text = portable(_without_progress_bars(output.text))
        return output if output.text.strip() else None
    if output.output_type == "error":
        output.evalue = portable(output.evalue)
        output.traceback = [portable(line) for line in output.traceback]
        return output
    if _WIDGET in output.data:
        return None
    for kind, content in output.data.items():
        if isinstance(content, str) and (kind.startswith("text/") or kind == "image/svg+xml"):
            output.data[kind] = portable(content)
    return output


def _without_progress_bars(text: str) -> str:
    """A line redrawn with carriage returns is a progress bar, and its speed differs each time."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line for line in lines if "\r" not in line)
