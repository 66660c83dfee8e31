"""Settings that are valid alone but contradict each other."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dsrl_lib.own_data import dataset
from dsrl_lib.registry import HOSTS


def conflicts(config: Any) -> Iterator[tuple[str, str]]:
    """Settings of a `config.Config` that do not fit the others, and what the others allow."""
    data, model, loss, optim = config.data, config.model, config.loss, config.optim
    host = HOSTS[model.host]
    if data.scale_min > data.scale_max:
        yield "data.scale_min", f"at most data.scale_max = {data.scale_max}"
    if not round(min(data.height, data.width) * data.scale_min):
        yield "data.scale_min", f"scales that leave a pixel of data.height x data.width = {data.height} x {data.width}"
    yield from _sampling(data)
    if model.pretrained not in ("none", *host.weights):
        yield "model.pretrained", f"{', '.join(('none', *host.weights))} with model.host = {model.host}"
    if model.start != "none" and model.sisr_frozen:
        yield "model.start", "none with model.sisr_frozen, whose SISR head stays at its random start"
    if model.start != "none" and config.downsampling.locations == "mean":
        yield "model.start", "none with downsampling.locations = mean: a file would replace the locations of this data"
    if model.sssr_norm != "start" and model.sssr_head != "deconv":
        yield "model.sssr_norm", f"start with model.sssr_head = {model.sssr_head}, which has no batch norms"
    if model.fa and not (model.sssr and model.sisr):
        yield "model.fa", "false, or model.sssr and model.sisr true as well: it compares these two branches"
    elif model.sisr and not model.sssr:
        yield "model.sisr", "false, or model.sssr true as well: with the input's resolution there is nothing to restore"
    if model.sisr_residual and (model.sisr_frozen or loss.sisr_target == "noise"):
        yield "model.sisr_residual", "false with model.sisr_frozen, or with loss.sisr_target = noise"
    if optim.nesterov and not (optim.optimizer == "sgd" and optim.momentum):
        yield "optim.nesterov", "false, or optim.optimizer = sgd with optim.momentum above 0"
    if optim.amsgrad and optim.optimizer == "sgd":
        yield "optim.amsgrad", "false with optim.optimizer = sgd"
    if optim.schedule == "poly_restart" and not loss.relax_epochs:
        yield "optim.schedule", "poly, cosine, step with loss.relax_epochs = 0: lr restarts where label relaxation ends"
    if optim.restart_factor != 1 and optim.schedule != "poly_restart":
        yield "optim.restart_factor", f"1 with optim.schedule = {optim.schedule}"
    if optim.lr_end > optim.lr:
        yield "optim.lr_end", f"at most optim.lr = {optim.lr}"
    if optim.patience and config.warm_start is not None:
        yield "optim.patience", "0 in a run that starts from another run: all stages have one schedule"
    if optim.sisr_warmup and (model.fa or model.sisr_frozen or not model.sisr):
        yield "optim.sisr_warmup", "0, or stage 2: model.sisr true, model.fa and model.sisr_frozen false"
    if optim.sisr_warmup >= optim.epochs:
        yield "optim.sisr_warmup", f"below optim.epochs = {optim.epochs}"
    for share, part in (("share_sisr", "sisr"), ("share_fa", "fa")):
        if getattr(loss, share) and not getattr(model, part):
            yield f"loss.{share}", f"0, or model.{part} true as well: without that branch there is no such term"
    for name in ("height", "width", "crop_height", "crop_width"):
        side = getattr(data, name)
        if not (reduced := round(side * model.input_scale)):
            yield f"data.{name}", f"sizes of which model.input_scale = {model.input_scale} leaves a pixel"
        out = reduced * (2 if model.sssr else 1)
        if model.sisr and name.startswith("crop") and out != side:
            yield f"data.{name}", f"sizes that the SISR branch restores; it makes {out} of {side}"
    for first, second in (("height", "width"), ("crop_height", "crop_width")):
        if max(round(getattr(data, side) * model.input_scale) for side in (first, second)) < 2:
            yield f"data.{first}", f"sizes of which model.input_scale = {model.input_scale} leaves more than one pixel"
    if model.fa and max(data.crop_height, data.crop_width) < 2 * loss.fa_stride:
        yield "loss.fa_stride", f"strides that fit twice in a crop of {data.crop_height} x {data.crop_width}"
    yield from _of_released_affinity(config)
    yield from _of_downsampling(config)
    if loss.class_weights != "none" and loss.segmentation != "ce":
        yield "loss.class_weights", f"none with loss.segmentation = {loss.segmentation}"
    if loss.class_weights not in ("image", "batch") and loss.class_bound != (unused := _default(loss, "class_bound")):
        yield "loss.class_bound", f"{unused!r} with loss.class_weights = {loss.class_weights}"
    if loss.relax_border >= max(2, side := min(data.crop_height, data.crop_width)):
        yield "loss.relax_border", f"below {side}, the shorter side of a crop"
    for name in _unused_relaxation(loss):
        yield f"loss.{name}", f"{_default(loss, name)!r} with loss.segmentation = {loss.segmentation}"
    if loss.relax_epochs and loss.relax_epochs >= (end := optim.schedule_epochs or optim.epochs):
        yield "loss.relax_epochs", f"0 (all epochs), or below the {end} epochs of the schedule"
    if loss.relax_control != "none" and loss.relax_upper_bound:
        yield "loss.relax_upper_bound", f"0 with loss.relax_control = {loss.relax_control}"
    if loss.relax_weights_over == "batch" and not loss.relax_upper_bound:
        yield "loss.relax_weights_over", "image with loss.relax_upper_bound = 0, which is without class weights"
    if loss.relax_control == "moved" and loss.train_labels != "hr":
        yield "loss.relax_control", f"none, void with loss.train_labels = {loss.train_labels}"
    if not model.frozen_bn:
        if optim.batch_size < host.least_batch:
            yield "optim.batch_size", f"{host.least_batch} or more with model.host = {model.host} (its batch norms)"
        sides = (round(side * model.input_scale) for side in (data.crop_height, data.crop_width))
        if optim.batch_size == 1 and max(sides) <= host.strides[1]:  # one value per channel has no variance
            allowed = f"2 or more where the encoder leaves one pixel of a crop (stride {host.strides[1]})"
            yield "optim.batch_size", allowed


def check_shared_batch(config: Any, devices: int) -> None:
    """ValueError if so many processes, each with its own device, cannot share the batches of a run."""
    size = config.optim.batch_size
    if size % devices:
        raise ValueError(f"optim.batch_size = {size} cannot be shared by {devices} processes")
    if config.downsampling.swapped and size // devices < 2:
        raise ValueError(f"optim.batch_size = {size} with devices = {devices}; allowed: 2 or more for each device with "
                         "downsampling.swapped, which swaps within a process")  # fmt: skip
    shared = replace(config, optim=replace(config.optim, batch_size=size // devices))
    for setting, allowed in () if config.model.sync_bn else conflicts(shared):
        if setting == "optim.batch_size":
            raise ValueError(f"{setting} = {size} with devices = {devices}; allowed: model.sync_bn = true, or for each "
                             f"device {allowed}")  # fmt: skip


def _sampling(data: Any) -> Iterator[tuple[str, str]]:
    """Settings of class-uniform sampling and coarse boost that do not fit."""
    if not data.class_uniform:
        for name in ("class_tile", "boost_dataset", "boost_classes", "boost_epochs"):
            if getattr(data, name) != (unused := _default(data, name)):
                yield f"data.{name}", f"{unused!r} with data.class_uniform = 0"
        return
    if data.rotation:
        yield "data.rotation", "0 with data.class_uniform: a turned crop may lose the pixel that it has to contain"
    for name in (data.dataset, *filter(None, [data.boost_dataset])):
        size = dataset(name).one_size
        if size and data.class_tile > min(size):
            yield "data.class_tile", f"at most {min(size)}, the shorter side of the frames of {name}"
    if bool(data.boost_dataset) != bool(data.boost_classes):
        name, other = ("dataset", "classes") if data.boost_dataset else ("classes", "dataset")
        yield f"data.boost_{name}", f"'', or data.boost_{other} as well"
    if data.boost_epochs and not data.boost_dataset:
        yield "data.boost_epochs", "0 with data.boost_dataset = ''"


def _of_released_affinity(config: Any) -> Iterator[tuple[str, str]]:
    """Settings that do not fit the FA loss of a reimplementation: it compares maps of one shape."""
    data, model, loss = config.data, config.model, config.loss
    if loss.fa_form == "paper":
        return
    if (model.fa, model.fa_placement, model.ftm) != (True, "output", "to3"):
        yield "loss.fa_form", "paper, or model.fa true, model.fa_placement = output and model.ftm = to3"
    for name in ("fa_normalise", "fa_q"):
        if getattr(loss, name) != _default(loss, name):
            yield f"loss.{name}", f"{_default(loss, name)!r} with loss.fa_form = {loss.fa_form}"
    if loss.fa_stride > (shorter := min(data.crop_height, data.crop_width)):
        yield "loss.fa_stride", f"at most the crop's shorter side, {shorter}, with loss.fa_form = {loss.fa_form}"


def _unused_relaxation(loss: Any) -> Iterator[str]:
    """Settings of label relaxation that are not at their default and that the loss does not use."""
    weights = ("relax_upper_bound", "relax_weights_over")
    used = {"relaxed": ("relax_",), "boundary": weights}.get(loss.segmentation, ())
    for name in vars(loss):
        if name.startswith("relax_") and not name.startswith(used) and getattr(loss, name) != _default(loss, name):
            yield name


def _default(section: Any, name: str) -> Any:
    return getattr(type(section), name)


def _of_downsampling(config: Any) -> Iterator[tuple[str, str]]:
    settings, data, model = config.downsampling, config.data, config.model
    if settings.locations == "none":
        if settings.stage == "locations":
            yield "downsampling.stage", "host, or downsampling.locations = predicted"
        if settings.classes:
            yield "downsampling.classes", "'' with downsampling.locations = none"
        return
    if settings.classes and settings.locations == "uniform":
        yield "downsampling.classes", "'' with downsampling.locations = uniform, which no boundary moves"
    if settings.locations == "jitter" and settings.rows == settings.columns == 2:
        yield "downsampling.rows", "3 or more, or downsampling.columns 3 or more, with downsampling.locations = jitter"
    if settings.stage == "locations" and (settings.locations != "predicted" or settings.swapped):
        yield "downsampling.stage", "host, or downsampling.locations = predicted, not swapped: it trains that network"
    starts = config.warm_start is not None or model.start != "none"
    if settings.locations == "predicted" and settings.stage == "host" and not starts:
        allowed = (
            "predicted in a run that starts from one with downsampling.stage = locations, which trains the auxiliary "
            "network; or another value"
        )
        yield "downsampling.locations", allowed
    if settings.stage == "locations" and config.optim.patience:
        yield "optim.patience", "0 with downsampling.stage = locations: its val mIoU is that of an untrained host"
    if settings.swapped and settings.locations not in ("predicted", "oracle"):
        yield "downsampling.swapped", "false, or downsampling.locations = predicted or oracle: others are of no frame"
    if settings.swapped and config.optim.batch_size < 2:
        yield "optim.batch_size", "2 or more with downsampling.swapped, which swaps within a batch"
    if config.loss.train_labels == "lr":
        yield "loss.train_labels", f"hr with downsampling.locations = {settings.locations}: its scores are those of HR"
    for name in ("height", "width", "crop_height", "crop_width"):
        if round(getattr(data, name) * model.input_scale) < 2:
            yield f"data.{name}", f"sizes of which model.input_scale = {model.input_scale} leaves two samples or more"
