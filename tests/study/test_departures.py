"""The list of departures has every mark of the code once, under its method."""

import re

from dsrl_lib.paths import root
from study.report.departures import METHODS, departures


def test_every_mark_is_listed_once_and_the_method_of_the_paper_comes_first():
    marks = sum(path.read_text().count("# DEVIATION: ") for path in (root() / "dsrl_lib").rglob("*.py"))
    lines = departures().splitlines()
    listed = [line for line in lines if line.startswith("- ")]
    assert len(listed) == len({*listed}) == marks > 20
    assert [line.strip("*") for line in lines if line.startswith("**")] == list(METHODS)
    assert lines[0] == "**DSRL**" and "bilinear start" in lines[2]
    for method in ("Adaptive downsampling", "Propagation"):
        _, _, rest = departures().partition(f"**{method}**")
        here, _, _ = rest.partition("**")
        assert all(re.search(method.split()[0], line, re.IGNORECASE) for line in here.splitlines() if line)
