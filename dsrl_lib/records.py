"""Files that appear whole or not at all, and JSON whose content is checked."""

import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dsrl_lib.allowed import check_fields, each_once


def write_atomically(path: Path, write: Callable[..., object], keep: Path | None = None) -> None:
    """Call write(temporary path), flush it to disk and rename it to `path`: a reader never sees half a file.

    keep: a name for what was at `path` before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")  # another process may write the same file
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        room = "; make room and give the same command again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OSError(
            error.errno, f"cannot write {path}: {error.strerror}; what was there before is kept{room}"
        ) from error
    except BaseException:  # what was to be written could not be made
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Sorted, indented JSON, written by rename. NaN is stored as null."""
    text = json.dumps(_without_nan(values), indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path, kinds: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The inverse of `write_json`; ValueError names a damaged file. kinds: what it has to hold (`check_fields`)."""
    try:
        values = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=each_once)
        check_fields("", values, kinds or {})
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return values


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
