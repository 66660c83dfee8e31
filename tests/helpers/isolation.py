"""Tests use no network and leave the checkout as it is; `conftest` holds every session to it."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsrl_lib.paths import root

CACHES = (".venv", ".venv.log", "data/cache", "**/__pycache__", ".pytest_cache", ".ruff_cache", ".import_linter_cache")
"""What tests may leave in the checkout: caches that are safe to delete."""


def changed(folder: Path | None = None) -> set[str]:
    """Lines of `git status`: files of the checkout that were changed or deleted, or that git does not track, ignored
    ones too, but for CACHES. None for a copy without .git; CalledProcessError if git cannot say it."""
    folder = folder or root()
    if not (folder / ".git").exists():
        return set()
    command = ["git", "-c", "safe.directory=*", "status", "--porcelain", "--ignored", "--untracked-files=all"]
    command += ["--", "."]
    command += [f":(exclude,glob){path}" for cache in CACHES for path in (cache, f"{cache}/**")]
    return set(subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines())


class NetworkUsed(BaseException):
    """A test reached for the network. No `except Exception` hides it."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Connections within this machine only."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def checked_connect(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            check(address[0])
        return connect(self, address)

    def checked_look_up(host: str | bytes | None, *arguments: object, **options: object) -> list:
        check(host)
        return look_up(host, *arguments, **options)

    def check(host: str | bytes | None) -> None:
        name = host.decode() if isinstance(host, bytes) else host or ""
        if name not in ("", "localhost", "::1", "0.0.0.0", socket.gethostname()) and not name.startswith("127."):
            raise NetworkUsed(f"a test asks for {name}; tests use no network")

    # Processes that tests start find no way out either: nothing listens at this port.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9") | {"no_proxy": "localhost,127.0.0.1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nowhere.items():
            patch.setenv(name, value)
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket, "getaddrinfo", checked_look_up)
        yield
