"""Where this study departs from the papers: the `# DEVIATION:` marks of the code."""

import re

from dsrl_lib.paths import root

_MARK = re.compile(r"# DEVIATION: (.*(?:\n\s*# .*)*)")


def departures() -> str:
    """A Markdown list: what, and the file that says so, in the order of the files."""
    lines = []
    for path in sorted((root() / "dsrl_lib").rglob("*.py")):
        for mark in _MARK.findall(path.read_text()):
            text = re.sub(r"\s*\n\s*# ", " ", mark).strip()
            lines.append(f"- {text[0].upper()}{text[1:]} (`{path.relative_to(root())}`)")
    return "\n".join(lines)
