"""DeepLabv3+ on backbones of timm and of the earlier PyTorch systems.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018.
"""

# DEVIATION: DeepLabv3+ has ordinary convolutions in ASPP and decoder, and dropout, as in the common PyTorch
# implementation.

from collections.abc import Mapping, Sequence

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.cpu_products import train_faster
from dsrl_lib.models.host import Features, initialise, replaced_classifier
from dsrl_lib.models.hosts.aligned_xception import AlignedXception
from dsrl_lib.models.hosts.drn import DRN
from dsrl_lib.models.hosts.efficientnet_lite import EfficientNetLite0
from dsrl_lib.models.layers import conv_bn_relu

TIMM = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "mobilenetv2": "mobilenetv2_100",
    # DEVIATION: SE-ResNeXt-50 is timm's, with padded max-pooling and output stride 16; Zhu et al. (CVPR 2019) pad
    # nothing there and use output stride 8.
    "seresnext50": "seresnext50_32x4d",
}
# Output strides by backbone, the usual one first.
BACKBONES = {**dict.fromkeys((*TIMM, "xception", "efficientnet_lite0"), (16, 8)), "drn_d_54": (8,)}
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}
WIDTH, LOW_WIDTH = 256, 48


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, tuple(like.shape[2:]), mode="bilinear", align_corners=True)


def build_backbone(name: str, output_stride: int) -> tuple[nn.Module, tuple[int, int]]:
    """A network that turns an image into its maps at strides 4 and `output_stride`, and the channels of both."""
    if name in TIMM:
        network = timm.create_model(TIMM[name], features_only=True, out_indices=(1, 4), output_stride=output_stride)
        return network, tuple(network.feature_info.channels())
    if name == "efficientnet_lite0":
        network = EfficientNetLite0(output_stride)
    else:
        network = DRN() if name == "drn_d_54" else AlignedXception(output_stride)
    return network, network.channels


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3 and global pooling, joined to 256 channels.

    The global branch gives batch norm one value per channel and image: training with batch 1 raises ValueError.
    """

    def __init__(self, inputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([conv_bn_relu(inputs, WIDTH)])
        self.branches.extend(conv_bn_relu(inputs, WIDTH, 3, dilation=rate) for rate in rates)
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(inputs, WIDTH))
        self.project = nn.Sequential(conv_bn_relu(5 * WIDTH, WIDTH), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        return self.project(torch.cat([*maps, self.image(x).expand_as(maps[0])], 1))


class DeepLabV3Plus(nn.Module):
    """DeepLabv3+ with `output_stride` 16 or 8, by default 16, or 8 where the backbone has no other.

    Raises ValueError for an unknown backbone, or an output stride that it does not have.
    """

    align_corners = True  # of the common implementation's interpolation

    def __init__(self, backbone: str, classes: int, output_stride: int | None = None) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"DeepLabv3+ backbone {backbone!r}; allowed: {', '.join(BACKBONES)}")
        allowed = BACKBONES[backbone]
        output_stride = allowed[0] if output_stride is None else output_stride
        if output_stride not in allowed:
            strides = ", ".join(map(str, allowed))
            raise ValueError(f"output_stride {output_stride} of backbone {backbone!r}; allowed: {strides}")
        self.backbone, (low, high) = build_backbone(backbone, output_stride)
        self.classes, self.low_channels, self.deep_channels, self.last_channels = classes, low, WIDTH, WIDTH
        self.aspp = ASPP(high, RATES[output_stride])
        self.low = conv_bn_relu(low, LOW_WIDTH)
        self.decoder = nn.Sequential(
            *(conv_bn_relu(WIDTH + LOW_WIDTH, WIDTH, 3), nn.Dropout(0.5)),
            *(conv_bn_relu(WIDTH, WIDTH, 3), nn.Dropout(0.1)),
        )
        self.classifier = nn.Conv2d(WIDTH, classes, 1)
        initialise(self)
        train_faster(self)

    def set_classes(self, classes: int, rows: Sequence[int | None] | None = None) -> None:
        """Replace the prediction layer by one of `classes` outputs: the present `rows`, or fresh ones."""
        self.classifier = replaced_classifier(self.classifier, classes, rows)
        self.classes = classes

    def published_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A published state dict of this network, or of its encoder alone, under the names that it has here."""
        encoder = getattr(self.backbone, "published_state", None)
        if encoder is None or any(key.startswith("backbone.") for key in state):
            return dict(state)
        return {f"backbone.{key}": value for key, value in encoder(state).items()}

    def features(self, x: Tensor) -> Features:
        """Backbone at stride 4, ASPP's output and the decoder's 256 channels (stride 4)."""
        low, high = self.backbone(x)
        deep = self.aspp(high)
        last = self.decoder(torch.cat((resize(deep, low), self.low(low)), 1))
        return Features(low, deep, last)

    def classify(self, last: Tensor) -> Tensor:
        return self.classifier(last)

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.classify(self.features(x).last), x)
