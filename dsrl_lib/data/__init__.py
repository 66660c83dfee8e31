"""Datasets: frames on disk -> splits -> training samples and evaluation inputs."""

from dsrl_lib.data.dataset import TrainingSet
from dsrl_lib.data.download import DownloadError, download_camvid, espnetv2_weights
from dsrl_lib.data.frames import DataError
from dsrl_lib.data.split import Split, load_split
from dsrl_lib.data.transforms import evaluation_input, frame_size, reduce_image, reduce_labels, resize_image

__all__ = [
    "DataError",
    "DownloadError",
    "Split",
    "TrainingSet",
    "download_camvid",
    "espnetv2_weights",
    "evaluation_input",
    "frame_size",
    "load_split",
    "reduce_image",
    "reduce_labels",
    "resize_image",
]
