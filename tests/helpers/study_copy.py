"""A copy of the repository whose notebooks only leave a line in a journal: for tests of the graph."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dsrl_lib.paths import root

STAND_IN = """
import os
import sys
import time
from pathlib import Path
from dsrl_lib import runs
from study.presets import preset

def main(command, *words):
    values = dict(zip(words[3::3], words[4::3]))
    if command in ("collect", "claims"):
        step, output = command, Path("results/smoke", {"collect": "results.csv", "claims": "claims.csv"}[command])
    elif "BROKEN" in Path(words[0]).read_text():
        sys.exit(f"{words[0]}, In [3]: ValueError: broken on purpose")
    elif "arm" in values:
        config = preset(values["profile"], values["arm"], values["host"], int(values["seed"]))
        step, output = f"{values['arm']} s{values['seed']}", runs.folder(config) / "metrics.json"
        if "TOGETHER" in Path(words[0]).read_text():
            wait_for_another()
            step += " on GPU {CUDA_VISIBLE_DEVICES}, {OMP_NUM_THREADS} threads".format_map(os.environ)
        if output.exists():
            step = f"show {step}"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(step)
        if "LATER" in Path(words[0]).read_text():
            print(step, file=open("journal", "a"))
            sys.exit(f"{words[0]}, In [5]: ValueError: broken after the training")
        output = Path(words[1])
    else:
        step, output = Path(words[0]).stem, Path(words[1])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(step)
    with open("journal", "a") as journal:
        print(step, file=journal)

def wait_for_another():
    Path("at_work_on_" + os.environ["CUDA_VISIBLE_DEVICES"]).touch(exist_ok=False)
    end = time.monotonic() + 60
    while len(list(Path().glob("at_work_on_*"))) < 2:
        assert time.monotonic() < end, "no other run is at work on another GPU"
        time.sleep(0.05)

main(*sys.argv[1:])
"""
NOTEBOOKS = (
    "01_data_prep",
    "11_stage1_sssr",
    "12_stage2_sisr",
    "13_stage3_fa",
    "41_main_results",
    "90_audit",
)


class Copy:
    """A copy of the repository that runs the study and remembers what was done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in ("dsrl_lib", "study", "streets"):
            shutil.copytree(root() / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        server = folder / "study" / "execution" / "warm.py"  # it loads nothing, since no step needs it
        server.write_text(re.sub(r"^PRELOADED = \(.*?^\)", "PRELOADED = ()", server.read_text(), flags=re.M | re.S))
        shutil.copytree(root() / "profiles", folder / "profiles")
        for name in ("Snakefile", "claims.toml"):
            shutil.copy(root() / name, folder)
        (folder / "study" / "__main__.py").write_text(STAND_IN)
        (folder / "notebooks").mkdir()
        for name in NOTEBOOKS:
            (folder / "notebooks" / f"{name}.ipynb").write_text("")

    def notebook(self, name: str) -> Path:
        return self.folder / "notebooks" / f"{name}.ipynb"

    def run(self, *options: str) -> tuple[int, str, list[str]]:
        """Exit status, text and the steps done."""
        journal = self.folder / "journal"
        journal.write_text("")
        without = {name: value for name, value in os.environ.items() if not name.startswith(("DSRL_", "CUDA_"))}
        done = subprocess.run(
            [sys.executable, "-m", "study.execution.run_all", *options],
            cwd=self.folder,
            env=without | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr, journal.read_text().splitlines()
