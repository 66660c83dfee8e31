"""Fold batch norms into the convolutions before them: fewer layers at inference, the same function up to rounding."""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dsrl_lib.models.downsampling.downsampler import without_labels
from dsrl_lib.models.sync_batch_norm import SyncBatchNorm2d


def fold_batch_norms(network: nn.Module) -> int:
    """Fold every batch norm that reads the output of a convolution, in place; return how many.

    Which one reads what is seen in a forward pass; that something else reads a convolution's output too is not seen, so
    compare the outputs. Batch norms after a sum or a concatenation stay: there is no one convolution to take them. The
    network must not train afterwards.
    """
    pairs = _pairs(network.eval())
    for conv, norm in pairs:
        _set(network, conv, fuse_conv_bn_eval(network.get_submodule(conv), network.get_submodule(norm)))
        _set(network, norm, nn.Identity())
    return len(pairs)


@torch.inference_mode(False)  # its tensors have no version
@torch.no_grad()
def _pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions and of the batch norms that read them."""
    # The tensors are kept, so that no address is used twice; by its version one shows what was done to it in place.
    made: dict[int, tuple[str, Tensor, int]] = {}
    pairs: list[tuple[str, str]] = []

    def after_convolution(name: str):
        return lambda module, inputs, output: made.update({id(output): (name, output, output._version)})

    def before_norm(name: str):
        def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            for x in inputs:
                conv, _, version = made.get(id(x), ("", x, -1))
                if x._version == version:
                    pairs.append((conv, name))

        return add

    hooks = [m.register_forward_hook(after_convolution(n)) for n, m in network.named_modules()
             if isinstance(m, nn.Conv2d)]  # fmt: skip
    # Exactly these classes: another subclass may do more, such as timm's batch norm with an activation in it.
    hooks += [m.register_forward_pre_hook(before_norm(n)) for n, m in network.named_modules()
              if type(m) in (nn.BatchNorm2d, SyncBatchNorm2d)]  # fmt: skip
    without_labels(network)(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return pairs


def _set(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
