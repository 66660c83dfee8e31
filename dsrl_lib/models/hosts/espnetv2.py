"""ESPNetv2 for segmentation, in the EdgeNets version whose Cityscapes weights are published.

Mehta et al., "ESPNetv2: A Light-weight, Power Efficient, and General Purpose Convolutional Neural Network",
CVPR 2019. The encoder is the classifier's without level 5; the decoder is four pyramid-pooling blocks joined
by merge layers. Module names are those of the published state dicts.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.cpu_gradients import BatchNormPReLU, DepthwiseConv2d, PReLU
from dsrl_lib.models.host import Features, initialise, replaced_classifier
from dsrl_lib.models.sizes import adaptive_average, at_least, ceil_div

CLASSES = 20  # 19 Cityscapes classes and a "background" that no label ever holds
PYRAMID = 10  # width of the pyramid-pooling blocks, min(CLASSES // 2, 16)
PYRAMID_SCALES = ((2, 1), (3, 2), (1, 1), (1, 2), (1, 10))  # numerator and denominator
SMALLEST_BRANCH = 5
LEVEL1_CHANNELS = {0.5: 16, 1.0: 32, 1.5: 32, 2.0: 32}


def conv(inputs: int, outputs: int, kernel: int, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size up to its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def encoder_cbr(inputs: int, outputs: int, kernel: int, groups: int = 1, stride: int = 1) -> nn.Sequential:
    layer = conv(inputs, outputs, kernel, groups, stride)
    return BatchNormPReLU(OrderedDict(conv=layer, bn=nn.BatchNorm2d(outputs), act=PReLU(outputs)))


def encoder_cb(inputs: int, outputs: int, groups: int = 1) -> nn.Sequential:
    return named(conv=conv(inputs, outputs, 1, groups), bn=nn.BatchNorm2d(outputs))


def br(channels: int) -> nn.Sequential:
    return BatchNormPReLU(nn.BatchNorm2d(channels), PReLU(channels))


def decoder_cbr(layer: nn.Conv2d) -> nn.Sequential:
    return named(cbr=BatchNormPReLU(layer, *br(layer.out_channels)))


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=True)


def pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)  # padding zeros count in the mean


class EESP(nn.Module):
    """Extremely efficient spatial pyramid: four dilated depth-wise convolutions of one reduced map, added up.

    A strided unit returns the expansion itself: no residual and no final activation.
    """

    def __init__(self, inputs: int, outputs: int, dilations: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        width = outputs // 4
        self.stride = stride
        self.proj_1x1 = encoder_cbr(inputs, width, 1, groups=4)
        self.spp_dw = nn.ModuleList(named(conv=DepthwiseConv2d(width, stride, d)) for d in dilations)
        self.br_after_cat = BatchNormPReLU(OrderedDict(bn=nn.BatchNorm2d(outputs), act=PReLU(outputs)))
        self.conv_1x1_exp = encoder_cb(outputs, outputs, groups=4)
        self.module_act = PReLU(outputs)
        # The published strided units own this activation but never apply it.
        self.module_act.weight.requires_grad_(stride == 1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        fused = [self.spp_dw[0](reduced)]
        for branch in self.spp_dw[1:]:
            fused.append(branch(reduced) + fused[-1])
        expanded = self.conv_1x1_exp(self.br_after_cat(torch.cat(fused, 1)))
        return expanded if self.stride == 2 else self.module_act(expanded + x)


class DownSampler(nn.Module):
    """Strided EESP beside an average pool, reinforced by the pooled input image."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.eesp = EESP(inputs, outputs - inputs, (1, 2, 3, 4), stride=2)
        self.inp_reinf = nn.Sequential(encoder_cbr(3, 3, 3), encoder_cb(3, outputs))
        self.act = PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        return self.act(torch.cat((pool(x), self.eesp(x)), 1) + self.inp_reinf(image))


class Encoder(nn.Module):
    """ESPNetv2 levels 1 to 4 at strides 2, 4, 8 and 16."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        c1, c2, c3, c4 = channels
        self.level1 = encoder_cbr(3, c1, 3, stride=2)
        self.level2_0 = DownSampler(c1, c2)
        self.level3_0 = DownSampler(c2, c3)
        self.level3 = nn.Sequential(*(EESP(c3, c3, (1, 2, 3, 4)) for _ in range(3)))
        self.level4_0 = DownSampler(c3, c4)
        self.level4 = nn.Sequential(*(EESP(c4, c4, (1, 1, 2, 3)) for _ in range(7)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image4 = pool(pool(x))
        image8 = pool(image4)
        e1 = self.level1(x)
        e2 = self.level2_0(e1, image4)
        e3 = self.level3(self.level3_0(e2, image8))
        e4 = self.level4(self.level4_0(e3, pool(image8)))
        return e1, e2, e3, e4


class ShuffledConv2d(nn.Conv2d):
    """Channel shuffle of the five branches followed by a 3x3 convolution in ten groups.

    Group i sees channel i of each branch, so this is a sum of depth-wise convolutions of the branches, which
    needs no shuffle and is several times faster than a grouped convolution.
    """

    def __init__(self) -> None:
        super().__init__(len(PYRAMID_SCALES) * PYRAMID, PYRAMID, 3, padding=1, groups=PYRAMID, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(x.split(PYRAMID, 1), self.weight.split(1, 1), strict=True)
        total = sum(F.conv2d(branch, weight, padding=1, groups=PYRAMID) for branch, weight in pairs)
        return total if self.bias is None else total + self.bias[:, None, None]  # a bias comes from folding alone


class PyramidPooling(nn.Module):
    """Efficient pyramid pooling: depth-wise convolutions at five scales of one narrow projection."""

    def __init__(self, inputs: int, outputs: int, last: bool = False) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DepthwiseConv2d(PYRAMID) for _ in PYRAMID_SCALES)
        self.projection_layer = decoder_cbr(conv(inputs, PYRAMID, 1))
        self.merge_layer = nn.Sequential(
            named(br=br(len(PYRAMID_SCALES) * PYRAMID)),
            nn.Identity(),  # the channel shuffle, done by the next layer
            decoder_cbr(ShuffledConv2d()),
            nn.Conv2d(PYRAMID, outputs, 1, bias=last),
        )
        self.br = nn.Identity() if last else named(br=br(outputs))

    def branch(self, x: Tensor, scale: tuple[int, int], stage: nn.Module) -> Tensor:
        full, (up, down) = x.shape[2:], scale
        height, width = (at_least(ceil_div(length * up, down), SMALLEST_BRANCH) for length in full)
        if up == down:
            return stage(x)
        if up > down:
            return adaptive_average(stage(resize(x, (height, width))), tuple(full))
        return resize(stage(adaptive_average(x, (height, width))), full)

    def features(self, x: Tensor) -> Tensor:
        """The ten channels that the last 1x1 convolution sees."""
        x = self.projection_layer(x)
        branches = [self.branch(x, *pair) for pair in zip(PYRAMID_SCALES, self.stages, strict=True)]
        return self.merge_layer[:3](torch.cat(branches, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.br(self.merge_layer[3](self.features(x)))


class Merge(nn.Module):
    """Projects an encoder map to the decoder's width and weighs its channels by global context."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv(inputs, outputs, 1), nn.Sigmoid())
        self.expansion_layer = decoder_cbr(conv(inputs, outputs, 3, math.gcd(inputs, outputs)))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


class ESPNetv2(nn.Module):
    """ESPNetv2 of width `scale` (0.5, 1.0, 1.5 or 2.0).

    The inner widths are always those of 20 classes, because they depend on the class count and the published
    weights have 20; `classes` changes the prediction layer alone. Raises ValueError for another scale.
    """

    align_corners = True  # of the published network's interpolation

    def __init__(self, scale: float, classes: int = CLASSES) -> None:
        super().__init__()
        if scale not in LEVEL1_CHANNELS:
            raise ValueError(f"scale {scale}: allowed are {', '.join(map(str, LEVEL1_CHANNELS))}")
        c1, c2, c3, c4 = LEVEL1_CHANNELS[scale], int(64 * scale), int(128 * scale), int(256 * scale)
        self.classes, self.low_channels, self.deep_channels, self.last_channels = CLASSES, c2, c4, PYRAMID
        self.early_channels = c1
        self.base_net = Encoder((c1, c2, c3, c4))
        self.bu_dec_l1 = PyramidPooling(c4, 64)
        self.merge_enc_dec_l2, self.bu_br_l2 = Merge(c3, 64), br(64)
        self.bu_dec_l2 = PyramidPooling(64, 48)
        self.merge_enc_dec_l3, self.bu_br_l3 = Merge(c2, 48), br(48)
        self.bu_dec_l3 = PyramidPooling(48, 32)
        self.merge_enc_dec_l4, self.bu_br_l4 = Merge(c1, 32), br(32)
        self.bu_dec_l4 = PyramidPooling(32, CLASSES, last=True)
        initialise(self)
        if classes != CLASSES:
            self.set_classes(classes)

    def set_classes(self, classes: int, rows: Sequence[int | None] | None = None) -> None:
        """Replace the prediction layer by one of `classes` outputs: the present `rows`, or fresh ones."""
        self.bu_dec_l4.merge_layer[3] = replaced_classifier(self.bu_dec_l4.merge_layer[3], classes, rows)
        self.classes = classes

    def features(self, x: Tensor) -> Features:
        """Level 2 (stride 4), level 4 (stride 16), the input of the prediction layer and level 1 (both stride 2)."""
        e1, e2, e3, e4 = self.base_net(x)
        d = self.bu_dec_l1(e4)
        # DEVIATION: ESPNetv2 resizes to the skip map instead of doubling, so that sizes need not be multiples of 16.
        d = self.bu_dec_l2(self.bu_br_l2(self.merge_enc_dec_l2(e3) + resize(d, e3.shape[2:])))
        d = self.bu_dec_l3(self.bu_br_l3(self.merge_enc_dec_l3(e2) + resize(d, e2.shape[2:])))
        d = self.bu_br_l4(self.merge_enc_dec_l4(e1) + resize(d, e1.shape[2:]))
        return Features(low=e2, deep=e4, last=self.bu_dec_l4.features(d), early=e1)

    def classify(self, last: Tensor) -> Tensor:
        return self.bu_dec_l4.merge_layer[3](last)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classify(self.features(x).last), x.shape[2:])
