"""A run that is cut off between two steps and goes on ends bit-identical, whatever draws samples or drops values."""

import pytest
import torch
from tiny_runs import assert_same, tiny

import dsrl_lib.training.loop as training
from dsrl_lib import runs
from dsrl_lib.overrides import override_all
from dsrl_lib.training.fit import fit

CLASS_UNIFORM = ("data.class_uniform=0.9", "data.class_tile=64")
BOOST = ("data.boost_dataset=streets", "data.boost_classes=11 17", "data.boost_epochs=1")


class CutOffError(Exception):
    """Stands for a kill: the process ends with what the last checkpoint holds."""


@pytest.mark.parametrize(("arm", "changes"), [
    ("bilinear", (*CLASS_UNIFORM, *BOOST)),
    ("relaxed_moved", ()),
    ("uniform_jitter", ()),
    ("lr", ("model.host=deeplabv3plus_resnet18",)),  # with dropout
])  # fmt: skip
def test_a_run_that_is_cut_off_ends_bit_identical(trained, results, monkeypatch, arm, changes):
    config = override_all(tiny(arm, "optim.epochs=1", "optim.validate_every=5"), changes).checked()
    undisturbed, real, calls = trained(config), training.loss_terms, []
    torch.manual_seed(1)  # another process would have another state

    def cut_off(*arguments):
        calls.append(None)
        if len(calls) == 6:  # in the second epoch
            raise CutOffError
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "loss_terms", cut_off)
        patch.setattr(training, "CHECKPOINT_SECONDS", -1)  # after every step
        with pytest.raises(CutOffError):
            fit(config, device="cpu", progress=False)
    assert not runs.is_complete(runs.folder(config))
    assert_same(fit(config, device="cpu", progress=False), undisturbed)
