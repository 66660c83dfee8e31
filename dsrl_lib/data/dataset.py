"""Training samples whose randomness depends on (seed, epoch, index) and on nothing else."""

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dsrl_lib.config import Data
from dsrl_lib.data.split import Split
from dsrl_lib.data.transforms import crop_image, crop_label, draw_colour, draw_geometry, reduce_image


class TrainingSet(Dataset):
    """Indexed by (epoch, index). No state: a resumed run sees the same samples with any number of workers.

    A sample is a dict of `input` uint8 (3, h, w), `hr` uint8 (3, H, W) and `labels` uint8 (H, W), where
    (H, W) is the crop size and (h, w) is that times `input_scale`.
    """

    def __init__(self, split: Split, data: Data, seed: int, input_scale: float) -> None:
        self.split, self.data, self.seed, self.input_scale = split, data, seed, input_scale

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])  # hashed by numpy's SeedSequence
        image, label = self.split.images[index], self.split.labels[index]
        size = (self.data.crop_height, self.data.crop_width)
        geometry = draw_geometry(rng, label.shape, self.data)
        hr = crop_image(image, geometry, size, draw_colour(rng, self.data.colour))
        return {
            "input": reduce_image(hr, self.input_scale).contiguous(),
            "hr": hr.contiguous(),
            "labels": crop_label(label, geometry, size).contiguous(),
        }
