"""Training samples whose randomness depends on (seed, epoch, number) and on nothing else."""

from functools import lru_cache

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from dsrl_lib.config import Data
from dsrl_lib.data.photometric import apply_effects, draw_colour, draw_effects
from dsrl_lib.data.sampling import ClassUniform, Draw, around, class_uniform
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.data.transforms import FILL, Geometry, crop_image, crop_label, draw_geometry, reduce_image


class TrainingSet(Dataset):
    """Indexed by (epoch, number): the number of the frame, or with class-uniform sampling of the place in the epoch.

    No state: a resumed run sees the same samples with any number of workers. A sample is a dict of `input` uint8
    (3, h, w), `hr` uint8 (3, H, W) and `labels` uint8 (H, W), where (H, W) is the crop size and (h, w) is that times
    `input_scale`.
    """

    def __init__(self, split: Split, data: Data, seed: int, input_scale: float) -> None:
        """ValueError if the settings of class-uniform sampling do not fit the frames."""
        self.split, self.data, self.seed, self.input_scale = split, data, seed, input_scale
        self.size = (data.crop_height, data.crop_width)
        self.boost = load_split(data.boost_dataset, "train") if data.boost_dataset else None
        self.sampler = class_uniform(split, data, self.boost)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Tensor]:
        split, index = self._frame(key)
        image, label = split.images[index], split.labels[index]
        rng, geometry = self._crop(key, label.shape)
        colour, effects = draw_colour(rng, self.data.colour), draw_effects(rng, self.data)
        hr = apply_effects(crop_image(image, geometry, self.size, colour, FILL[self.data.padding]), effects)
        return {
            "input": reduce_image(hr, self.input_scale).contiguous(),
            "hr": hr.contiguous(),
            "labels": crop_label(label, geometry, self.size).contiguous(),
        }

    def labels(self, key: tuple[int, int]) -> Tensor:
        """The `labels` of a sample, without the image."""
        split, index = self._frame(key)
        label = split.labels[index]
        return crop_label(label, self._crop(key, label.shape)[1], self.size).contiguous()

    def draw(self, key: tuple[int, int]) -> Draw:
        """The frame of a sample and the point that its crop contains; frames of the boost follow those of the split."""
        if not isinstance(key, tuple):
            raise ValueError(f"key = {key!r}; allowed: (epoch, number), such as those of DataLoader(sampler="
                             "[(epoch, number) for number in range(len(samples))])")  # fmt: skip
        epoch, number = key
        return Draw(number, None, None) if self.sampler is None else _epoch(self.sampler, self.seed, epoch)[number]

    def _frame(self, key: tuple[int, int]) -> tuple[Split, int]:
        index, frames = self.draw(key).frame, len(self.split)
        if self.boost is None or index < frames:
            return self.split, index
        return self.boost, index - frames

    def _crop(self, key: tuple[int, int], stored: tuple[int, int]) -> tuple[np.random.Generator, Geometry]:
        """The crop of a frame stored as (H0, W0), and the random numbers that are left."""
        rng = np.random.default_rng([self.seed, *key])  # hashed by numpy's SeedSequence
        geometry, point = draw_geometry(rng, stored, self.data), self.draw(key).point
        return rng, geometry if point is None else around(rng, geometry, point, stored)


@lru_cache(2)
def _epoch(sampler: ClassUniform, seed: int, epoch: int) -> list[Draw]:
    return sampler.compose(seed, epoch)
