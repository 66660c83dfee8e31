"""The Chromium that opens the pages of the site."""

import os
import shutil
from importlib.util import find_spec

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """Where it is. Without it or playwright the test is skipped; where CI is set, it fails."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found and find_spec("playwright"):
        return found
    lacking = f"one of {', '.join(BROWSERS)}" if not found else "the package playwright (pip install -e '.[site]')"
    if "CI" in os.environ:
        pytest.fail(f"CI is set, and this machine lacks {lacking}: install it, or unset CI to skip the tests that open "
                    "pages", pytrace=False)  # fmt: skip
    pytest.skip(f"needs {lacking}")
