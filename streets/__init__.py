"""Procedural street scenes in the Cityscapes layout: the data set that needs no download."""

from .files import VERSION, write
from .ids import train_ids
from .motion import flow
from .scene import scene

__all__ = ["VERSION", "flow", "scene", "train_ids", "write"]
