"""Single-image super-resolution: an ESPCN-style decoder from the shared features to the HR image (paper, Sec. 3.2).

The paper names ESPCN and gives no layers; widths and the sub-pixel output follow ESPCN (Shi et al., CVPR 2016).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.models.layers import conv_bn_relu

# DEVIATION: the paper gives no layers of SISR. Ours are two convolutions and a pixel shuffle, on two maps of the
# encoder.
WIDTH = 64
EDSR_BLOCKS, EDSR_SCALE = 4, 0.1


class SISRHead(nn.Module):
    """Shared features at stride 4 and deeper -> RGB image at 2x the input.

    low: (B, low_channels, H/4, W/4). deep: (B, deep_channels, h, w) of any smaller size.
    fine: (B, C, rH/4, rW/4), with fine_channels = (C, r): a map at a smaller stride, or the input itself (r = 4), of
    which each r x r pixels become channels of one. None: as the paper says, the shared features are all it sees.
    residual: the head gives the detail that is added to an interpolation; it starts as zero, so that at first no
    gradient passes it. decoder: "espcn", two 3x3 convolutions, or "edsr", with four residual blocks between them.
    """

    new_at_warm_start = True
    """Stage 2 adds it to the network of stage 1."""
    features_channels = 32
    factor = 8  # from stride 4 of the input to 2x the input

    def __init__(
        self,
        low_channels: int,
        deep_channels: int,
        *,
        fine_channels: tuple[int, int] | None = None,
        residual: bool = False,
        decoder: str = "espcn",
    ) -> None:
        super().__init__()
        self.residual = residual
        self.low = conv_bn_relu(low_channels, 32, 1)
        self.deep = conv_bn_relu(deep_channels, 32, 1)
        self.fine, inputs = None, 64
        if fine_channels is not None:
            channels, self.fold = fine_channels
            self.fine, inputs = conv_bn_relu(channels * self.fold**2, 32, 1), 96
        blocks = [_ResidualBlock() for _ in range(EDSR_BLOCKS if decoder == "edsr" else 0)]
        self.body = nn.Sequential(
            conv_bn_relu(inputs, WIDTH, 3), *blocks, conv_bn_relu(WIDTH, self.features_channels, 3)
        )
        self.predict = nn.Conv2d(self.features_channels, 3 * self.factor**2, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Kaiming's variance assumes a rectifier behind; the picture starts near its mean instead.
        nn.init.normal_(self.predict.weight, std=0.0 if residual else 1e-2)
        nn.init.zeros_(self.predict.bias)

    def features(self, low: Tensor, deep: Tensor, fine: Tensor | None = None) -> Tensor:
        """The last feature map before the prediction layer, (B, 32, H/4, W/4)."""
        deep = F.interpolate(self.deep(deep), low.shape[2:], mode="bilinear", align_corners=False)
        maps = [self.low(low), deep]
        if self.fine is not None:
            maps.append(self.fine(_fold(fine, self.fold, tuple(low.shape[2:]))))  # (B, 32, H/4, W/4)
        return self.body(torch.cat(maps, dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, 32, H/4, W/4). Returns the image, or its detail, in normalised units, (B, 3, 2H, 2W)."""
        return F.pixel_shuffle(self.predict(features), self.factor)


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions without batch norm around a shortcut, scaled (EDSR, Lim et al., CVPR Workshops 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + EDSR_SCALE * self.convs(x)


def _fold(x: Tensor, r: int, size: tuple[int, int]) -> Tensor:
    """(B, C, about r h, about r w) -> (B, C r^2, h, w) without loss; the last pixels are repeated at odd sizes."""
    down, right = (r * side - there for side, there in zip(size, x.shape[2:], strict=True))
    return F.pixel_unshuffle(F.pad(x, (0, right, 0, down), mode="replicate"), r)  # (B, C r^2, h, w)
