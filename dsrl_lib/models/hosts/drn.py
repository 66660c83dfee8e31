"""DRN-D-54: a residual network without max-pooling whose last stages are dilated instead of strided.

Yu, Koltun and Funkhouser, "Dilated Residual Networks", CVPR 2017. Module names are those of the published state dict.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.layers import conv_bn, conv_bn_relu

# of layers 3 to 6: blocks, width of the 3x3 convolution, stride, dilation
STAGES = ((3, 64, 2, 1), (4, 128, 2, 1), (6, 256, 1, 2), (3, 512, 1, 4))
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 with stride and dilation, and 1x1 convolution to four times the width, around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1, self.bn1 = conv_bn(inputs, width, 1)
        self.conv2, self.bn2 = conv_bn(width, width, 3, stride=stride, dilation=dilation)
        self.conv3, self.bn3 = conv_bn(width, outputs, 1)
        self.downsample = None if inputs == outputs else nn.Sequential(*conv_bn(inputs, outputs, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class DRN(nn.Module):
    """Images (B, 3, H, W) -> (B, 256, H/4, W/4) and (B, 512, H/8, W/8)."""

    channels = (256, 512)  # of the two maps

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = conv_bn_relu(3, 16, 7)
        self.layer1 = conv_bn_relu(16, 16, 3)
        self.layer2 = conv_bn_relu(16, 32, 3, stride=2)
        inputs = 32
        for number, (count, width, stride, dilation) in enumerate(STAGES, 3):
            first = Bottleneck(inputs, width, stride, dilation)
            inputs = EXPANSION * width
            others = [Bottleneck(inputs, width, 1, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *others))
        self.layer7 = conv_bn_relu(inputs, 512, 3, dilation=2)
        self.layer8 = conv_bn_relu(512, 512, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low = self.layer3(self.layer2(self.layer1(self.layer0(x))))
        return low, self.layer8(self.layer7(self.layer6(self.layer5(self.layer4(low)))))
