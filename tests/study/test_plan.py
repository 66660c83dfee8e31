"""The plan: every run once, parents first, and nothing that a light command could not afford."""

import subprocess
import sys

import pytest

from dsrl_lib.paths import root
from dsrl_lib.records import read_json
from dsrl_lib.runs import read_config
from study import plan
from study.profiles import PROFILES


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_arm_and_seed_of_the_profile_is_there_once_after_its_parent(profile):
    runs = plan.planned_runs(profile)
    names = [run.run_id for run in runs]
    assert len(set(names)) == len(names)
    for index, run in enumerate(runs):
        assert run.parent is None or run.parent in names[:index]
        assert run.seconds > 0 and run.memory_gib > 0
    study = PROFILES[profile]
    wanted = {(host, arm, s) for host in study.hosts for arm, seeds in study.arm_seeds.items() for s in seeds}
    assert wanted <= {(run.config.model.host, run.config.arm, run.config.seed) for run in runs}


def test_narrowing_keeps_what_a_run_starts_from():
    runs = plan.planned_runs("smoke", arms=["dsrl"], seeds=[1])
    assert [(run.config.arm, run.config.seed) for run in runs] == [("sssr", 1), ("sssr_sisr", 1), ("dsrl", 1)]
    assert [run.parent for run in runs] == [None, runs[0].run_id, runs[1].run_id]
    assert [run.notebook for run in runs] == ["11_stage1_sssr", "12_stage2_sisr", "13_stage3_fa"]


def test_the_runs_of_a_variant_follow_with_their_overrides():
    study = PROFILES["camvid"].variants["small_input"]
    runs = [run for run in plan.planned_runs("camvid", arms=["dsrl"], seeds=[0]) if run.overrides == study.overrides]
    assert [run.config.arm for run in runs] == ["sssr", "sssr_sisr", "dsrl"]
    assert all(run.config.data.height == 180 for run in runs)
    assert plan.command(runs[-1]).endswith(" ".join(f"--set {item}" for item in study.overrides))
    hosts = {run.config.model.host for run in plan.planned_runs("camvid", arms=["lr"], seeds=[0])}
    assert hosts == {"espnetv2_s1.0", "ddrnet23_slim"}
    assert not any(run.overrides for run in plan.planned_runs("camvid", hosts=["espnetv2_s1.0"]))


def test_unknown_names_are_errors_that_name_the_valid_ones():
    with pytest.raises(ValueError, match="unknown profile 'camvit'; valid: smoke, camvid, idd, cityscapes"):
        plan.planned_runs("camvit")
    with pytest.raises(ValueError, match=r"profile 'smoke' has no host 'vgg'; valid: espnetv2_s0\.5, .*ddrnet39"):
        plan.planned_runs("smoke", hosts=["vgg"])


def test_estimates_grow_with_the_work_and_shrink_with_the_device():
    short, long = (plan.planned_runs("camvid", arms=[arm], seeds=[0])[-1] for arm in ("sssr", "sssr_long"))
    assert short.seconds < long.seconds
    on_gpu = plan.planned_runs("camvid", arms=["sssr_long"], seeds=[0], device="cuda")[0]
    assert on_gpu.seconds < long.seconds
    at_hr = plan.planned_runs("camvid", arms=["hr"], seeds=[0])[0]
    assert at_hr.memory_gib > long.memory_gib


def test_the_estimated_memory_is_near_what_runs_took():
    """Every committed run on a CPU, as it recorded its peak."""
    ratios = {}
    for path in (root() / "results").glob("*/runs/*/env.json"):
        environment, config = read_json(path), read_config(path.parent)
        if environment["device"].startswith("CPU"):
            ratios[config.run_id] = plan._memory_gib(config) / (environment["peak_memory_mib"] / 1024)
    assert len(ratios) > 400 and any("-hr-" in run_id for run_id in ratios)
    assert not {run_id: ratio for run_id, ratio in ratios.items() if not 0.65 < ratio < 1.5}


def test_command_is_one_line_of_the_command_line_interface():
    run = plan.planned_runs("smoke", arms=["lr"], seeds=[1])[0]
    expected = "python -m study train --profile smoke --arm lr --host espnetv2_s0.5 --seed 1"
    assert plan.command(run) == expected


def test_planning_does_not_load_torch():
    code = "import sys; from study import plan; plan.planned_runs('smoke'); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
