"""The table of arms in 00_start_here: each arm can be told from the others, and from where it starts."""

import pytest

from study.profiles import PROFILES
from study.report.overview import arm_summary, arm_table


def rows(profile: str) -> dict[str, dict[str, str]]:
    head, _, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in arm_table(profile).splitlines())
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines}


@pytest.mark.parametrize("profile", PROFILES)
def test_no_two_arms_look_alike(profile):
    told = [(row["changes"], row["starts from"], row["units trained"]) for row in rows(profile).values()]
    assert len(set(told)) == len(told)
    assert all(changes for changes, *_ in told)


@pytest.mark.parametrize("profile", PROFILES)
def test_an_arm_that_another_one_starts_from_has_a_row(profile):
    found = rows(profile)
    assert {row["starts from"] for row in found.values()} - {""} <= found.keys()


def test_losses_that_act_are_told_by_their_shares():
    assert "share_sisr = 0.1, share_fa = 0.1" in rows("camvid")["dsrl_res"]["changes"]


def test_an_arm_that_changes_nothing_and_starts_from_no_other_says_so():
    assert arm_summary("bilinear").splitlines() == [
        "arm: bilinear", "isolates: HR labels, without any new layer", "changes: nothing", "units trained: 3",
    ]  # fmt: skip
