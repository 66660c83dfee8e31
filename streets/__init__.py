"""Procedural street scenes in the Cityscapes layout: the data set that needs no download."""

from streets.files import VERSION, write
from streets.ids import train_ids
from streets.scene import scene

__all__ = ["VERSION", "scene", "train_ids", "write"]
