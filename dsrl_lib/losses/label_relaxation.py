"""Boundary label relaxation (Zhu et al., CVPR 2019, Sec. 3.3): near a boundary any class of the neighbourhood is right.

N_i is the set of classes in the window around pixel i (`allowed_sets`). The loss is -log P(N_i), P(N_i) the sum of the
softmax over N_i (Eq. 3): cross entropy if the set holds one class.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from dsrl_lib.losses.allowed_sets import allowed_sets, or_over_window, several
from dsrl_lib.losses.class_weights import bounded_weights, check_bounded
from dsrl_lib.losses.segmentation import check_shapes, cross_entropy
from dsrl_lib.metrics import VOID

LEAST = -1e30
"""log P of a set is at least this: float32 holds larger gaps between logits, but not their weighted sums."""


def relaxed_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    border: int = 1,
    strict: Sequence[int] = (),
    upper_bound: float = 0.0,
    void_joins: bool = True,
    weights_over: str = "image",
    gather: Callable[[Tensor], Tensor] = lambda values: values,
) -> Tensor:
    """Mean of -log P(N_i) over the pixels of the batch whose set N_i is not empty, a scalar.

    logits: (B, K, h, w) of any float type, K <= 63, resized bilinearly (align_corners=False) to the size of the labels
    if it differs; computation and result are in float32, or in float64 for float64. labels: (B, H, W), 0..K-1 or 255
    for void.
    border: N_i holds the classes at most this many rows and columns away. strict: classes whose own pixels keep their
    one label. upper_bound: b > 0 multiplies each pixel by the mean over N_i of omega_c = 1 + b (1 - f_c), f_c the
    share of class c in the sets of its image. void_joins: a void pixel beside a class takes part with the classes of
    its window, as in the released code; otherwise void pixels never count. weights_over: "image", or "batch" for the
    shares f_c in the whole batch. gather: joins the rows of all processes that share the batch, for "batch".

    Loss and gradient are finite for all finite logits: a pixel's -log P counts as 1e30 at most. With border = 0 and
    upper_bound = 0 the loss is `cross_entropy`, bit by bit, always in float32 and without that limit. If all sets are
    empty it is 0, with a graph.

    Raises ValueError for other shapes and settings, IndexError (on the CPU) for other labels.
    """
    # DEVIATION: label relaxation is a mean over the pixels of the batch, finite for any gap between logits. The
    # released code (Zhu et al.) adds up sum / (pixels + 1) of the samples, divides pixels of one sample by set sizes of
    # another, and gives NaN if the softmax of a set underflows.
    check_shapes(logits, labels)
    check_bounded(upper_bound, weights_over)
    sets = allowed_sets(labels, logits.shape[1], border=border, strict=strict, void_joins=void_joins)
    if border == 0 and upper_bound == 0:
        return cross_entropy(logits, labels)
    # DEVIATION: the arms of label relaxation have no class weights (loss.relax_upper_bound = 0), as Eq. 3 of the paper
    # has none. The released recipe (Zhu et al.) leaves --wt_bound at 1, so each pixel there weighs 1 to 2.
    weights = bounded_weights(
        sets, labels, logits.shape[1], upper_bound=upper_bound, border=border, strict=strict,
        weights_over=weights_over, gather=gather,
    )  # fmt: skip
    return _mean(logits, labels, sets, weights)


def cross_entropy_over_sets(logits: Tensor, labels: Tensor, sets: Tensor) -> Tensor:
    """The same mean for given sets (B, H, W), as `allowed_sets` makes them, without class weights.

    A labelled pixel with one class in its set has its own label there.
    """
    check_shapes(logits, labels)
    return _mean(logits, labels, sets, sets != 0)


def relaxed_mass(labels: Tensor, *, border: int = 1, void_joins: bool = True) -> Tensor:
    """What `relaxed_cross_entropy` divides by: the number of pixels whose set is not empty."""
    labelled = labels != VOID  # (B, H, W)
    return (or_over_window(labelled, border) if void_joins else labelled).sum()


def boundary_weighted_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    upper_bound: float = 0.0,
    weights_over: str = "image",
    gather: Callable[[Tensor], Tensor] = lambda values: values,
) -> Tensor:
    """Cross entropy in which pixels of thick boundaries weigh 2: the released training after its switch-off epoch.

    The sum of the weighted pixels over the number of labelled pixels (`mass` of the cross entropy), so the loss grows
    with the boundaries, as in the released code. Shapes, options, void and errors as in `relaxed_cross_entropy`.
    """
    check_shapes(logits, labels)
    check_bounded(upper_bound, weights_over)
    sets = allowed_sets(labels, logits.shape[1], border=0)
    # DEVIATION: after the switch-off epoch of label relaxation each pixel counts once in the shares of the classes. The
    # released code (Zhu et al.) counts pixels of boundaries twice.
    weights = bounded_weights(
        sets, labels, logits.shape[1], upper_bound=upper_bound, weights_over=weights_over, gather=gather
    )
    return _mean(logits, labels, sets, weights * (1 + thick_boundaries(labels).float()))


def thick_boundaries(labels: Tensor) -> Tensor:
    """Whether one of a pixel's four neighbours has another label, void included: bool (B, H, W)."""
    result = torch.zeros_like(labels, dtype=torch.bool)
    for dim in (1, 2):
        rest = labels.shape[dim] - 1
        differ = labels.narrow(dim, 1, rest) != labels.narrow(dim, 0, rest)
        result.narrow(dim, 1, rest).logical_or_(differ)
        result.narrow(dim, 0, rest).logical_or_(differ)
    return result


def _mean(logits: Tensor, labels: Tensor, sets: Tensor, weights: Tensor) -> Tensor:
    """Sum of the weighted pixels over the number of pixels with a set that is not empty."""
    factors = weights / (sets != 0).sum().clamp_min(1)  # (B, H, W)
    with torch.autocast(logits.device.type, enabled=False):
        if not torch.is_grad_enabled():
            return _sum(logits, sets, factors)
        if logits.is_cpu:
            return _BySample.apply(logits, labels, sets, factors)
        return _AtOnce.apply(_full_size(logits, sets.shape[1:]), sets, factors)


def _full_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    logits = logits.contiguous().to(torch.promote_types(logits.dtype, torch.float32))
    return logits if logits.shape[2:] == size else F.interpolate(logits, size, mode="bilinear", align_corners=False)


def _sum(logits: Tensor, sets: Tensor, factors: Tensor) -> Tensor:
    """The definition, of the whole batch at once and without a branch."""
    log_p = _full_size(logits, sets.shape[1:]).log_softmax(1)
    return (torch.where(sets != 0, -_inside(log_p, sets).logsumexp(1), 0) * factors).sum()


def _inside(log_p: Tensor, sets: Tensor) -> Tensor:
    """log p of the classes in the sets; that of the others is so small that its exponential is 0: (B, K, H, W)."""
    classes = torch.arange(log_p.shape[1], device=sets.device).to(sets.dtype)[:, None, None]
    outside = (sets[:, None] >> classes & 1) == 0
    # A finite number: -inf would make the softmax over an empty set NaN.
    return log_p.clamp_min(LEAST).masked_fill_(outside, 2 * LEAST)


class _AtOnce(torch.autograd.Function):
    """`_sum` with its gradient for a GPU: all samples at once, no value that is read, one map kept for the backward.

    logits: (B, K, H, W), float32 or float64, at the size of the sets. Gradient as in `_BySample`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, sets: Tensor, factors: Tensor) -> Tensor:
        slope = logits.log_softmax(1)
        inside = _inside(slope, sets)
        most = inside.amax(1)  # (B, H, W)
        inside = inside.log_softmax(1)  # log of the softmax over the set
        log_set = most - inside.amax(1)
        slope.exp_().sub_(inside.exp_()).mul_(factors[:, None])
        ctx.save_for_backward(slope)
        return -(torch.where(sets != 0, log_set, 0) * factors).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad * ctx.saved_tensors[0], None, None


class _BySample(torch.autograd.Function):
    """`_sum` with its gradient for a CPU: in one pass, one sample at a time, so that the cache holds the maps.

    d l_i / d z = softmax(z) - softmax(z restricted to N_i). Only a pixel whose set is more than its own label, one in
    16 of CamVid, needs the second softmax.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, labels: Tensor, sets: Tensor, factors: Tensor) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        gradient = torch.empty(logits.shape, dtype=dtype)  # planes, also for logits in channels_last
        total = torch.zeros((), dtype=torch.float64)
        for i in range(len(logits)):
            with torch.enable_grad():
                sample = logits[i : i + 1].detach().contiguous().to(dtype).requires_grad_()
                z = _full_size(sample, sets.shape[1:])
            slope = gradient[i : i + 1] if z is sample else torch.empty_like(z)  # (1, K, H, W)
            total += _one_sample(z.detach()[0], labels[i], sets[i], factors[i], slope[0].flatten(1))
            if z is not sample:
                gradient[i : i + 1] = torch.autograd.grad(z, sample, slope)[0]
        ctx.save_for_backward(gradient)
        ctx.dtype = logits.dtype
        return total.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        # A loss term of weight 1 needs no further pass over the maps.
        return (gradient if grad == 1 else grad * gradient).to(ctx.dtype), None, None, None


def _one_sample(z: Tensor, labels: Tensor, sets: Tensor, factors: Tensor, slope: Tensor) -> Tensor:
    """The weighted sum over one image; its gradient goes to `slope` (K, P). z: (K, H, W); the rest: (H, W)."""
    log_p = z.flatten(1).log_softmax(0)  # (K, P)
    torch.exp(log_p, out=slope)
    label = labels.flatten().long().clamp_max(len(z) - 1)[None]  # (1, P)
    loss = -log_p.gather(0, label)[0].clamp_min_(LEAST)  # (P,)
    joining = (labels == VOID) & (sets != 0)
    soft = (several(sets) | joining).flatten().nonzero()[:, 0]  # (S,)
    outside = (sets.flatten()[soft] >> torch.arange(len(z), dtype=sets.dtype)[:, None] & 1) == 0  # (K, S)
    inside = log_p[:, soft].clamp_min_(LEAST).masked_fill_(outside, -torch.inf)
    log_set = inside.logsumexp(0)  # (S,)
    loss[soft] = -log_set
    soft_slope = slope[:, soft] - (inside - log_set).exp()
    slope.scatter_add_(0, label, loss.new_full((1, 1), -1).expand_as(label))
    slope[:, soft] = soft_slope
    slope.mul_(factors.flatten())
    return loss.mul_(factors.flatten()).sum(dtype=torch.float64)
