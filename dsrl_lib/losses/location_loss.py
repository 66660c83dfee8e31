"""The loss of the auxiliary network of adaptive downsampling (Marin et al., ICCV 2019, Sec. 3.2)."""

import torch.nn.functional as F
from torch import Tensor


def location_loss(predicted: Tensor, solved: Tensor) -> Tensor:
    """Mean squared error to the solved locations over batch, nodes and coordinates, a scalar. Both: (B, n, m, 2)."""
    return F.mse_loss(predicted, solved)
