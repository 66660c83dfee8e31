"""The DSRL framework around any host (Wang et al., CVPR 2020, Sec. 3): SSSR, SISR and the FA taps.

SISR, the feature transform and an auxiliary head of the host serve training only: `prune` drops them and leaves the
logits as they were.
"""

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dsrl_lib.allowed import check
from dsrl_lib.config import Config
from dsrl_lib.models.downsampling.downsampler import Downsampler
from dsrl_lib.models.host import NEEDED, Features
from dsrl_lib.models.layers import conv_bn_relu
from dsrl_lib.models.sisr import SISRHead
from dsrl_lib.models.sizes import ceil_div, exporting, resized
from dsrl_lib.models.sssr import DeconvHead, SubpixelHead
from dsrl_lib.section import kinds
from dsrl_lib.settings import Model

HEADS = {"deconv": DeconvHead, "subpixel": SubpixelHead}


class DSRL(nn.Module):
    """A host with the parts that an arm trains: by default SSSR alone; with sisr=True and fa=True the paper's method.

    host: see `models.host`. The other parts are named as in `settings.Model`:
    sssr: learned upsampling to 2x the input; without it the logits have the input's size. sssr_head, sssr_start,
        sssr_norm: form, start and batch norms of the SSSR head (sssr_norm: of "deconv" alone).
    sisr: add image reconstruction. sisr_taps: what its head sees, "deep", the shared features alone; "stride2", the
        host's map at stride 2 too; "input", the input too. sisr_residual: add the head's output to the bicubic
        interpolation of the input. sisr_decoder: "espcn" or "edsr".
    fa: add the maps whose affinities are compared, taken at `fa_placement` ("features": before each prediction layer,
        "output": logits and image), after a feature transform `ftm` on the segmentation side ("keep" its channels,
        "to3", or "none").
    downsampling: the part that samples the frame for the host, whose weights are its own (`models.downsampling`). The
        network is then given the frame at HR, and its logits have the frame's size.
    seed: of the initial weights of all other added parts. They have a generator of their own, so that adding a branch
        moves neither the host's start nor the data order.
    """

    def __init__(
        self,
        host: nn.Module,
        *,
        sssr: bool = True,
        sssr_head: str = "deconv",
        sssr_start: str = "bilinear",
        sssr_norm: str = "start",
        sisr: bool = False,
        sisr_taps: str = "deep",
        sisr_residual: bool = False,
        sisr_decoder: str = "espcn",
        fa: bool = False,
        fa_placement: str = "features",
        ftm: str = "keep",
        downsampling: Downsampler | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {
            "sssr": sssr, "sssr_head": sssr_head, "sssr_start": sssr_start, "sssr_norm": sssr_norm, "sisr": sisr,
            "sisr_taps": sisr_taps, "sisr_residual": sisr_residual, "sisr_decoder": sisr_decoder, "fa": fa,
            "fa_placement": fa_placement, "ftm": ftm,
        }.items():  # fmt: skip
            check(name, value, kinds(Model)[name])  # text too, of which every one is true, also "false"
        check("seed", seed, kinds(Config)["seed"])
        if sssr_norm != "start" and sssr_head != "deconv":
            raise ValueError(f"sssr_norm = {sssr_norm!r}; allowed: start with sssr_head = {sssr_head!r}, which has no "
                             "batch norms")  # fmt: skip
        if fa and not (sisr and sssr):
            raise ValueError("fa=True compares the SSSR and SISR branches: it needs sssr=True and sisr=True")
        if missing := [name for name in NEEDED if not hasattr(host, name)]:
            raise ValueError(
                f"host = a {type(host).__name__}, which has no {missing[0]}; allowed: a host (models/host.py), or "
                "NamedLayers(network, ...) around any other network"
            )
        early = getattr(host, "early_channels", 0)
        if sisr and sisr_taps == "stride2" and not early:
            raise ValueError("sisr_taps = 'stride2', but this host has no map at stride 2; allowed: deep, input")
        self.host = host
        self.downsampling = downsampling
        self.sisr_taps = sisr_taps
        fine = {"deep": None, "stride2": (early, 2), "input": (3, 4)}[sisr_taps]
        self.fa_placement = fa_placement
        seg_channels = host.last_channels if fa_placement == "features" else host.classes
        ftm_channels = {"keep": seg_channels, "to3": 3}
        norms = {"norm": sssr_norm} if sssr_head == "deconv" else {}
        self.sssr = _seeded(seed, 1, lambda: HEADS[sssr_head](host.classes, sssr_start, **norms)) if sssr else None
        sisr_head = partial(SISRHead, fine_channels=fine, residual=sisr_residual, decoder=sisr_decoder)
        self.sisr = _seeded(seed, 2, lambda: sisr_head(host.low_channels, host.deep_channels)) if sisr else None
        self.sisr_alone = False
        """While true, no gradient of the image reaches the host: the SISR head warms up."""
        has_ftm = fa and ftm != "none"
        self.ftm = _seeded(seed, 3, lambda: FeatureTransform(seg_channels, ftm_channels[ftm])) if has_ftm else None
        self.fa = fa

    def forward(self, x: Tensor, locations: Tensor | None = None) -> dict[str, Tensor]:
        """x: (B, 3, H, W), normalised RGB at the input size; at HR if the network samples it.
        locations: (B, n, m, 2), where it samples, if that is not its own choice (`downsampling.GIVEN`).

        Returns a dictionary with `logits`, (B, K, 2H, 2W) with an SSSR head and (B, K, H, W) without; `image`,
        (B, 3, 2H, 2W) in normalised units, with SISR; `seg_map`, (B, Ca, h, w), and `sr_map`, (B, Cb, h', w'), with FA;
        `aux` where the host has an auxiliary head. A network that samples x returns `logits`, `image` and `aux` at the
        size of x; in a training step of its auxiliary network alone, it returns `locations` alone, (B, n, m, 2).
        ValueError for another x.
        """
        if not exporting() and (x.dim() != 4 or x.shape[1] != 3 or not x.is_floating_point()):
            kind = str(x.dtype).removeprefix("torch.")
            raise ValueError(f"x is {kind} {tuple(x.shape)}; allowed: floats (B, 3, H, W), normalised RGB")
        if self.downsampling is None:
            return self._outputs(x)
        if self.downsampling.alone:
            return {"locations": self.downsampling.predicted(x)}
        samples, places = self.downsampling(x, locations)  # (B, 3, h, w), (B, H, W, 2)
        out = self._outputs(samples)
        # FA compares two maps of the same samples; all else is compared with what is known of the frame.
        there = {name for name in out if name not in ("seg_map", "sr_map")}
        return out | {name: self.downsampling.back(out[name], places, x) for name in there}  # (B, C, H, W)

    def _outputs(self, x: Tensor) -> dict[str, Tensor]:
        features = self.host.features(x)
        class_map = self.host.classify(features.last)  # (B, K, h, w)
        out = {"logits": self._upsample(class_map, self._size(x))}
        if features.aux is not None:
            out["aux"] = features.aux
        if self.sisr:
            out["image"], sr_features = self.reconstruct(x, features)
        if self.fa:
            pair = (features.last, sr_features) if self.fa_placement == "features" else (out["logits"], out["image"])
            out["seg_map"], out["sr_map"] = (self.ftm(pair[0]) if self.ftm else pair[0]), pair[1]
        return out

    def reconstruct(self, x: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """The image of the SISR branch, of the size of the logits, and its last feature map, (B, 32, H/4, W/4).

        x: (B, 3, H, W). features: the host's maps of x, or of another input of this size. ValueError without SISR.
        """
        if self.sisr is None:
            raise ValueError("sisr = False: this network has no SISR branch")
        maps = [features.low, features.deep, {"deep": None, "stride2": features.early, "input": x}[self.sisr_taps]]
        if self.sisr_alone:
            maps = [None if m is None else m.detach() for m in maps]
        sr_features = self.sisr.features(*maps)
        size = self._size(x)
        image = resized(self.sisr(sr_features), size)
        if self.sisr.residual:
            image = F.interpolate(x, size, mode="bicubic", align_corners=False) + image
        return image, sr_features

    def _size(self, x: Tensor) -> tuple[int, int]:
        """Of the outputs for an input x."""
        return (2 * x.shape[2], 2 * x.shape[3]) if self.sssr else (x.shape[2], x.shape[3])

    def _upsample(self, class_map: Tensor, size: tuple[int, int]) -> Tensor:
        if self.sssr is None:
            return F.interpolate(class_map, size, mode="bilinear", align_corners=self.host.align_corners)
        # DEVIATION: a host whose class map is coarser than ESPNetv2's is first interpolated to half the input, so
        # that every host has the released head.
        half = ceil_div(size[0], 4), ceil_div(size[1], 4)  # half the input, rounded up as strided convolutions do
        upsampled = self.sssr(resized(class_map, half))  # for odd inputs a few pixels larger than 2x the input
        return resized(upsampled, size)

    def prune(self) -> "DSRL":
        """The network for inference: SISR head, feature transform and an auxiliary head of the host are gone.

        Its parts are those of this network, not copies: `eval()` of one puts the host of both into evaluation mode.
        """
        pruned = copy.copy(self)
        host = self.host.pruned() if hasattr(self.host, "pruned") else self.host
        pruned._modules = {**self._modules, "host": host, "sisr": None, "ftm": None}
        pruned.fa = False
        return pruned


class FeatureTransform(nn.Sequential):
    """FTM: 1x1 convolution, batch norm and ReLU on the segmentation side (paper, Sec. 3.2)."""

    new_at_warm_start = True
    """Stage 3 adds it to the network of stage 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        # DEVIATION: the number of channels after the FTM is not published. Here it is that of the map before it, but in
        # the arms that vary it.
        super().__init__(*conv_bn_relu(inputs, outputs))
        nn.init.kaiming_normal_(self[0].weight, mode="fan_out", nonlinearity="relu")


def _seeded(seed: int, part: int, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000_003 * (seed + 1) + part)
        return build()
