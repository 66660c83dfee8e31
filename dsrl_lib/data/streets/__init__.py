"""Procedural street scenes in the Cityscapes layout: the data set that needs no download."""

from dsrl_lib.data.streets.files import VERSION, write
from dsrl_lib.data.streets.ids import train_ids
from dsrl_lib.data.streets.scene import scene

__all__ = ["VERSION", "scene", "train_ids", "write"]
