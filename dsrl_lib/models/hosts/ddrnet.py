"""DDRNet-23-slim, DDRNet-23 and DDRNet-39: a high- and a low-resolution branch that exchange features.

Hong et al., "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes",
2021. Module names are those of the official state dicts.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.host import Features, initialise, replaced_classifier
from dsrl_lib.models.layers import conv_bn

# blocks of layers 1, 2, 3 (one entry per part), 4; blocks of each high-resolution layer; planes; head width
VARIANTS = {
    "ddrnet23_slim": ((2, 2, (2,), 2), 2, 32, 64),
    "ddrnet23": ((2, 2, (2,), 2), 2, 64, 128),
    "ddrnet39": ((3, 4, (3, 3), 3), 3, 64, 256),
}
PYRAMID = 128
AUX = "seghead_extra."


def bn_relu_conv(inputs: int, outputs: int, kernel: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [nn.BatchNorm2d(inputs), nn.ReLU(), layer]


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, tuple(like.shape[2:]), mode="bilinear", align_corners=False)


class Block(nn.Module):
    """Residual block through `widths` with the stride in its first 3x3 convolution."""

    def __init__(self, widths: Sequence[int], kernels: Sequence[int], stride: int, relu: bool) -> None:
        super().__init__()
        self.relu, self.count = relu, len(kernels)
        strided = kernels.index(3)
        for i, kernel in enumerate(kernels):
            layer, norm = conv_bn(widths[i], widths[i + 1], kernel, stride=stride if i == strided else 1)
            self.add_module(f"conv{i + 1}", layer)
            self.add_module(f"bn{i + 1}", norm)
        same = stride == 1 and widths[0] == widths[-1]
        self.downsample = None if same else nn.Sequential(*conv_bn(widths[0], widths[-1], stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.count + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            y = F.relu(y) if i < self.count else y
        y = y + (x if self.downsample is None else self.downsample(x))
        return F.relu(y) if self.relu else y


def layer(inputs: int, outputs: int, count: int, stride: int = 1) -> nn.Sequential:
    """Basic blocks, the last without ReLU: fusions add that map, and the caller applies ReLU to a copy."""
    first = Block((inputs, outputs, outputs), (3, 3), stride, relu=True)
    middle = [Block((outputs,) * 3, (3, 3), 1, relu=True) for _ in range(count - 2)]
    return nn.Sequential(first, *middle, Block((outputs,) * 3, (3, 3), 1, relu=False))


def bottleneck(inputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Block((inputs, inputs, inputs, 2 * inputs), (1, 3, 1), stride, relu=False))


class DAPPM(nn.Module):
    """Deep aggregation pyramid pooling. The global branch gives batch norm one value per channel and image.

    Training with batch 1 therefore raises ValueError in batch norm.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        p = PYRAMID
        self.scale0 = nn.Sequential(*bn_relu_conv(inputs, p))
        pools = [nn.AvgPool2d(2 * s + 1, s, s) for s in (2, 4, 8)] + [nn.AdaptiveAvgPool2d(1)]
        for i, pool in enumerate(pools, 1):
            self.add_module(f"scale{i}", nn.Sequential(pool, *bn_relu_conv(inputs, p)))
            self.add_module(f"process{i}", nn.Sequential(*bn_relu_conv(p, p, 3)))
        self.compression = nn.Sequential(*bn_relu_conv(5 * p, outputs))
        self.shortcut = nn.Sequential(*bn_relu_conv(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.scale0(x)]
        for i in range(1, 5):
            pooled = resize(self.get_submodule(f"scale{i}")(x), x)
            maps.append(self.get_submodule(f"process{i}")(pooled + maps[-1]))
        return self.compression(torch.cat(maps, 1)) + self.shortcut(x)


class Head(nn.Module):
    """BN, ReLU, 3x3 convolution, BN, ReLU (`features`) and the 1x1 prediction layer `conv2`."""

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1, self.bn2 = conv_bn(inputs, width, 3)
        self.conv2 = nn.Conv2d(width, classes, 1)

    def features(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv1(F.relu(self.bn1(x)))))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.features(x))


class DDRNet(nn.Module):
    """DDRNet with logits at the input's size (the official network leaves them at stride 8)."""

    align_corners = False  # of the published network's interpolation

    def __init__(self, variant: str, classes: int, aux: bool) -> None:
        super().__init__()
        (m1, m2, m3, m4), high, c, width = VARIANTS[variant]
        self.classes, self.low_channels, self.deep_channels, self.last_channels = classes, c, 4 * c, width
        self.early_channels = c
        self.conv1 = nn.Sequential(
            *(nn.Conv2d(3, c, 3, 2, 1), nn.BatchNorm2d(c), nn.ReLU()),
            *(nn.Conv2d(c, c, 3, 2, 1), nn.BatchNorm2d(c), nn.ReLU()),
        )
        self.layer1 = layer(c, c, m1)
        self.layer2 = layer(c, 2 * c, m2, stride=2)
        # Stage 3 has one part, called 3, or two, called 3_1 and 3_2; stage 4 has one. Each ends in a fusion.
        self.stages = [*(["3"] if len(m3) == 1 else ["3_1", "3_2"]), "4"]
        inputs = 2 * c
        for stage, count in zip(self.stages, (*m3, m4), strict=True):
            outputs = 8 * c if stage == "4" else 4 * c
            self.add_module(f"layer{stage}", layer(inputs, outputs, count, 1 if inputs == outputs else 2))
            self.add_module(f"layer{stage}_", layer(2 * c, 2 * c, high))
            self.add_module(f"compression{stage}", nn.Sequential(*conv_bn(outputs, 2 * c, 1)))
            down = conv_bn(2 * c, 4 * c, 3, stride=2)
            down += [nn.ReLU(), *conv_bn(4 * c, 8 * c, 3, stride=2)] if stage == "4" else []
            self.add_module(f"down{stage}", nn.Sequential(*down))
            inputs = outputs
        self.layer5_ = bottleneck(2 * c)
        self.layer5 = bottleneck(8 * c, stride=2)
        self.spp = DAPPM(16 * c, 4 * c)
        self.seghead_extra = Head(2 * c, width, classes) if aux else None
        self.final_layer = Head(4 * c, width, classes)
        initialise(self)

    def set_classes(self, classes: int, rows: Sequence[int | None] | None = None) -> None:
        """Replace the prediction layers by ones of `classes` outputs: the present `rows`, or fresh ones."""
        for head in filter(None, (self.final_layer, self.seghead_extra)):
            head.conv2 = replaced_classifier(head.conv2, classes, rows)
        self.classes = classes

    def published_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The entries of a published file that belong here, without prefix, losses and an unused head."""
        for prefix in ("module.", "model."):
            if any(key.startswith(prefix) for key in state):
                state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        return {k: v for k, v in state.items() if self.seghead_extra is not None or not k.startswith(AUX)}

    def pruned(self) -> "DDRNet":
        """The same network, with the same parts, without its auxiliary head, which serves training only."""
        pruned = copy.copy(self)
        pruned._modules = {**self._modules, "seghead_extra": None}
        return pruned

    def features(self, x: Tensor) -> Features:
        """Layer 1 (stride 4), the sum of both branches (stride 8), the prediction layer's input (stride 8)."""
        early = self.conv1[:3](x)  # (B, c, H/2, W/2)
        low = F.relu(self.layer1(self.conv1[3:](early)))
        slow = fast = F.relu(self.layer2(low))
        for stage in self.stages:
            context = self.get_submodule(f"layer{stage}")(slow)
            detail = self.get_submodule(f"layer{stage}_")(fast)
            slow = F.relu(context + self.get_submodule(f"down{stage}")(F.relu(detail)))
            # DEVIATION: DDRNet resizes to the other branch, not to H / 8, so that sizes need not be multiples of 8.
            fused = detail + resize(self.get_submodule(f"compression{stage}")(F.relu(context)), detail)
            fast = F.relu(fused)
            if stage != "4":
                tap = fused
        detail = self.layer5_(fast)
        deep = detail + resize(self.spp(self.layer5(slow)), detail)
        last = self.final_layer.features(deep)
        return Features(low, deep, last, None if self.seghead_extra is None else self.seghead_extra(tap), early)

    def classify(self, last: Tensor) -> Tensor:
        return self.final_layer.conv2(last)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classify(self.features(x).last), x)


def ddrnet(variant: str, classes: int = 19, *, aux: bool = False) -> DDRNet:
    """Build a variant, with the auxiliary head if `aux`. Raises ValueError for an unknown one."""
    if variant not in VARIANTS:
        raise ValueError(f"DDRNet variant {variant!r}; allowed: {', '.join(VARIANTS)}")
    # DEVIATION: in the runs of this study DDRNet has no auxiliary head, whose loss the paper adds with weight 0.4. The
    # hosts that end in _aux have it.
    return DDRNet(variant, classes, aux)


def ddrnet_aux(variant: str, classes: int = 19) -> DDRNet:
    """Build a variant with its auxiliary head, whose loss the paper adds with weight 0.4."""
    return ddrnet(variant, classes, aux=True)
