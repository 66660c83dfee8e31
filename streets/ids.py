"""The official Cityscapes label ids that the streets use (cityscapesScripts, helpers/labels.py)."""

from enum import IntEnum

import numpy as np

from dsrl_lib.data.class_tables import CITYSCAPES_TRAIN_ID


class Id(IntEnum):
    """Label id, as stored in *_gtFine_labelIds.png; EGO_VEHICLE, STATIC and PARKING are void."""

    EGO_VEHICLE = 1
    STATIC = 4
    ROAD = 7
    SIDEWALK = 8
    PARKING = 9
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    TRAIN = 31
    MOTORCYCLE = 32
    BICYCLE = 33


_TRAIN_IDS = np.array([CITYSCAPES_TRAIN_ID[i] for i in range(34)], np.uint8)


def train_ids(label_ids: np.ndarray) -> np.ndarray:
    """Label ids uint8 (any shape) -> train ids uint8, 0..18, with 255 (void) for what is not evaluated."""
    return _TRAIN_IDS[label_ids]
