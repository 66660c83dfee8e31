"""The study on a real Slurm of one node: the same steps in the same order, failures named, jobs that die go on."""

from pathlib import Path

import pytest
import slurm_node
from study_copy import Copy

OPTIONS = ("smoke", "--arms", "sssr_sisr", "--seeds", "0", "--slurm")


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory):
    if reason := slurm_node.missing():
        pytest.skip(f"no Slurm for tests here: it {reason}")
    with slurm_node.running(tmp_path_factory.mktemp("slurm")):
        yield


def quick(copy: Copy) -> None:
    """For jobs of seconds: one more try."""
    profile = copy.folder / "profiles" / "slurm" / "config.yaml"
    slurm_node.impatient(profile)
    assert "retries: 5 " in profile.read_text()
    profile.write_text(profile.read_text().replace("retries: 5 ", "retries: 1 "))


def test_a_study_runs_on_slurm_as_it_does_here(tmp_path: Path):
    copy = Copy(tmp_path)
    quick(copy)
    copy.notebook("12_stage2_sisr").write_text("BROKEN")
    gpus = ("--gpus-per-run", "1", "--device", "cpu")
    status, text, _ = copy.run(*OPTIONS, *gpus, "--dry-run")
    assert status == 0 and text.count("1 GPU (standin)") == 2, text
    status, text, steps = copy.run(*OPTIONS, *gpus, "--gpu-type", "standin", "--time", "0.5")
    assert (status, steps) == (1, ["01_data_prep", "sssr s0"]), text
    assert "FAILED 12_stage2_sisr sssr_sisr" in text and "ValueError: broken on purpose" in text
    copy.notebook("12_stage2_sisr").write_text("mended")
    status, text, steps = copy.run(*OPTIONS, "--gpus-per-run", "0", "--partition", "debug")
    assert (status, steps) == (0, ["sssr_sisr s0", "collect", "claims", "41_main_results", "90_audit"]), text
