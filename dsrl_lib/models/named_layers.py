"""A segmentation network that knows nothing of DSRL, as a host: three of its layers are named."""

import math
from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.models.host import Features

STRIDE = (4, 4)
"""Of `low`, from which the SISR head makes 8 x 8 pixels each."""
DEEP_STRIDES = (4, 64)


class NamedLayers(nn.Module):
    """Any network whose prediction layer is a convolution, without a change to it: `DSRL(NamedLayers(network, ...))`.

    low, deep: the layers whose outputs are the maps of these names (`host.Features`), at stride 4 and at the end of the
    encoder. classifier: the prediction layer, an `nn.Conv2d` with one output channel per class, background included;
    its input is `last`. All three are names of `network.named_modules()`. size: height and width of the black RGB image
    that finds the channels.

    The logits are those of the prediction layer alone. What the network computes beside or behind it, such as the
    logits of an auxiliary head, runs in every step, but is neither used nor trained. A host of the registry
    (CONTRIBUTING.md) does not pay for that, and can be trained by its name.

    ValueError for a name, a prediction layer or a map that cannot be used: the message lists layers that can.
    """

    align_corners = False

    def __init__(
        self, network: nn.Module, *, low: str, deep: str, classifier: str, size: tuple[int, int] = (64, 64)
    ) -> None:
        super().__init__()
        self.network, self.names = network, {"low": low, "deep": deep, "classifier": classifier}
        layers = dict(network.named_modules())
        for role, name in self.names.items():
            if name not in layers:
                near = ", ".join(get_close_matches(name, layers, n=5, cutoff=0.0))
                raise ValueError(f"{role} = {name!r}; allowed: names of network.named_modules(), such as {near}")
        last = layers[classifier]
        if not isinstance(last, nn.Conv2d):
            raise ValueError(f"classifier = {classifier!r} is of type {type(last).__name__}; allowed: an nn.Conv2d")
        if last.out_channels < 2:
            raise ValueError(f"classifier = {classifier!r} has one output channel; allowed: one per class, from 2 on")
        self.classes, self.last_channels = last.out_channels, last.in_channels
        maps = self._maps_of_black(size)
        self.low_channels, self.deep_channels = maps.low.shape[1], maps.deep.shape[1]

    def _maps_of_black(self, size: tuple[int, int]) -> Features:
        """The maps of a black image. ValueError, with layers that can be named, unless `low` is at stride 4 and `deep`
        nowhere finer."""
        shapes: dict[str, torch.Size] = {}

        def note(name: str, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                shapes[name] = output.shape

        hooks = [
            layer.register_forward_hook(lambda _, inputs, output, name=name: note(name, output))
            for name, layer in self.network.named_modules()
        ]
        device, training = next(self.network.parameters()).device, self.network.training
        try:
            with torch.no_grad():
                maps = self.eval().features(torch.zeros(1, 3, *size, device=device))
        except Exception as error:
            error.add_note(
                f"NamedLayers gave the network a black RGB image of {size[0]}x{size[1]}; `size` sets another"
            )
            raise
        finally:
            self.train(training)
            for hook in hooks:
                hook.remove()
        for role, allowed in (("low", STRIDE), ("deep", DEEP_STRIDES)):
            name = self.names[role]
            if not _at_stride(shapes[name], size, allowed):
                able = sorted((n for n in shapes if _at_stride(shapes[n], size, allowed)), key=lambda n: n.count("."))
                raise ValueError(
                    f"{role} = {name!r} gives {tuple(shapes[name])} for an image of {size[0]}x{size[1]}; allowed: maps "
                    f"(B, C, h, w) at stride {' to '.join(map(str, sorted({*allowed})))}, such as those of "
                    f"{', '.join(able[:5]) or '(this network has none)'}"
                )
        return maps

    def features(self, x: Tensor) -> Features:
        """x: (B, 3, H, W). ValueError if the network does not pass the named layers."""
        maps: dict[str, Tensor] = {}
        layers = {role: self.network.get_submodule(name) for role, name in self.names.items()}
        hooks = [
            layers["low"].register_forward_hook(lambda _, inputs, output: maps.update(low=output)),
            layers["deep"].register_forward_hook(lambda _, inputs, output: maps.update(deep=output)),
            layers["classifier"].register_forward_hook(lambda _, inputs, output: maps.update(classifier=inputs[0])),
        ]
        try:
            self.network(x)
        finally:
            for hook in hooks:
                hook.remove()
        for role, name in self.names.items():
            if not isinstance(maps.get(role), Tensor) or maps[role].ndim != 4:
                raise ValueError(f"{role} = {name!r}; allowed: a layer that the network calls with (B, C, h, w) maps")
        return Features(maps["low"], maps["deep"], maps["classifier"])

    def classify(self, last: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, h, w)."""
        return self.network.get_submodule(self.names["classifier"])(last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, H, W) logits."""
        return F.interpolate(self.classify(self.features(x).last), x.shape[2:], mode="bilinear", align_corners=False)


def _at_stride(shape: tuple[int, ...], size: tuple[int, int], allowed: tuple[int, int]) -> bool:
    """Whether maps of this shape, for an image of `size`, are at a stride of this range: to the next power of two,
    since some networks lose pixels at the border. Maps (B, h, w, C), as some transformers have, are not."""
    strides = [2 ** round(math.log2(side / length)) for side, length in zip(size, shape[2:], strict=True)]
    return all(allowed[0] <= stride <= allowed[1] for stride in strides)
