"""Modified Aligned Xception-65, the backbone of the DeepLabv3+ paper.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018, Fig. 4.
Module names are those of jfzhang95/pytorch-deeplab-xception.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def separable(inputs: int, outputs: int, stride: int = 1, rate: int = 1) -> nn.Sequential:
    """Depth-wise 3x3 convolution, batch norm, 1x1 convolution."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, rate, rate, inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(OrderedDict(conv1=depthwise, bn=nn.BatchNorm2d(inputs), pointwise=pointwise))


class Block(nn.Module):
    """ReLU, separable convolution and batch norm, three times, around a shortcut. The last one has the stride.

    widths: channels of the input and after each convolution. rates: dilations.
    """

    def __init__(
        self, widths: Sequence[int], stride: int = 1, rates: Sequence[int] = (1, 1, 1), relu_first: bool = True
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        layers: list[nn.Module] = [nn.Identity()]  # in the place of the first ReLU, which is in `forward`
        for i, step in enumerate((1, 1, stride)):
            norm = nn.BatchNorm2d(widths[i + 1])
            layers += [separable(widths[i], widths[i + 1], step, rates[i]), norm, nn.ReLU(inplace=True)]
        self.rep = nn.Sequential(*layers[0 if relu_first else 1 : -1])
        self.skip = None
        if widths[0] != widths[-1]:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        # DEVIATION: the shortcuts of Aligned Xception read the input after its ReLU, as in the common PyTorch
        # implementation, where that ReLU works in place.
        if self.relu_first:
            x = F.relu(x)
        return self.rep(x) + (x if self.skip is None else self.skipbn(self.skip(x)))


class AlignedXception(nn.Module):
    """Images (B, 3, H, W) -> (B, 128, H/4, W/4) and (B, 2048, H/S, W/S), with `output_stride` S = 16 or 8."""

    channels = (128, 2048)  # of the two maps

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        rate = 16 // output_stride
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        self.block1 = Block((64, 128, 128, 128), stride=2, relu_first=False)
        self.block2 = Block((128, 256, 256, 256), stride=2, relu_first=False)
        self.block3 = Block((256, 728, 728, 728), stride=output_stride // 8)
        for i in range(4, 20):
            self.add_module(f"block{i}", Block((728,) * 4, rates=(rate,) * 3))
        self.block20 = Block((728, 728, 1024, 1024), rates=(rate, rate, 1))
        self.conv3, self.bn3 = separable(1024, 1536, rate=2 * rate), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = separable(1536, 1536, rate=2 * rate), nn.BatchNorm2d(1536)
        self.conv5, self.bn5 = separable(1536, 2048, rate=2 * rate), nn.BatchNorm2d(2048)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        low = F.relu(self.block1(x))
        x = self.block2(low)
        for i in range(3, 21):
            x = self.get_submodule(f"block{i}")(x)
        x = F.relu(x)
        for i in (3, 4, 5):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x)), inplace=True)
        return low, x
