"""A segmentation network that knows nothing of DSRL, as a host: three of its layers are named."""

from difflib import get_close_matches

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.models.host import Features


class NamedLayers(nn.Module):
    """Any network whose prediction layer is a convolution, without a change to it: `DSRL(NamedLayers(network, ...))`.

    low, deep: the layers whose outputs are the maps of these names (`host.Features`), at stride 4 and at the end of the
    encoder. classifier: the prediction layer, an `nn.Conv2d` with one output channel per class; its input is `last`.
    All three are names of `network.named_modules()`. size: height and width of the black image that finds the channels.

    The whole network runs in every step, also what follows the prediction layer. A host of the registry
    (CONTRIBUTING.md) does not pay for that, and can be trained by its name.
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
        self.classes, self.last_channels = last.out_channels, last.in_channels
        training = network.training
        with torch.no_grad():
            maps = self.eval().features(torch.zeros(1, 3, *size, device=last.weight.device))
        self.train(training)
        self.low_channels, self.deep_channels = maps.low.shape[1], maps.deep.shape[1]

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
