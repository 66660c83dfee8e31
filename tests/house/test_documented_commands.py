"""Commands in the Markdown files exist, with the options, settings, profiles and arms that are written there."""

import importlib
import re
from functools import cache

import pytest
from repository import committed

from dsrl_lib.config import Config
from study.arms import ARMS
from study.execution import run_all
from study.profiles import PROFILES
from study.site.generated import commands, help_text

TEXT = "\n".join(path.read_text() for path in committed("*.md")).replace("\\\n", " ")
CALLS = sorted(set(re.findall(r"(?:python -m (dsrl_lib|study|benchmarks)|\./(run_all)\.sh)\b([^`\n#;|]*)", TEXT)))
SETTINGS = {f"{section}.{name}" for section, values in Config().to_dict().items() if isinstance(values, dict)
            for name in values}  # fmt: skip


@cache
def shown(package: str, *command: str) -> str:
    """The help text."""
    return help_text(importlib.import_module(f"{package}.__main__"), [*command, "--help"])


@pytest.mark.parametrize(("package", "script", "rest"), CALLS, ids=lambda words: words.strip() or "-")
def test_a_command_has_the_options_that_are_written(package, script, rest, capsys):
    words = rest.split()
    if script and words[:1] == ["site"]:
        package, script = "study", ""
    if script:
        with pytest.raises(SystemExit):
            run_all.main(["--help"])
        text = capsys.readouterr().out
    else:
        names = commands(shown(package))
        called = [word for word in words[:1] if re.fullmatch(r"[a-z]+", word)]
        assert not names or set(called) <= set(names)
        text = shown(package, *called) if names else shown(package)
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= set(re.findall(r"--[\w-]+", text))


def test_settings_profiles_and_arms_that_are_written_exist():
    assert set(re.findall(r"--set \"?([a-z_]+\.\w+)", TEXT)) <= SETTINGS
    assert set(re.findall(r"--profile (\w+)", TEXT)) <= {*PROFILES}
    arms = re.findall(r"--arms? (\w[\w,]*)", TEXT)
    assert len(arms) > 10 and {arm for several in arms for arm in several.split(",")} <= {*ARMS, "fa"}
