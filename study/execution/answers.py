"""The answer of an executed notebook, repeated where a reader looks first: in its first cell."""

from nbformat import NotebookNode

MARK = "**Answer.**"


def answer_first(notebook: NotebookNode) -> NotebookNode:
    """`notebook`, changed in place: the outputs that are answers follow the word "Answer" (`figures.notes.Answer`).

    Each of them once, however often the notebook shows it.
    """
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    answers = [
        output.data["text/markdown"]
        for output in outputs if output.get("metadata", {}).get("text/markdown", {}).get("answer")
    ]  # fmt: skip
    if answers and (first := notebook.cells[0]).cell_type == "markdown":
        paragraphs = first.source.split("\n\n")
        places = [place for place, text in enumerate(paragraphs, 1) if text.startswith(MARK)]
        if places:
            first.source = "\n\n".join([*paragraphs[: places[0]], *dict.fromkeys(answers), *paragraphs[places[0] :]])
    return notebook
