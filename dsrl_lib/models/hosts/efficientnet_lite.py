"""EfficientNet-Lite0 as an encoder: timm's architecture, the ImageNet weights of a public package.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the Lite variants
(no squeeze-and-excitation, ReLU6) are TensorFlow's. Convolutions pad as TensorFlow does ("SAME").
"""

from collections.abc import Mapping

import timm
import torch
from torch import Tensor, nn

from dsrl_lib.normalisation import MEAN, STD


class EfficientNetLite0(nn.Module):
    """Maps at strides 4 and `output_stride` (16 or 8): 24 and 320 channels.

    The published weights expect (v - 127) / 128 for v in 0..255. Inputs are normalised as for every host, so a fixed
    affine map per channel turns them into that.
    """

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        self.network = timm.create_model(
            "tf_efficientnet_lite0", features_only=True, out_indices=(1, 4), output_stride=output_stride
        )
        self.channels = tuple(self.network.feature_info.channels())
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))  # (3, 1, 1)
        self.register_buffer("scale", 255 * std / 128, persistent=False)
        self.register_buffer("shift", (255 * mean - 127) / 128, persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.network(x * self.scale + self.shift)

    def published_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The package's classifier without its head; both list the same layers in the same order.

        ValueError if the file has other layers.
        """
        encoder = [value for key, value in state.items() if not key.startswith(("_conv_head", "_bn1", "_fc"))]
        own = self.network.state_dict()
        if len(encoder) != len(own):
            raise ValueError(f"the weights have {len(encoder)} tensors before the head; EfficientNet-Lite0: {len(own)}")
        return {f"network.{key}": value for key, value in zip(own, encoder, strict=True)}
