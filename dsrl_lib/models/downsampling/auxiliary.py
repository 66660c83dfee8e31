"""The auxiliary network that predicts the sampling locations from a small image (Marin et al., ICCV 2019, Sec. 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsrl_lib.models.downsampling.locations import uniform_locations
from dsrl_lib.models.layers import conv_bn_relu
from dsrl_lib.models.sizes import exporting

STRIDE = 8
"""Side of the image that the network sees over side of its grid."""


def _separable(inputs: int, outputs: int, **options: int) -> nn.Sequential:
    depthwise = conv_bn_relu(inputs, inputs, 3, groups=inputs, **options)
    return nn.Sequential(depthwise, conv_bn_relu(inputs, outputs, 1))


class LocationNetwork(nn.Module):
    """Image -> locations near the boundaries that it expects, as shifts of a trainable mean grid.

    grid: (n, m), the locations that are predicted; the network sees the image at 8 times this size. Its last layer
    gives shifts in cells of the grid: they are about as large as its features, which shares of the frame are not.
    """

    # DEVIATION: the auxiliary network of adaptive downsampling (Marin et al.) is two stacked U-Nets of 256 channels in
    # the paper and a MobileNetV2 of 17.6 M MACs, a fifth of a small host, in the released code. Separable convolutions
    # that see the whole image do with 2 M at 8x8.
    def __init__(self, grid: tuple[int, int] = (8, 8)) -> None:
        super().__init__()
        self.input_size = (STRIDE * grid[0], STRIDE * grid[1])
        self.stem = nn.Sequential(
            conv_bn_relu(3, 16, 3, stride=2),
            _separable(16, 32, stride=2),
            _separable(32, 64, stride=2),
        )
        self.context = nn.ModuleList(_separable(64, 64, dilation=dilation) for dilation in (1, 2, 4, 1))
        self.shift = nn.Conv2d(64, 2, 1)
        # DEVIATION: weight decay also acts on the mean grid of the auxiliary network of adaptive downsampling, since it
        # has three axes like a kernel, and pulls it towards a corner of the frame: untrained, by 1 % over the study's
        # schedule, which the loss makes good. All runs of the study were trained so.
        self.mean = nn.Parameter(uniform_locations(grid))  # (n, m, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.shift.weight)  # training starts at the mean grid
        nn.init.zeros_(self.shift.bias)

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, 3, H, W), normalised, of any size. Returns locations (B, n, m, 2); apply `unfolded` before use."""
        if exporting() or tuple(image.shape[2:]) != self.input_size:
            image = F.interpolate(image, self.input_size, mode="bilinear", align_corners=False, antialias=True)
        x = self.stem(image)  # (B, 64, n, m)
        for block in self.context:
            x = x + block(x)
        cells = torch.tensor([side - 1 for side in self.mean.shape[:2]], dtype=x.dtype).to(x.device, non_blocking=True)
        return self.mean + self.shift(x).movedim(1, -1) / cells  # (B, n, m, 2)
