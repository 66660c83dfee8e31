"""Training samples whose randomness depends on (seed, epoch, index) and on nothing else."""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dsrl_lib.config import Data
from dsrl_lib.data.look import apply_look, draw_look
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import FILL, Geometry, crop_image, crop_label, draw_colour, draw_geometry, reduce_image


class TrainingSet(Dataset):
    """Indexed by (epoch, index). No state: a resumed run sees the same samples with any number of workers.

    A sample is a dict of `input` uint8 (3, h, w), `hr` uint8 (3, H, W) and `labels` uint8 (H, W), where
    (H, W) is the crop size and (h, w) is that times `input_scale`.
    """

    def __init__(self, split: Split, data: Data, seed: int, input_scale: float) -> None:
        self.split, self.data, self.seed, self.input_scale = split, data, seed, input_scale
        self.size = (data.crop_height, data.crop_width)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        rng, label, geometry = self._crop(key)
        colour, look = draw_colour(rng, self.data.colour), draw_look(rng, self.data)
        hr = crop_image(self.split.images[key[1]], geometry, self.size, colour, FILL[self.data.padding])
        hr = apply_look(hr, look)
        return {
            "input": reduce_image(hr, self.input_scale).contiguous(),
            "hr": hr.contiguous(),
            "labels": crop_label(label, geometry, self.size).contiguous(),
        }

    def labels(self, key: tuple[int, int]) -> Tensor:
        """The `labels` of a sample, without the image."""
        _, label, geometry = self._crop(key)
        return crop_label(label, geometry, self.size).contiguous()

    def _crop(self, key: tuple[int, int]) -> tuple[np.random.Generator, np.ndarray, Geometry]:
        """The random numbers that are left, the label map as stored and the crop."""
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])  # hashed by numpy's SeedSequence
        label = self.split.labels[index]
        return rng, label, draw_geometry(rng, label.shape, self.data)
