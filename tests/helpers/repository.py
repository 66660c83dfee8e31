"""The files that git keeps."""

import subprocess
from fnmatch import fnmatch
from pathlib import Path

from isolation import CACHES

from dsrl_lib.paths import root


def committed(*patterns: str) -> list[Path]:
    """Files that are or would be in git, whatever its settings for this user; in a copy without git, all but CACHES."""
    if (root() / ".git").exists():
        command = ["git", "-c", "core.excludesFile=", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output([*command, "--", *patterns], cwd=root(), text=True).split("\0")
    else:
        paths = [path.relative_to(root()) for path in root().rglob("*")]
        kept = [path for path in paths if not {*path.parts} & {Path(cache).name for cache in CACHES}]
        names = [str(path) for path in kept if any(fnmatch(str(path), pattern) for pattern in patterns or "*")]
    return [root() / name for name in sorted(set(names)) if (root() / name).is_file()]
