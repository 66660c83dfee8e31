"""The official Cityscapes label ids that the streets use (cityscapesScripts, helpers/labels.py)."""

from enum import IntEnum

import numpy as np


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


VOID = 255
_TRAIN_IDS = np.full(34, VOID, np.uint8)  # train ids count the evaluated label ids in their order
_EVALUATED = [label_id for label_id in Id if label_id not in (Id.EGO_VEHICLE, Id.STATIC, Id.PARKING)]
_TRAIN_IDS[_EVALUATED] = range(len(_EVALUATED))


def train_ids(label_ids: np.ndarray) -> np.ndarray:
    """Label ids uint8 (any shape) -> train ids uint8, 0..18, with 255 (void) for what is not evaluated."""
    return _TRAIN_IDS[label_ids]
