"""Arms are small differences against the defaults of a profile: the table of everything that the study compares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from dsrl_lib.allowed import did_you_mean


@dataclass(frozen=True)
class Arm:
    """A named difference against the profile's defaults."""

    isolates: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    after: str | None = None
    """The arm whose run this one warm-starts from."""
    updates: int = 1
    """Training length in multiples of optim.epochs."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """What else differs, and may be changed by an override: settings that a search chooses."""
    matches: str = ""
    """What a larger input of the host alone costs as much as: one of `presets.MATCHED`."""
    relaxed_share: float = 0.0
    """Of the epochs, before label relaxation is switched off; 0: it stays on."""


_SSSR = {"model.sssr": True}
_SISR = _SSSR | {"model.sisr": True}
_FA = _SISR | {"model.fa": True}
_RANDOM = {"model.sssr_start": "random"}
_FROZEN = {"model.sisr_frozen": True}
_NOISE = {"loss.sisr_target": "noise"}

STAGES = 3

# All arms that a claim compares end at the same total of 3 x optim.epochs, with one schedule over all of them, so at
# the same learning rate at every step; `sssr` and `sssr_sisr` are the stages of `dsrl`, one and two thirds of it.
ARMS: dict[str, Arm] = {
    "lr": Arm("the paper's baseline", {"loss.train_labels": "lr"}, updates=3),
    "bilinear": Arm("HR labels, without any new layer", updates=3),
    "sssr": Arm("the learned head (stage 1)", _SSSR),
    "sssr_sisr": Arm("image reconstruction (stage 2)", _SISR, after="sssr"),
    "dsrl": Arm("feature affinity (stage 3)", _FA, after="sssr_sisr"),
    "sssr_long": Arm("stage 1 for the updates of all three stages", _SSSR, after="sssr", updates=2),
    "sssr_sisr_long": Arm("stage 2 for the updates of stages 2 and 3", _SISR, after="sssr_sisr"),
    "sssr_random": Arm("the start of the SSSR head", _SSSR | _RANDOM, updates=3),
    "dsrl_joint": Arm("all parts from the first update instead of stages", _FA, updates=3),
    "sssr_sisr_frozen": Arm("stage 2 of sisr_frozen", _SISR | _FROZEN, after="sssr"),
    "sisr_frozen": Arm("the widely copied bug: SISR head and FTM never trained", _FA | _FROZEN,
                       after="sssr_sisr_frozen"),
    "sssr_sisr_noise": Arm("stage 2 of sisr_noise", _SISR | _NOISE, after="sssr"),
    "sisr_noise": Arm("is it the image content?", _FA | _NOISE, after="sssr_sisr_noise"),
    "mac_matched": Arm("equal cost: a larger input instead of the SSSR head", updates=3, matches="head MACs"),
    "hr": Arm("upper bound: the host at HR input", {"model.input_scale": 1.0}, updates=3),
}  # fmt: skip

FA_PLACEMENTS = ("features", "output")
FTMS = ("keep", "to3", "none")
FA_NORMALISATIONS = ("norm", "raw")
_CELLS = {
    f"fa_{_placement}_{_ftm}_{_norm}": {
        "model.fa_placement": _placement, "model.ftm": _ftm, "loss.fa_normalise": _norm == "norm",
    }
    for _placement, _ftm, _norm in product(FA_PLACEMENTS, FTMS, FA_NORMALISATIONS)
    if (_placement, _ftm, _norm) != ("features", "keep", "norm")  # that cell is `dsrl` itself
}  # fmt: skip
FA_ARMS = tuple(_CELLS)
for _name, _cell in _CELLS.items():
    ARMS[_name] = Arm("FA factorial: placement x FTM x normalisation", _FA | _cell, after="sssr_sisr")

SHARE = 0.1
"""Target share of SISR and of FA: a tenth of CE's gradient each, which the scan on val left in place (notebook 20)."""

_SISR_SHARE = {"loss.share_sisr": SHARE}
_SHARES = _SISR_SHARE | {"loss.share_fa": SHARE}
# A residual that starts as zero has no gradient to calibrate, hence the warm-up.
_RES = {"model.sisr_residual": True, "model.sisr_taps": "input"}
# The head sees the host's maps alone, so detail that bicubic upsampling lacks has to come from the encoder.
_DETAIL = {"model.sisr_residual": True, "model.sisr_taps": "stride2"}
ARMS |= {
    "sssr_random_nobn": Arm("random kernels alone: no batch norm, slope 1",
                            _SSSR | _RANDOM | {"model.sssr_norm": "none"}, updates=3),
    "sssr_bilinear_bn": Arm("batch norm on the logits alone", _SSSR | {"model.sssr_norm": "batch"}, updates=3),
    "sssr_sisr_res": Arm("stage 2 of dsrl_res", _SISR | _RES | {"optim.sisr_warmup": 1}, after="sssr",
                         tuned=_SISR_SHARE),
    "sssr_sisr_res_long": Arm("stage 2 of dsrl_res for the updates of stages 2 and 3", _SISR | _RES,
                              after="sssr_sisr_res", tuned=_SISR_SHARE),
    "dsrl_res": Arm("a SISR branch that learns detail, and losses that act", _FA | _RES, after="sssr_sisr_res",
                    tuned=_SHARES),
    "sssr_sisr_detail": Arm("stage 2 of dsrl_detail", _SISR | _DETAIL | {"optim.sisr_warmup": 1}, after="sssr",
                            tuned=_SISR_SHARE),
    "sssr_sisr_detail_long": Arm("stage 2 of dsrl_detail for the updates of stages 2 and 3", _SISR | _DETAIL,
                                 after="sssr_sisr_detail", tuned=_SISR_SHARE),
    "dsrl_detail": Arm("the same, where the detail has to come from the encoder", _FA | _DETAIL,
                       after="sssr_sisr_detail", tuned=_SHARES),
    "latency_matched": Arm("equal time: a larger input instead of the SSSR head", updates=3, matches="head latency"),
}  # fmt: skip
for _name, _control, _isolates in (
    ("", {}, "losses that act, on the head as built"),
    ("_frozen", _FROZEN, "sisr_frozen at the shares of dsrl_share"),
    ("_noise", _NOISE, "sisr_noise at the shares of dsrl_share"),
):
    _stage_2, _stage_3 = f"sssr_sisr{_name}_share", f"sisr{_name}_share" if _name else "dsrl_share"
    ARMS[_stage_2] = Arm(f"stage 2 of {_stage_3}", _SISR | _control, after="sssr", tuned=_SISR_SHARE)
    ARMS[_stage_3] = Arm(_isolates, _FA | _control, after=_stage_2, tuned=_SHARES)
OLD_CONTROLS = ("sssr_sisr_frozen", "sisr_frozen", "sssr_sisr_noise", "sisr_noise")
SHARE_CONTROLS = tuple(_name for _name in ARMS if _name.endswith("_share"))
"""The same at the shares of `dsrl_share`, with that arm and all stages: at the old weights they control little."""
# The factorial again, with FA at one share of the gradient in every cell. `dsrl_res` is features / keep / norm.
FA_SHARE_ARMS = tuple(f"{_name}_share" for _name in FA_ARMS)
for _name, _cell in _CELLS.items():
    ARMS[f"{_name}_share"] = Arm("FA factorial at equal share of the gradient", _FA | _RES | _cell,
                                 after="sssr_sisr_res", tuned=_SHARES)  # fmt: skip
_RELEASED = {"model.fa_placement": "output", "model.ftm": "to3"}
for _form in ("sanje2v", "dootmaan"):
    ARMS[f"released_{_form}"] = Arm(f"the FA loss that {_form} released, faults included",
                                    _FA | _RELEASED | {"loss.fa_form": _form}, after="sssr_sisr")  # fmt: skip
_RELAXED = {"loss.segmentation": "relaxed"}
RELAXATION: dict[str, Arm] = {
    "relaxed": Arm("label relaxation: any class within a pixel is right", _RELAXED, updates=3),
    "relaxed_2": Arm("the same within two pixels", _RELAXED | {"loss.relax_border": 2}, updates=3),
    "relaxed_off": Arm("the released schedule: hard labels from four sevenths of the epochs on", _RELAXED, updates=3,
                       relaxed_share=100 / 175),  # that of the released recipe for Cityscapes (Zhu et al.)
    "relaxed_moved": Arm("is it the boundaries? As many relaxed pixels elsewhere",
                         _RELAXED | {"loss.relax_control": "moved"}, updates=3),
    "border_void": Arm("is it the relaxing? Boundary pixels left out", _RELAXED | {"loss.relax_control": "void"},
                       updates=3),
}  # fmt: skip
RELAXATION_ARMS = tuple(RELAXATION)
ARMS |= RELAXATION

# Adaptive downsampling (Marin et al.). `locations` trains the auxiliary network and leaves the host as it starts, so it
# takes no updates from the arms after it. Its learning rate is one at which the error on val was smaller than at 1e-3.
_AT = "downsampling.locations"
_PREDICTED = {_AT: "predicted"}
DOWNSAMPLING: dict[str, Arm] = {
    "uniform_point": Arm("single pixels on a regular grid: the baseline of the released code",
                         {_AT: "uniform", "downsampling.filter": "nearest"}, updates=3),
    "uniform_macs": Arm("equal cost: a larger input instead of the auxiliary network", updates=3,
                        matches="auxiliary MACs"),
    "adaptive_oracle": Arm("gate: locations from the true labels, an upper bound of what can be predicted",
                           {_AT: "oracle"}, updates=3),
    "adaptive_oracle_fine": Arm("gate: the same, solved on a grid of 45 x 60",
                                {_AT: "oracle", "downsampling.rows": 45, "downsampling.columns": 60}, updates=3),
    "locations": Arm("stage 1 of adaptive: the auxiliary network; its host is not trained",
                     _PREDICTED | {"downsampling.stage": "locations", "optim.lr": 3e-3}, updates=3),
    "adaptive": Arm("predicted locations", _PREDICTED, after="locations", updates=3),
    "adaptive_mean": Arm("is it only the horizon? One grid for all frames", {_AT: "mean"}, updates=3),
    "adaptive_swap": Arm("do locations carry image content? Those predicted for another frame",
                         _PREDICTED | {"downsampling.swapped": True}, after="locations", updates=3),
    "uniform_jitter": Arm("random smooth locations, as far from uniform as the oracle's", {_AT: "jitter"}, updates=3),
}  # fmt: skip
DOWNSAMPLING_ARMS = tuple(DOWNSAMPLING)
ARMS |= DOWNSAMPLING

# Joint image-label propagation (Zhu et al.) on videos of the streets, in each of which one frame is labelled. The data
# sets have equally many frames, so all arms have the same updates.
PROPAGATION: dict[str, Arm] = {
    name: Arm(isolates, {"data.dataset": name}, updates=3)
    for name, isolates in {
        "moving_one": "the labelled frame alone",
        "moving_joint": "pairs beside it: image and labels, warped by optical flow",
        "moving_labels": "do warped images matter? The true frames with the warped labels",
        "moving_exact": "the same pairs by exact motion: how much does wrong flow cost?",
        "moving_shuffled": "is it the motion? Warped by the flow of another video",
        "moving_true": "upper bound: the true frames with their true labels",
    }.items()
}
PROPAGATION_ARMS = tuple(PROPAGATION)
ARMS |= PROPAGATION
START_ARMS = ("sssr_random_nobn", "sssr_bilinear_bn")
"""They take apart what differs in `sssr_random`: its kernels, and the batch norm on the logits."""
ACTING_ARMS = ("sssr_sisr_res", "sssr_sisr_res_long", "dsrl_res")
"""The method with auxiliary losses that act and a SISR branch that learns detail."""
DETAIL_ARMS = ("sssr_sisr_detail", "sssr_sisr_detail_long", "dsrl_detail")
"""The same without the input in that branch, which may bypass the encoder there."""

MAIN_ARMS = ("lr", "bilinear", "sssr", "sssr_sisr", "dsrl")
STAGE_ARMS = ("sssr_sisr_frozen", "sssr_sisr_noise")
"""Stages of controls: they have had fewer updates, and no comparison shows them."""
CONTROL_ARMS = (
    "sssr_long", "sssr_sisr_long", "sssr_random", "dsrl_joint", "sisr_frozen", "sisr_noise", "mac_matched", "hr",
)  # fmt: skip
"""Stages of the full length, what takes the method apart, and its rivals in cost."""


def known_arm(name: str) -> str:
    """`name` itself; ValueError, with the valid names, if there is no such arm."""
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}; valid: {', '.join(ARMS)}{did_you_mean(name, ARMS)}")
    return name
