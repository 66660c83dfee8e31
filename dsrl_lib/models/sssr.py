"""Semantic segmentation super-resolution: learned upsampling of the class map to 2x the input (paper, Sec. 3.2).

Both heads read the host's class map at half the input size and write logits at twice the input size. The start
is a factor of the study: a random start must relearn what bilinear interpolation gives for free.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.allowed import check
from dsrl_lib.models.cpu_gradients import PReLU
from dsrl_lib.section import kinds
from dsrl_lib.settings import Model


class DeconvHead(nn.Module):
    """The released head: two 3x3 stride-2 transposed convolutions on the class map, (B, K, h, w) -> (B, K, 4h, 4w).

    Bilinear start: place i of the class map goes to 4 i, as with aligned corners, and the last three rows and columns
    fade to zero. With align_corners=False it would go to 4 i + 1.5, as `SubpixelHead` starts.
    Random start: each deconvolution is followed by batch norm and PReLU, as in the released code.
    norm: "start", as just said and as below; "batch" or "none" for either start, with PReLUs of slope 1. ValueError for
    another start or norm.
    """

    def __init__(self, classes: int, start: str, norm: str = "start") -> None:
        super().__init__()
        check("start", start, kinds(Model)["sssr_start"])
        check("norm", norm, kinds(Model)["sssr_norm"])
        self.steps = nn.Sequential(*_deconvolution(classes, start, norm), *_deconvolution(classes, start, norm))

    def forward(self, class_map: Tensor) -> Tensor:
        return self.steps(class_map)  # (B, K, 4h, 4w)


def _deconvolution(classes: int, start: str, norm: str) -> list[nn.Module]:
    deconv = nn.ConvTranspose2d(classes, classes, 3, stride=2, padding=1, output_padding=1, bias=False)
    if start == "random":
        nn.init.kaiming_normal_(deconv.weight, mode="fan_out", nonlinearity="relu")
    else:
        tent = torch.tensor([0.5, 1.0, 0.5])
        with torch.no_grad():
            deconv.weight.copy_(torch.eye(classes)[:, :, None, None] * torch.outer(tent, tent))  # (K, K, 3, 3)
    if norm == "start" and start == "random":
        return [deconv, nn.BatchNorm2d(classes), PReLU(classes)]
    # DEVIATION: with the bilinear start the SSSR head has no batch norm, and PReLU starts with slope 1: batch norm and
    # the usual slope would undo the interpolation that the head starts as.
    return [deconv, *([nn.BatchNorm2d(classes)] if norm == "batch" else []), PReLU(classes, init=1.0)]


class SubpixelHead(nn.Module):
    """A 3x3 convolution to 16 K channels and a pixel shuffle, (B, K, h, w) -> (B, K, 4h, 4w) (ESPCN, Shi 2016).

    Bilinear start: exactly bilinear interpolation x4 with align_corners=False, borders included. ValueError for another
    start.
    """

    factor = 4

    def __init__(self, classes: int, start: str) -> None:
        super().__init__()
        check("start", start, kinds(Model)["sssr_start"])
        self.conv = nn.Conv2d(classes, classes * self.factor**2, 3, padding=1, padding_mode="replicate")
        nn.init.zeros_(self.conv.bias)
        if start == "random":
            nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        else:
            with torch.no_grad():
                self.conv.weight.copy_(self._interpolation(classes))

    def _interpolation(self, classes: int) -> Tensor:
        offset = (torch.arange(self.factor) + 0.5) / self.factor - 0.5  # of each output pixel, in input pixels
        taps = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)], dim=1)  # (4, 3)
        kernels = torch.einsum("ia,jb->ijab", taps, taps).reshape(-1, 1, 3, 3)  # (16, 1, 3, 3)
        weight = torch.zeros(classes, self.factor**2, classes, 3, 3)
        weight[range(classes), :, range(classes)] = kernels[:, 0]
        return weight.flatten(0, 1)  # (16 K, K, 3, 3)

    def forward(self, class_map: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(class_map), self.factor)  # (B, K, 4h, 4w)
