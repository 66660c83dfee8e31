"""Where this study departs from the papers: the `# DEVIATION:` marks of the code."""

import re
from collections.abc import Iterator
from pathlib import Path

from dsrl_lib.paths import root

METHODS = {
    "DSRL": ("models/sssr", "models/sisr", "models/dsrl", "losses/feature_affinity"),
    "Hosts": ("models/hosts",),
    "Adaptive downsampling": ("models/downsampling",),
    "Label relaxation and class-uniform sampling": ("losses/label_relaxation", "losses/image_weights", "data/sampling"),
    "Propagation": ("data/propagation",),
    "Training": ("training/schedule",),
    "Data sets": ("data/readers",),
}
"""By the name of a method, how the names of its files in dsrl_lib begin."""
_MARK = re.compile(r"# DEVIATION: (.*(?:\n\s*# .*)*)")


def departures() -> str:
    """A Markdown list for each method: what, and the file that says so."""
    folder = root() / "dsrl_lib"
    parts = []
    for method, begins in METHODS.items():
        paths = [path for begin in begins for path in sorted(folder.rglob("*.py"))
                 if str(path.relative_to(folder)).startswith(begin)]  # fmt: skip
        parts.append("\n".join([f"**{method}**", "", *(line for path in paths for line in _lines(path))]))
    return "\n\n".join(parts)


def _lines(path: Path) -> Iterator[str]:
    for mark in _MARK.findall(path.read_text()):
        text = re.sub(r"\s*\n\s*# ", " ", mark).strip()
        yield f"- {text[0].upper()}{text[1:]} (`{path.relative_to(root())}`)"
