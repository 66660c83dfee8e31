"""DeepWV3Plus: DeepLabv3+ on WideResNet38-A2, the network of label relaxation.

Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label Relaxation", CVPR 2019. The trunk is from
Wu, Shen and van den Hengel, "Wider or Deeper: Revisiting the ResNet Model for Visual Recognition", 2019. Module names
are those of NVIDIA/semantic-segmentation.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.host import Features, initialise, replaced_classifier
from dsrl_lib.models.hosts.deeplabv3plus import LOW_WIDTH, RATES, WIDTH, resize
from dsrl_lib.models.layers import conv_bn_relu

# of mod2 to mod7: blocks, channels of a block's convolutions, stride, dilation, dropout before the last convolution
STAGES = (
    (3, (128, 128), 1, 1, 0.0),
    (3, (256, 256), 1, 1, 0.0),
    (6, (512, 512), 2, 1, 0.0),
    (3, (512, 1024), 1, 2, 0.0),
    (1, (512, 1024, 2048), 1, 4, 0.3),
    (1, (1024, 2048, 4096), 1, 4, 0.5),
)


def bn_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2, padding=1)


class Block(nn.Module):
    """Residual block of two 3x3, or of 1x1, 3x3 and 1x1 convolutions, with batch norm and ReLU before each.

    A shortcut that changes width or stride reads the input after batch norm and ReLU, any other the input itself.
    """

    def __init__(self, inputs: int, widths: Sequence[int], stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        same = stride == 1 and inputs == widths[-1]
        self.bn1 = bn_relu(inputs)
        self.proj_conv = None if same else nn.Conv2d(inputs, widths[-1], 1, stride, bias=False)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        kernels = (3, 3) if len(widths) == 2 else (1, 3, 1)
        for i, (kernel, width) in enumerate(zip(kernels, widths, strict=True), 1):
            if i > 1:
                layers[f"bn{i}"] = bn_relu(inputs)
            if i == 3:
                layers["dropout"] = nn.Dropout2d(dropout)
            step, rate = stride if i == 1 else 1, dilation if kernel == 3 else 1
            layers[f"conv{i}"] = nn.Conv2d(inputs, width, kernel, step, rate * (kernel // 2), rate, bias=False)
            inputs = width
        self.convs = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        active = self.bn1(x)
        return self.convs(active) + (x if self.proj_conv is None else self.proj_conv(active))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: global pooling, 1x1 and three dilated 3x3 convolutions, concatenated.

    The global branch gives batch norm one value per channel and image: training with batch 1 raises ValueError.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        dilated = [conv_bn_relu(inputs, WIDTH, 3, dilation=rate) for rate in RATES[8]]
        self.features = nn.ModuleList([conv_bn_relu(inputs, WIDTH), *dilated])
        self.img_conv = conv_bn_relu(inputs, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        image = self.img_conv(F.adaptive_avg_pool2d(x, 1)).expand(-1, -1, *x.shape[2:])
        return torch.cat([image, *(layer(x) for layer in self.features)], 1)  # (B, 5 * 256, h, w)


class DeepWV3Plus(nn.Module):
    """DeepLabv3+ with output stride 8 and a decoder at stride 2."""

    align_corners = True  # of the published network's interpolation

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mod1 = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 64, 3, padding=1, bias=False)))
        inputs = 64
        for number, (count, widths, stride, dilation, dropout) in enumerate(STAGES, 2):
            first = Block(inputs, widths, stride, dilation, dropout)
            inputs = widths[-1]
            others = [Block(inputs, widths, 1, dilation, dropout) for _ in range(count - 1)]
            blocks = OrderedDict((f"block{i}", block) for i, block in enumerate((first, *others), 1))
            self.add_module(f"mod{number}", nn.Sequential(blocks))
        self.aspp = ASPP(inputs)
        self.bot_fine = nn.Conv2d(128, LOW_WIDTH, 1, bias=False)
        self.bot_aspp = nn.Conv2d(5 * WIDTH, WIDTH, 1, bias=False)
        self.final = nn.Sequential(
            *conv_bn_relu(LOW_WIDTH + WIDTH, WIDTH, 3),
            *conv_bn_relu(WIDTH, WIDTH, 3),
            nn.Conv2d(WIDTH, classes, 1, bias=False),
        )
        self.classes, self.low_channels, self.deep_channels, self.last_channels = classes, 256, WIDTH, WIDTH
        self.early_channels = 128
        initialise(self)

    def set_classes(self, classes: int, rows: Sequence[int | None] | None = None) -> None:
        """Replace the prediction layer by one of `classes` outputs: the present `rows`, or fresh ones."""
        self.final[-1] = replaced_classifier(self.final[-1], classes, rows)
        self.classes = classes

    def published_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The entries of a published file without the prefix that training on several GPUs gave them."""
        return {key.removeprefix("module."): value for key, value in state.items()}

    def features(self, x: Tensor) -> Features:
        """mod3 (stride 4; the decoder itself reads mod2), ASPP's output (stride 8), the decoder's (stride 2)."""
        fine = self.mod2(pool(self.mod1(x)))
        low = self.mod3(pool(fine))
        deep = self.bot_aspp(self.aspp(self.mod7(self.mod6(self.mod5(self.mod4(low))))))
        last = self.final[:-1](torch.cat((self.bot_fine(fine), resize(deep, fine)), 1))
        return Features(low, deep, last, early=fine)

    def classify(self, last: Tensor) -> Tensor:
        return self.final[-1](last)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classify(self.features(x).last), x)
