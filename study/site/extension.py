"""What the site adds to Sphinx: equations as MathML, which browsers show without a script, and plain docstrings."""

import re
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

_FIELD = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)")
_SPECIAL = re.compile(r"([*|_`\\])")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.connect("autodoc-process-docstring", _plain_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def restructured(lines: list[str]) -> list[str]:
    """A docstring of this project as reStructuredText: `code` is code, "name: text" begins an item of a list."""
    out: list[str] = []
    inside = False
    for line in lines:
        field = _FIELD.match(line)
        if field:
            out += ["", f"- **{field[1]}**: {_escaped(line[field.end() :])}"]
        elif line.strip() and inside:
            out.append(f"  {_escaped(line.strip())}")
        else:
            out.append(_escaped(line))
        inside = bool(line.strip()) and (inside or bool(field))
    return out


def _escaped(line: str) -> str:
    parts = re.split(r"`{1,2}([^`]+)`{1,2}", line)  # text and code in turn
    return "".join(f"``{part}``" if i % 2 else _SPECIAL.sub(r"\\\1", part) for i, part in enumerate(parts))


def _plain_docstring(app: Any, what: str, name: str, value: object, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(convert(node.astext()))
    raise SkipNode


def _display(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode
