"""Single-image super-resolution: an ESPCN-style decoder from the shared features to the HR image (paper, Sec. 3.2).

The paper names ESPCN and gives no layers; widths and the sub-pixel output follow ESPCN (Shi et al., CVPR 2016).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv_bn_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SISRHead(nn.Module):
    """Shared features at stride 4 and deeper -> RGB image at 2x the input.

    low: (B, low_channels, H/4, W/4). deep: (B, deep_channels, h, w) of any smaller size.
    """

    new_at_warm_start = True
    """Stage 2 adds it to the network of stage 1."""
    features_channels = 32
    factor = 8  # from stride 4 of the input to 2x the input

    def __init__(self, low_channels: int, deep_channels: int) -> None:
        super().__init__()
        self.low = _conv_bn_relu(low_channels, 32, 1)
        self.deep = _conv_bn_relu(deep_channels, 32, 1)
        self.body = nn.Sequential(_conv_bn_relu(64, 64, 3), _conv_bn_relu(64, self.features_channels, 3))
        self.predict = nn.Conv2d(self.features_channels, 3 * self.factor**2, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Kaiming's variance assumes a rectifier behind; the picture starts near its mean instead.
        nn.init.normal_(self.predict.weight, std=1e-2)
        nn.init.zeros_(self.predict.bias)

    def features(self, low: Tensor, deep: Tensor) -> Tensor:
        """The last feature map before the prediction layer, (B, 32, H/4, W/4)."""
        deep = F.interpolate(self.deep(deep), low.shape[2:], mode="bilinear", align_corners=False)
        return self.body(torch.cat([self.low(low), deep], dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, 32, H/4, W/4). Returns the image in normalised units, (B, 3, 2H, 2W)."""
        return F.pixel_shuffle(self.predict(features), self.factor)
