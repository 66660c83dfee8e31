"""Configuration and presets: hashes name runs, overrides are strict, arms differ only where they say."""

import json
from typing import Annotated

import pytest

from dsrl_lib.allowed import above, at_least, between, check, did_you_mean, parse
from dsrl_lib.config import Config, Data, Downsampling, Loss, Model, Optim
from dsrl_lib.overrides import override
from dsrl_lib.paths import root
from dsrl_lib.records import read_json
from study.arms import ARMS, Arm
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
        return config.host_epochs + (total(parent) if parent else 0)

    stages = {"locations": 0, "sssr": 1, "sssr_sisr": 2, "sssr_sisr_frozen": 2, "sssr_sisr_noise": 2}
    stages |= dict.fromkeys(("sssr_sisr_res", "sssr_sisr_detail", "sssr_sisr_share"), 2)
    stages |= dict.fromkeys(("sssr_sisr_frozen_share", "sssr_sisr_noise_share"), 2)
    epochs = PROFILES["smoke"].base.optim.epochs
    for arm in ARMS:
        assert total(preset("smoke", arm)) == stages.get(arm, 3) * epochs, arm


def test_labels_are_relaxed_for_four_sevenths_of_the_schedule():
    settings = [preset(name, "relaxed_off", overrides=more).loss.relax_epochs for name, more in (
        ("camvid", ()), ("idd", ()), ("camvid", ["optim.epochs=10"]), ("camvid", ["loss.relax_epochs=4"])
    )]  # fmt: skip
    assert settings == [9, 5, 17, 4] and preset("camvid", "relaxed").loss.relax_epochs == 0


def test_a_new_setting_with_its_default_does_not_rename_runs():
    old = preset("camvid", "dsrl").to_dict()
    del old["data"]["colour"]  # a file older than this setting
    assert Config.from_dict(old).run_id == preset("camvid", "dsrl").run_id


def test_a_whole_number_is_the_same_setting_with_and_without_a_point():
    configs = [Config.from_dict({"loss": {"w1": w1}, "data": {"scale_max": top}}) for w1, top in ((2, 3), (2.0, 3.0))]
    assert configs[0] == configs[1] and configs[0].run_id == configs[1].run_id


def test_zero_has_no_sign():
    configs = [Config.from_dict({"loss": {"w1": w1}}) for w1 in (0, 0.0, -0.0)]
    assert len({config.run_id for config in configs}) == 1
    assert override(configs[0], "loss.w1", "-0").run_id == configs[0].run_id


def test_overrides_change_the_hash_and_reach_the_parents_that_use_them():
    plain, tuned = preset("smoke", "dsrl"), preset("smoke", "dsrl", overrides=["loss.w2=0.5"])
    assert tuned.loss.w2 == 0.5 and tuned.run_id != plain.run_id
    assert tuned.warm_start == plain.warm_start  # stage 2 does not use w2
    assert preset("smoke", "dsrl", overrides=["optim.lr=0.5"]).warm_start != plain.warm_start
    assert parent_of(preset("smoke", "dsrl", overrides=["optim.epochs=7"])).optim.epochs == 7


def test_settings_that_do_not_fit_an_earlier_stage_are_refused_before_the_first_is_trained():
    """`dsrl_res` has no warm-up of its own, its stage 2 has one epoch."""
    message = "arm 'dsrl_res' starts from 'sssr_sisr_res', where optim.sisr_warmup = 1; allowed: below optim.epochs = 1"
    with pytest.raises(ValueError, match=message):
        preset("camvid_gpu", "dsrl_res", overrides=["optim.epochs=1"])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("optim.learning_rate=1", "unknown setting 'optim.learning_rate'; valid settings: .*optim.lr"),
        ("optim.lr=fast", "optim.lr = 'fast'; allowed: a number above 0"),
        (f"optim.epochs={10**400}", "optim.epochs = 10+; allowed: a whole number, 1 or more"),
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
    with pytest.raises(ValueError, match=r"scale for espnetv2_s2\.0/camvid.* --match espnetv2_s2\.0` measures"):
        preset("camvid", "latency_matched", "espnetv2_s2.0")


def test_an_arm_says_what_it_matches_and_when_relaxing_ends_not_its_name(monkeypatch):
    made = Arm("?", {"loss.segmentation": "relaxed"}, updates=3, matches="head MACs", relaxed_share=0.2)
    monkeypatch.setitem(ARMS, "made_up", made)
    config = preset("camvid", "made_up")
    assert config.model.input_scale == preset("camvid", "mac_matched").model.input_scale != Model().input_scale
    assert config.loss.relax_epochs == 3  # of 15


@pytest.mark.parametrize("text", ["5 3", "5 5", "5,6", "5  6", " 5", "-1", "05", "pole", "9" * 5000])
def test_classes_are_listed_by_their_numbers_in_order(text):
    assert override(Config(), "loss.relax_strict", 5).loss.relax_strict == "5"
    assert override(Config(), "loss.relax_strict", "5 6 17").loss.relax_strict == "5 6 17"
    with pytest.raises(ValueError, match=f"loss.relax_strict = {text!r}; allowed: numbers of classes, ascending"):
        override(Config(), "loss.relax_strict", text)


def test_override_reads_text_as_the_type_of_the_setting():
    config = override(Config(), "optim.epochs", "12")
    assert config.optim.epochs == 12 and isinstance(config.optim.epochs, int)
    assert override(Config(), "loss.fa_q", "2").loss.fa_q == 2
    assert override(Config(), "loss.fa_normalise", "off").loss.fa_normalise is False


RUNS = sorted((root() / "results" / "camvid" / "runs").glob("*/config.json"))


@pytest.mark.skipif(not RUNS, reason="no published runs in this copy of the repository")
def test_configurations_of_all_published_runs_load_and_keep_their_names():
    assert len(RUNS) == 241
    for path in RUNS:
        config = Config.from_dict(json.loads(path.read_text()))
        assert config.run_id == path.parent.name and Config.from_dict(config.to_dict()) == config


WHOLE, NUMBER = "a whole number, ", "a number "
OUT_OF_RANGE = {
    "data.height": ((0, -5), WHOLE + "1 or more"),
    "data.width": ((0, -5), WHOLE + "1 or more"),
    "data.crop_height": ((0, -5), WHOLE + "1 or more"),
    "data.crop_width": ((0, -5), WHOLE + "1 or more"),
    "data.scale_min": ((0, -1, "nan", "inf"), NUMBER + "above 0"),
    "data.scale_max": ((0, -1, "nan", "inf"), NUMBER + "above 0"),
    "data.flip": ((-0.1, 1.1, "nan"), NUMBER + "from 0 to 1"),
    "data.colour": ((-1, 11, "nan", "inf"), NUMBER + "from 0 to 10"),
    "data.hue": ((-0.1, 0.6, "nan"), NUMBER + "from 0 to 0.5"),
    "data.grey": ((-0.1, 1.1, "nan"), NUMBER + "from 0 to 1"),
    "data.blur": ((-0.1, 1.1, "nan"), NUMBER + "from 0 to 1"),
    "data.blur_sigma": ((0.1, "nan", "inf"), NUMBER + "0.15 or more"),
    "data.rotation": ((-1, 181, "nan"), NUMBER + "from 0 to 180"),
    "model.input_scale": ((0, -0.5, "inf"), NUMBER + "above 0"),
    "downsampling.rows": ((1, 0, 513), WHOLE + "from 2 to 512"),
    "downsampling.columns": ((1, 0, 513), WHOLE + "from 2 to 512"),
    "downsampling.lam": ((0, -1, "nan", "inf"), NUMBER + "above 0"),
    "loss.w1": ((-1, "nan", "inf"), NUMBER + "0 or more"),
    "loss.w2": ((-1, "nan", "inf"), NUMBER + "0 or more"),
    "loss.share_sisr": ((-0.1, 1e38, "nan", "inf"), NUMBER + "from 0 to 1000"),
    "loss.share_fa": ((-0.1, 1e38, "nan", "inf"), NUMBER + "from 0 to 1000"),
    "data.class_uniform": ((-0.1, 1.1, "nan"), NUMBER + "from 0 to 1"),
    "data.class_tile": ((0, -5, 2.5), WHOLE + "1 or more"),
    "data.boost_epochs": ((-1, 0.5), WHOLE + "0 or more"),
    "loss.relax_border": ((-1, 0.5), WHOLE + "0 or more"),
    "loss.relax_upper_bound": ((-1, "nan", "inf"), NUMBER + "0 or more"),
    "loss.class_bound": ((-1, "nan", "inf"), NUMBER + "0 or more"),
    "loss.relax_epochs": ((-1, 0.5), WHOLE + "0 or more"),
    "loss.fa_stride": ((0, -8, 2.5), WHOLE + "1 or more"),
    "optim.lr": ((0, -0.1, "nan", "inf", "fast"), NUMBER + "above 0"),
    "optim.lr_end": ((-1, "nan", "inf"), NUMBER + "0 or more"),
    "optim.weight_decay": ((-1, "nan"), NUMBER + "0 or more"),
    "optim.momentum": ((-0.1, 1, "nan"), NUMBER + "from 0 to below 1"),
    "optim.restart_power": ((-1, "inf"), NUMBER + "0 or more"),
    "optim.restart_factor": ((0, -1, "inf"), NUMBER + "above 0"),
    "optim.power": ((-1, "inf"), NUMBER + "0 or more"),
    "optim.batch_size": ((0, -4, 1.5, True, "8.0"), WHOLE + "1 or more"),
    "optim.epochs": ((0, -1, "ten"), WHOLE + "1 or more"),
    "optim.schedule_epochs": ((-1,), WHOLE + "0 or more"),
    "optim.stage_epochs": ((-1,), WHOLE + "0 or more"),
    "optim.sisr_warmup": ((-1, 0.5), WHOLE + "0 or more"),
    "optim.validate_every": ((0, -1), WHOLE + "1 or more"),
    "optim.patience": ((-1, 0.5), WHOLE + "0 or more"),
}


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_a_value_out_of_its_range_is_refused_however_it_is_given(key):
    values, allowed = OUT_OF_RANGE[key]
    section, name = key.split(".")
    kind = {"data": Data, "model": Model, "downsampling": Downsampling, "loss": Loss, "optim": Optim}[section]
    for value in values:
        with pytest.raises(ValueError) as error:
            override(Config(), key, value)
        assert str(error.value).startswith(f"{key} = ") and str(error.value).endswith(f"; allowed: {allowed}")
        for make in (lambda v: kind(**{name: v}), lambda v: Config.from_dict({section: {name: v}})):
            with pytest.raises(ValueError) as error:
                make(value)
            assert str(error.value) == f"{key} = {value!r}; allowed: {allowed}"


def test_every_setting_that_is_a_number_has_a_range():
    numbers = {
        f"{section}.{name}" for section, values in Config().to_dict().items() if isinstance(values, dict)
        for name, value in values.items() if type(value) in (int, float)
    }  # fmt: skip
    assert numbers - {"loss.fa_q"} == set(OUT_OF_RANGE)  # fa_q is one of two numbers


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1], r"the configuration = \[1\]; allowed: settings by their names"),
        ({"optim": None}, "optim = None; allowed: settings by their names"),
        ({"optim": {"lr": [0.1]}}, r"optim.lr = \[0.1\]; allowed: a number above 0"),
        ({"optim": {"lr": "0.1"}}, "optim.lr = '0.1'; allowed: a number above 0"),
        ({"optim": {"epochs": None}}, "optim.epochs = None; allowed: a whole number, 1 or more"),
        ({"optim": {"precision": 16}}, "optim.precision = 16; allowed: fp32, bf16, fp16"),
        ({"model": {"fa": "yes"}}, "model.fa = 'yes'; allowed: true, false"),
        ({"model": {"host": ["ddrnet39"]}}, r"model.host = \['ddrnet39'\]; allowed: espnetv2_s0.5, "),
        ({"model": {"host": "ddrnet93"}}, r"model.host = 'ddrnet93'; .*\(did you mean ddrnet\d+\?\)"),
        ({"loss": {"fa_q": True}}, "loss.fa_q = True; allowed: 1, 2"),
        ({"seed": -1}, "seed = -1; allowed: a whole number, from 0 to 4294967295"),
        ({"seed": "0"}, "seed = '0'; allowed: a whole number"),
        ({"arm": None}, "arm = None; allowed: the name of a folder, without /"),
        ({"arm": ""}, "arm = ''; allowed: the name of a folder, without /"),
        ({"optim": {"epochs": 2**63}}, r"optim.epochs = 9223372036854775808; allowed: .* 1 or more, below 2\^63"),
        ({"model": {"input_scale": 1e308}}, r"model.input_scale = 1e\+308; allowed: a number above 0, below 3.4e38"),
        ({"data": {"blur_sigma": 1e308}}, r"data.blur_sigma = 1e\+308; allowed: a number 0.15 or more, below 3.4e38"),
        ({"profile": "a\nb"}, r"profile = 'a\\nb'; allowed: the name of a folder, without / and"),
        ({"profile": "\ud800"}, r"profile = '\\ud800'; allowed: the name of a folder, without / and"),
        ({"profile": "../x"}, "profile = '../x'; allowed: the name of a folder, without /"),
        ({"data": {"dataset": ".."}}, r"data.dataset = '..'; allowed: the name of a folder, without /"),
        ({"warm_start": "../x"}, "warm_start = '../x'; allowed: the name of a folder, without / and control "),
        ({"optm": {}}, r"unknown settings: optm \(did you mean optim\?\)"),
        ({"data": {"hieght": 1}}, r"unknown settings: data\.hieght \(did you mean height\?\)"),
    ],
)
def test_a_wrong_value_in_a_file_is_explained(values, message):
    with pytest.raises(ValueError, match=message):
        Config.from_dict(values)


DSRL_MODEL = {"sssr": True, "sisr": True, "fa": True}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data": {"scale_min": 2.0}}, r"data.scale_min = 2.0; allowed: at most data.scale_max = 1.6"),
        ({"model": {"host": "ddrnet39", "pretrained": "cityscapes_512x256"}},
         "model.pretrained = 'cityscapes_512x256'; allowed: none with model.host = ddrnet39"),
        ({"optim": {"nesterov": True}}, "optim.nesterov = True; allowed: false, or optim.optimizer = sgd"),
        ({"optim": {"optimizer": "sgd", "amsgrad": True}}, "optim.amsgrad = True; allowed: false with optim.optimizer"),
        ({"optim": {"schedule": "poly_restart"}}, "optim.schedule = 'poly_restart'; allowed: poly, cosine, step with"),
        ({"optim": {"lr_end": 0.1}}, "optim.lr_end = 0.1; allowed: at most optim.lr = 0.001"),
        ({"optim": {"patience": 3}, "warm_start": "a"}, "optim.patience = 3; allowed: 0 in a run that starts from"),
        ({"model": {"fa": True}}, "model.fa = True; allowed: false, or model.sssr and model.sisr"),
        ({"model": {"sisr": True, "input_scale": 1.0}}, "model.sisr = True; allowed: false, or model.sssr true"),
        ({"model": DSRL_MODEL, "data": {"crop_width": 127}}, "data.crop_width = 127; .* it makes 128 of 127"),
        ({"model": DSRL_MODEL | {"input_scale": 1.0}}, "data.crop_height = 128; .* it makes 256 of 128"),
        ({"model": DSRL_MODEL, "loss": {"fa_form": "sanje2v"}},
         "loss.fa_form = 'sanje2v'; allowed: paper, or model.fa true, model.fa_placement = output and model.ftm = to3"),
        ({"model": DSRL_MODEL | {"fa_placement": "output", "ftm": "to3"}, "loss": {"fa_form": "dootmaan", "fa_q": 2}},
         "loss.fa_q = 2; allowed: 1 with loss.fa_form = dootmaan"),
        ({"loss": {"fa_form": "dootmaan"}}, "loss.fa_form = 'dootmaan'; allowed: paper, or model.fa true"),
        ({"model": {"input_scale": 0.001}}, "data.height = 128; allowed: sizes of which model.input_scale = 0.001"),
        ({"data": {"crop_height": 2, "crop_width": 2}},
         "data.crop_height = 2; allowed: sizes of which model.input_scale = 0.5 leaves more than one pixel"),
        ({"data": {"height": 1, "width": 1}, "model": {"input_scale": 1.0}}, "data.height = 1; .* more than one pixel"),
        ({"model": DSRL_MODEL, "loss": {"fa_stride": 200}},
         "loss.fa_stride = 200; allowed: strides that fit twice in a crop of 128 x 256"),
        ({"model": {"sssr": True, "sssr_head": "subpixel", "sssr_norm": "none"}},
         "model.sssr_norm = 'none'; allowed: start with model.sssr_head = subpixel"),
        ({"model": {"sssr": True, "sisr": True, "sisr_residual": True, "sisr_frozen": True}},
         "model.sisr_residual = True; allowed: false with model.sisr_frozen"),
        ({"model": DSRL_MODEL | {"sisr_residual": True}, "loss": {"sisr_target": "noise"}},
         "model.sisr_residual = True; allowed: false .* loss.sisr_target = noise"),
        ({"model": DSRL_MODEL, "optim": {"sisr_warmup": 1}}, "optim.sisr_warmup = 1; allowed: 0, or stage 2"),
        ({"model": {"sssr": True, "sisr": True}, "optim": {"sisr_warmup": 30}},
         "optim.sisr_warmup = 30; allowed: below optim.epochs = 30"),
        ({"loss": {"share_sisr": 0.1}}, "loss.share_sisr = 0.1; allowed: 0, or model.sisr true as well"),
        ({"model": {"sssr": True, "sisr": True}, "loss": {"share_fa": 1}}, "loss.share_fa = 1.0; .* model.fa true"),
        ({"loss": {"class_weights": "frequency", "segmentation": "ohem"}}, "loss.class_weights = 'frequency'; .* none"),
        ({"loss": {"class_weights": "frequency", "segmentation": "relaxed"}}, "loss.class_weights = .* none with"),
        ({"loss": {"class_weights": "image", "segmentation": "focal"}}, "loss.class_weights = 'image'; .* none with"),
        ({"loss": {"class_weights": "frequency", "class_bound": 6}},
         "loss.class_bound = 6.0; allowed: 1.0 with loss.class_weights = frequency"),
        ({"data": {"class_tile": 64}}, "data.class_tile = 64; allowed: 1024 with data.class_uniform = 0"),
        ({"data": {"dataset": "camvid", "class_uniform": 0.5}},
         "data.class_tile = 1024; allowed: at most 360, the shorter side of the frames of camvid"),
        ({"data": {"class_uniform": 0.5, "class_tile": 64, "boost_dataset": "camvid"}},
         "data.boost_dataset = 'camvid'; allowed: '', or data.boost_classes as well"),
        ({"data": {"class_uniform": 0.5, "class_tile": 64, "rotation": 5}},
         "data.rotation = 5.0; allowed: 0 with data.class_uniform"),
        ({"data": {"class_uniform": 0.5, "class_tile": 64, "boost_classes": "3 4"}},
         "data.boost_classes = '3 4'; allowed: '', or data.boost_dataset as well"),
        ({"data": {"class_uniform": 0.5, "class_tile": 64, "boost_epochs": 2}},
         "data.boost_epochs = 2; allowed: 0 with data.boost_dataset = ''"),
        ({"loss": {"relax_border": 2}}, "loss.relax_border = 2; allowed: 1 with loss.segmentation = ce"),
        ({"loss": {"segmentation": "relaxed", "relax_border": 128}},
         "loss.relax_border = 128; allowed: below 128, the shorter side of a crop"),
        ({"loss": {"segmentation": "boundary", "relax_upper_bound": 1, "relax_strict": "3"}},
         "loss.relax_strict = '3'; allowed: '' with loss.segmentation = boundary"),
        ({"loss": {"segmentation": "relaxed", "relax_epochs": 30}},
         r"loss.relax_epochs = 30; allowed: 0 \(all epochs\), or below the 30 epochs of the schedule"),
        ({"loss": {"segmentation": "relaxed", "relax_control": "void", "relax_upper_bound": 1}},
         "loss.relax_upper_bound = 1.0; allowed: 0 with loss.relax_control = void"),
        ({"loss": {"segmentation": "relaxed", "relax_weights_over": "batch"}},
         "loss.relax_weights_over = 'batch'; allowed: image with loss.relax_upper_bound = 0"),
        ({"loss": {"relax_weights_over": "batch"}},
         "loss.relax_weights_over = 'batch'; allowed: 'image' with loss.segmentation = ce"),
        ({"optim": {"restart_factor": 2.0}}, "optim.restart_factor = 2.0; allowed: 1 with optim.schedule = poly"),
        ({"loss": {"segmentation": "relaxed", "relax_control": "moved", "train_labels": "lr"}},
         "loss.relax_control = 'moved'; allowed: none, void with loss.train_labels = lr"),
        ({"downsampling": {"classes": "3"}}, "downsampling.classes = '3'; .* '' with downsampling.locations = none"),
        ({"downsampling": {"locations": "uniform", "classes": "3"}}, "downsampling.classes = '3'; allowed: '' with"),
        ({"downsampling": {"locations": "jitter", "rows": 2, "columns": 2}},
         "downsampling.rows = 2; allowed: 3 or more, or downsampling.columns 3 or more"),
        ({"model": {"host": "ddrnet39"}, "optim": {"batch_size": 1}}, "optim.batch_size = 1; allowed: 2 or more with"),
        ({"data": {"crop_height": 32, "crop_width": 32}, "optim": {"batch_size": 1}},
         r"optim.batch_size = 1; allowed: 2 or more where the encoder leaves one pixel of a crop \(stride 16\)"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_each_other_are_refused_as_a_whole(values, message):
    with pytest.raises(ValueError, match=message):
        Config.from_dict(values)


def test_a_later_stage_is_checked_before_the_first_is_trained():
    with pytest.raises(ValueError, match=r"loss.fa_stride = 100; allowed: strides that fit twice in a crop"):
        preset("smoke", "dsrl", overrides=["loss.fa_stride=100"])
    with pytest.raises(ValueError, match=r"data\.crop_width = 127"):
        preset("smoke", "dsrl", overrides=["data.crop_width=127"])
    assert preset("smoke", "bilinear", overrides=["data.crop_width=127"]).data.crop_width == 127
    both = ["data.scale_min=2", "data.scale_max=3"]  # each alone would not fit the other's default
    assert preset("smoke", "lr", overrides=both).data.scale_min == 2


def test_the_nearest_name_is_offered():
    for given, valid, said in (
        ("DSRL", ARMS, " (did you mean dsrl?)"),
        ("bilinaer", ARMS, " (did you mean bilinear?)"),
        ("nothing like it", ARMS, ""),
        (3, ARMS, ""),
    ):
        assert did_you_mean(given, valid) == said
    with pytest.raises(ValueError, match=r"unknown setting 'epochs'; .*\(did you mean optim\.epochs\?\)"):
        override(Config(), "epochs", 3)
    with pytest.raises(ValueError, match=r"unknown setting 'lr'; .*\(did you mean optim\.lr\?\)"):
        override(Config(), "lr", 3)
    with pytest.raises(ValueError, match=r"data\.dataset = 'camvd'; .*\(did you mean camvid\?\)"):
        override(Config(), "data.dataset", "camvd")
    with pytest.raises(ValueError, match=r"unknown profile 'camvd'; valid: .*\(did you mean camvid\?\)"):
        preset("camvd", "lr")


def test_ranges_serve_options_too():
    workers = Annotated[int, at_least(0)]
    check("workers", 0, workers)
    for value in (-1, True, 1.0, None):
        with pytest.raises(ValueError, match=f"workers = {value}; allowed: a whole number, 0 or more"):
            check("workers", value, workers)
    assert parse("seconds", "2", Annotated[float, above(0)]) == 2.0
    assert parse("overlap", "0.5", Annotated[float, between(0, 1)]) == 0.5
    with pytest.raises(ValueError, match="seconds = nan; allowed: a number above 0"):
        parse("seconds", "nan", Annotated[float, above(0)])


def test_a_setting_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"optim": {"epochs": 3}, "seed": 1, "optim": {"lr": 0.1}}')
    with pytest.raises(ValueError, match=r"config\.json is damaged: optim stands twice"):
        read_json(path)
