"""Build the site: `./run_all.sh site`."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from dsrl_lib.paths import check_folder, results_dir, root
from study.site.links import problems

_PACKAGES = ("furo", "latex2mathml", "myst_nb", "sphinx")


def build(out: Path) -> Path:
    """Write the site into `out`, in place of an earlier one, and return its first page; works without a network.

    FileExistsError if `out` holds other files. ValueError if packages are missing, or results are read from elsewhere
    than the repository. RuntimeError if Sphinx warns of anything, or if a link or picture of the site leads nowhere.
    """
    check_folder(out, "out")
    out = out.resolve()  # of a link, what it leads to is replaced
    mark = out / ".nojekyll"  # folders that begin with an underscore are published too; it lists what a call wrote
    known = mark.read_text().splitlines() if mark.is_file() else []
    if out.is_dir() and (others := sorted({path.name for path in out.iterdir()} - {*known})):
        raise FileExistsError(f"out = {out} holds files that no earlier call wrote, such as {others[0]}; give a new "
                              "folder")  # fmt: skip
    if missing := missing_packages():
        raise ValueError(f"the site needs {', '.join(missing)}; to install: pip install -e '.[site]'")
    if results_dir() != root() / "results":
        raise ValueError(f"the site shows the results in git, but DSRL_RESULTS is {results_dir()}; unset it")

    from sphinx.cmd.build import build_main

    from study.site.sources import write_sources

    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        write_sources(Path(folder))
        made = Path(beside, out.name)
        doctrees = Path(folder, ".doctrees")
        arguments = ["-b", "html", "-W", "--keep-going", "-q", "-E", "-d", str(doctrees), folder, str(made)]
        if build_main(arguments) != 0:
            raise RuntimeError("Sphinx warned; the messages are above")
        if found := problems(made):
            raise RuntimeError("broken pages:\n" + "\n".join(found))
        (made / mark.name).write_text("\n".join(sorted({mark.name, *(path.name for path in made.iterdir())})))
        shutil.rmtree(out, ignore_errors=True)  # pages whose source is gone
        made.rename(out)
    return out / "index.html"


def missing_packages() -> list[str]:
    """Packages of the optional group `site` that this environment lacks."""
    return [name for name in _PACKAGES if find_spec(name) is None]
