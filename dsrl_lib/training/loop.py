"""The training loop: one step of a run, and the loop over all steps.

All randomness of a step depends on (seed, epoch, sample) and (seed, step, process) alone, and everything else is in the
checkpoint. So a run that was killed continues where it was and ends with the same bits, on the CPU. Several processes
can share a run.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from dsrl_lib import distributed, network, runs
from dsrl_lib.data.split import Split
from dsrl_lib.evaluation.evaluate import Evaluation, evaluate
from dsrl_lib.losses.terms import TERMS
from dsrl_lib.training import checkpoint
from dsrl_lib.training.batches import batches
from dsrl_lib.training.calibration import calibrate
from dsrl_lib.training.gradient_shares import fixed_batch, gradient_norms, history_columns
from dsrl_lib.training.log import Log
from dsrl_lib.training.loss import loss_terms
from dsrl_lib.training.pictures import validation_pictures
from dsrl_lib.training.random_state import seeded, step_seed
from dsrl_lib.training.schedule import learning_rate, make_optimizer
from dsrl_lib.training.signals import StoppedError, ignore_in_worker
from dsrl_lib.training.state import RunState

CHECKPOINT_SECONDS = 300


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite."""


def train_step(
    state: RunState, batch: dict[str, Tensor], requests: Callable[[], Sequence[bool]] = tuple
) -> tuple[dict[str, float], list[bool]]:
    """One step of the optimiser, without reading or writing a file.

    requests: what this process asks of all processes, such as to stop; called as late as possible. Returns the weighted
    terms of the loss with their sum `loss`, and what any process asked.
    NonFiniteLossError, before the weights change, if a term is NaN or infinite in any process.
    """
    config = state.config
    stage_steps = state.epoch_steps * config.optim.stage_epochs
    if stage_steps and state.step % stage_steps == 0:
        state.optimizer = make_optimizer(state.network, config)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(config, state.step, state.epoch_steps, state.epochs_before)
    if not state.network.training:  # after a validation; setting it walks through hundreds of modules
        network.set_training_mode(state.network, config)
    state.network.sisr_alone = state.step < state.warmup_steps
    batch = {key: value.to(state.device, non_blocking=True) for key, value in batch.items()}
    with seeded(step_seed(config.seed, state.steps_before + state.step), state.device):
        terms = loss_terms(state.model, batch, state.weighted, state.class_weights)
    state.optimizer.zero_grad(set_to_none=True)
    state.scaler.scale(sum(terms.values())).backward()
    # The one time that a step waits for the device, but for OHEM, adaptive downsampling, and class shares of a batch
    # that several processes share: all its work up to the gradients is queued by now.
    found = distributed.means(list(terms.values()), requests())
    values = dict(zip(terms, found, strict=False))
    if not all(map(math.isfinite, values.values())):
        listed = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        raise NonFiniteLossError(f"{config.run_id}: non-finite loss at step {state.step}: {listed}")
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.step += 1
    return values | {"loss": sum(values.values())}, [share > 0 for share in found[len(terms) :]]


def train(
    state: RunState,
    directory: Path,
    splits: Mapping[str, Split],
    *,
    workers: int = 0,
    progress: bool = True,
    asked_to_stop: Callable[[], bool] = lambda: False,
    keep: Callable[[RunState], None] = lambda state: None,
) -> Evaluation | None:
    """From the present step of a run to its last, with checkpoints in `directory`.

    splits: with `val`. keep: called at the end of each epoch, in the first process alone. Returns the validation
    of the last epoch; None if an earlier process trained it, or if the run ends early. NonFiniteLossError and
    StoppedError say what was saved.
    """
    config, writes, result = state.config, distributed.rank() == 0, None
    steps = range(state.step, state.step if state.ends_early else state.total_steps)
    saved = since = time.monotonic()
    started, first = since - state.seconds, state.step
    fixed = fixed_batch(state.samples, config, state.device) if config.model.sisr else None
    if fixed and state.step == 0:
        measure_gradients(state, fixed)

    def requests() -> tuple[bool, bool]:
        return asked_to_stop(), writes and time.monotonic() - saved > CHECKPOINT_SECONDS

    with Log(config, directory if writes else None, steps, len(state.history) + 1, progress) as log:
        for batch in batches(state.samples, config, steps, state.epochs_before, state.device, workers):
            try:
                terms, (stop, save) = train_step(state, batch, requests)
            except NonFiniteLossError as error:
                raise NonFiniteLossError(f"{error}; {checkpoint.described(directory)}") from None
            state.sums = {name: state.sums.get(name, 0.0) + value for name, value in terms.items()}
            log.step()
            ended = state.step % state.epoch_steps == 0
            if ended:
                speed = (state.step - first) * config.optim.batch_size / (time.monotonic() - since)
                result = _close_epoch(state, speed, splits["val"], workers)
                state.history[-1] |= measure_gradients(state, fixed) if fixed else {}
            if ended and writes:
                keep(state)  # before the checkpoint: a run that is killed here comes through this epoch again
            if ended or stop or save:
                saved = time.monotonic()
                state.seconds = saved - started
                save_checkpoint(state, directory)
            if ended:
                log.epoch(state.history[-1])
                if writes and "val_miou" in state.history[-1]:
                    log.pictures(validation_pictures(state.network, splits["val"], config), len(state.history))
                if state.ends_early:
                    result = None
                    break
                first, since = state.step, time.monotonic()
            if stop and state.step < state.total_steps:
                raise StoppedError(f"{config.run_id}: asked to stop after step {state.step} of {state.total_steps}; "
                                   "the same command continues from there")  # fmt: skip
    state.seconds = time.monotonic() - started
    return result


def measure_gradients(state: RunState, fixed: dict[str, Tensor]) -> dict[str, float]:
    """The calibrated weights, and how strongly each term acts on the shared encoder, by the columns of history.csv.

    Nothing while the SISR head trains alone. Before the first step in which all terms act, the weights are calibrated.
    """
    if state.step < state.warmup_steps:
        return {}
    state.network.sisr_alone = False
    start = state.step == state.warmup_steps
    if start:
        state.weights = calibrate(state.network, fixed, state.config, state.class_weights)
    measured = history_columns(gradient_norms(state.network, fixed, state.weighted, state.class_weights))
    if start:
        state.gradients_at_start = measured
    return state.weights | measured


def validate(state: RunState, split: Split, *, details: bool, workers: int) -> Evaluation:
    """Score the network that the first process saves, in all processes."""
    distributed.share_buffers(state.network)
    return evaluate(
        state.network, split, state.config, details=details, workers=workers, worker_init_fn=ignore_in_worker
    )


def save_checkpoint(state: RunState, directory: Path) -> None:
    """Write the checkpoint and history.csv, in the first of several processes."""
    if distributed.rank() == 0:
        checkpoint.save(directory, state.state_dict())
        runs.write_history(directory / "history.csv", state.history, TERMS)


def _close_epoch(state: RunState, images_per_s: float, split: Split, workers: int) -> Evaluation | None:
    """Add the row of the epoch that has ended to the history, and begin the sums of the next one.

    Returns the validation on `split`; None if this epoch has none.
    """
    config, epoch = state.config, state.step // state.epoch_steps
    row = {"epoch": epoch, "step": state.step, "lr": state.optimizer.param_groups[0]["lr"]}
    row |= {name: total / state.epoch_steps for name, total in state.sums.items()}
    row["images_per_s"] = images_per_s
    state.history.append(row)
    state.sums = {}
    last = epoch == config.optim.epochs
    if not last and epoch % config.optim.validate_every:
        return None
    result = validate(state, split, details=last, workers=workers)
    row["val_miou"] = result.miou
    if config.model.sisr:
        row["val_psnr"] = result.summary()["psnr"]
    if not np.isnan(result.location_error).all():
        row["val_location_error"] = result.summary()["location_error"]
    return result
