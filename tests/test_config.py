"""Configuration and presets: hashes name runs, overrides are strict, arms differ only where they say."""

import pytest

from dsrl_lib.config import Config, override
from study.arms import ARMS
from study.presets import parent_of, preset
from study.profiles import PROFILES


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_survives_a_round_trip_and_names_its_parent(arm):
    config = preset("smoke", arm, seed=3)
    assert Config.from_dict(config.to_dict()) == config
    parent = parent_of(config)
    assert config.warm_start == (parent.run_id if parent else None)
    if parent:
        assert parent == preset("smoke", ARMS[arm].after, seed=3)


def test_run_ids_differ_between_all_runs_of_a_profile():
    for name, profile in PROFILES.items():
        ids = [preset(name, arm, seed=seed).run_id for arm, seeds in profile.arm_seeds.items() for seed in seeds]
        assert len(set(ids)) == len(ids)


def test_arms_that_claims_compare_end_at_the_same_number_of_epochs():
    def total(config):
        parent = parent_of(config)
        return config.optim.epochs + (total(parent) if parent else 0)

    stages = {"sssr": 1, "sssr_sisr": 2, "sssr_sisr_frozen": 2, "sssr_sisr_noise": 2}
    epochs = PROFILES["smoke"].base.optim.epochs
    for arm in ARMS:
        assert total(preset("smoke", arm)) == stages.get(arm, 3) * epochs, arm


def test_a_new_setting_with_its_default_does_not_rename_runs():
    old = preset("camvid", "dsrl").to_dict()
    del old["data"]["colour"]  # a file older than this setting
    assert Config.from_dict(old).run_id == preset("camvid", "dsrl").run_id


def test_overrides_change_the_hash_and_reach_the_parents_that_use_them():
    plain, tuned = preset("smoke", "dsrl"), preset("smoke", "dsrl", overrides=["loss.w2=0.5"])
    assert tuned.loss.w2 == 0.5 and tuned.run_id != plain.run_id
    assert tuned.warm_start == plain.warm_start  # stage 2 does not use w2
    assert preset("smoke", "dsrl", overrides=["optim.lr=0.5"]).warm_start != plain.warm_start
    assert parent_of(preset("smoke", "dsrl", overrides=["optim.epochs=7"])).optim.epochs == 7


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("optim.learning_rate=1", "unknown setting 'optim.learning_rate'; valid settings: .*optim.lr"),
        ("optim.lr=fast", "optim.lr = 'fast'; allowed: a number above 0"),
        ("optim.precision=fp8", "optim.precision = 'fp8'; allowed: fp32, bf16, fp16"),
        ("model.sisr_frozen=maybe", "model.sisr_frozen = 'maybe'; allowed: true, false"),
        ("optim.lr", "expected section.key=value"),
        ("model.fa=false", "model.fa is what arm 'dsrl' sets to True"),
    ],
)
def test_a_wrong_override_is_explained(item, message):
    with pytest.raises(ValueError, match=message):
        preset("smoke", "dsrl", overrides=[item])


def test_wrong_names_are_explained():
    with pytest.raises(ValueError, match="unknown arm 'dsr'; valid: lr, bilinear"):
        preset("smoke", "dsr")
    with pytest.raises(ValueError, match="unknown profile 'kitty'; valid: smoke, camvid"):
        preset("kitty", "lr")
    with pytest.raises(ValueError, match=r"arm 'sssr' does not use loss\.w2"):
        preset("smoke", "sssr", overrides=["loss.w2=2"])
    with pytest.raises(ValueError, match=r"unknown settings: data\.hieght"):
        Config.from_dict({"data": {"hieght": 1}})
    with pytest.raises(ValueError, match="no input scale for ddrnet39/streets"):
        preset("smoke", "mac_matched", "ddrnet39")


def test_override_reads_text_as_the_type_of_the_setting():
    config = override(Config(), "optim.epochs", "12")
    assert config.optim.epochs == 12 and isinstance(config.optim.epochs, int)
    assert override(Config(), "loss.fa_q", "2").loss.fa_q == 2
    assert override(Config(), "loss.fa_normalise", "off").loss.fa_normalise is False
