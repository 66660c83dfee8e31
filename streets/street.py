"""One street: what stands and moves where, drawn from the seed of the scene."""

from dataclasses import dataclass, field

from . import frontage, furniture, people, vehicles
from .canvas import Panel
from .dice import Dice
from .ground import Ground, Plot
from .ids import Id
from .texture import Texture

FAR = 150.0  # metres to the houses across the end of the street
BEHIND = -12.0  # the street begins behind the camera
# Rare classes take turns, so that a split of eight scenes or more has all of them.
SPECIALS = (Id.TRAIN, Id.BUS, Id.MOTORCYCLE, Id.TRUCK, Id.WALL, Id.RIDER, Id.BUS, Id.FENCE)


@dataclass
class Street:
    """The panels and the ground of one scene at one moment, and `eye`, the camera's x in metres.

    Draws come in one fixed order and never depend on the frame, so that all frames show the same street.
    """

    dice: Dice
    texture: Texture
    special: Id
    frame: int
    shadow: float
    panels: list[Panel] = field(default_factory=list)

    def __post_init__(self) -> None:
        dice = self.dice
        self.lane, self.lanes = dice.between(3.0, 3.6), 1 if dice.chance(0.55) else 2
        self.tracks: tuple[float, ...] = ()
        if self.special is Id.TRAIN:
            self.lanes, self.tracks = 2, (-0.5 * self.lane, 0.5 * self.lane)
        self.parking = 2.2 if dice.chance(0.6) else 0.0
        self.road = self.lane * self.lanes + self.parking
        walk = dice.between(2.4, 5.0)
        verge = (self.road + 0.4, self.road + dice.between(1.2, 2.6)) if dice.chance(0.45) else (0.0, 0.0)
        self.walk = max(self.road, verge[1])
        self.front = self.walk + walk
        self.eye = (self.lanes - 0.5) * self.lane + dice.between(-0.4, 0.4)
        self.sun = dice.pick((-1, 1))
        start = dice.between(18.0, 60.0)
        self.junctions = [(start, start + dice.between(7.0, 11.0))] if dice.chance(0.7) else []
        self.ground = Ground(
            road=self.road,
            verge=verge,
            front=self.front,
            lane=self.lane,
            lanes=self.lanes,
            parking=self.parking,
            junctions=self.junctions,
            tracks=self.tracks,
        )
        self.urban = dice.between(0.35, 0.95)
        for side in (-1, 1):
            self._plots(side)
            self._kerb(side)
            self._walkers(side)
        self._traffic()
        self._junction()
        self._special()
        self.panels += frontage.backdrop(dice, FAR, 90.0)

    def _in_junction(self, z: float, margin: float = 0.0) -> bool:
        return any(z0 - margin < z < z1 + margin for z0, z1 in self.junctions)

    def _plots(self, side: int) -> None:
        """Houses, gardens, parks and yards along one side."""
        dice, z = self.dice, BEHIND - self.dice.between(0.0, 8.0)
        light = 276 if side == -self.sun else 178
        while z < FAR:
            z1 = z + dice.between(8.0, 20.0)
            for z0_cross, z1_cross in self.junctions:
                if z < z1_cross and z1 > z0_cross:
                    if z0_cross - z < 4.0:
                        z, z1 = z1_cross, z1_cross + dice.between(8.0, 16.0)
                    else:
                        z1 = z0_cross
            x = side * self.front
            if dice.chance(self.urban):
                self.panels += frontage.building(dice, x, z, z1, light)
                if side == self.sun:
                    reach = dice.between(2.0, 1.2 * self.front)
                    left, right = sorted((x, x - side * reach))
                    self.ground.shadows.append((left, right, z, z1, self.shadow))
            else:
                self._garden(side, x, z, z1, light)
            z = z1

    def _garden(self, side: int, x: float, z: float, z1: float, light: int) -> None:
        dice, texture = self.dice, self.texture
        kind = dice.pick((Id.TERRAIN, Id.TERRAIN, Id.PARKING))
        self.ground.plots.append(Plot(side, z, z1, kind))
        edge = dice.whole(0, 5)
        if edge <= 1:
            self.panels += frontage.fence(dice, x, z, x, z1, light)
        elif edge == 2:
            self.panels += frontage.wall(dice, x, z, x, z1, light)
        elif edge == 3 and kind is Id.TERRAIN:
            self.panels += frontage.hedge(dice, texture, x, z, x, z1, dice.between(0.7, 1.8))
        back = x + side * dice.between(7.0, 14.0)
        if dice.chance(0.6):
            self.panels += frontage.building(dice, back, z, z1, light)
        else:
            self.panels += frontage.hedge(dice, texture, back, z, back, z1, dice.between(2.0, 6.0))
        if kind is Id.TERRAIN:
            for _ in range(dice.whole(0, 3)):
                where = x + side * dice.between(1.5, 6.0)
                self.panels += frontage.tree(dice, texture, where, dice.between(z, z1), dice.between(0.6, 1.2))
        else:
            for place in range(int((z1 - z) / 3.0)):
                if dice.chance(0.6):
                    where = min(x + side * 1.0, x + side * 5.5)
                    self.panels += vehicles.crossing(dice, Id.CAR, where, z + 1.0 + 3.0 * place)

    def _kerb(self, side: int) -> None:
        """Lamps, signs, trees and bins along the kerb, and parked vehicles."""
        dice = self.dice
        x, z = side * (self.walk + 0.4), dice.between(3.0, 12.0)
        lamps, trees = dice.chance(0.75), dice.between(0.0, 0.55)
        while z < 100.0:
            if not self._in_junction(z, 1.0):
                if dice.chance(trees):
                    size = dice.between(0.5, 1.0)
                    self.panels += frontage.tree(dice, self.texture, x + side * 0.5, z, size)
                    self.ground.shadows.append((x - 2.2 * size, x + 2.2 * size, z - 2.0, z + 2.0, self.shadow))
                elif lamps and dice.chance(0.5):
                    self.panels += furniture.lamp(dice, x, z)
                elif dice.chance(0.6):
                    self.panels += furniture.sign(dice, x, z)
                if dice.chance(0.12):
                    self.panels += furniture.bin_(dice, x + side * dice.between(0.5, 1.5), z + 1.0)
                if dice.chance(0.25):
                    self.panels += people.bicycle(dice, x + side * 0.4, z + 2.0, rider=False, across=dice.chance(0.5))
            z += dice.between(4.0, 13.0)
        if self.parking:
            z = dice.between(-4.0, 12.0)
            while z < 110.0:
                if not self._in_junction(z + 2.0, 6.0) and dice.chance(0.6):
                    label = Id.MOTORCYCLE if dice.chance(0.1) else Id.TRUCK if dice.chance(0.03) else Id.CAR
                    self._vehicle(label, side * (self.road - 1.1), z, oncoming=side < 0)
                z += dice.between(6.0, 9.0)

    def _vehicle(self, label: Id, x: float, z: float, *, oncoming: bool) -> None:
        if label is Id.MOTORCYCLE:
            self.panels += people.motorcycle(self.dice, x, z, rider=False, across=self.dice.chance(0.3))
        else:
            self.panels += vehicles.vehicle(self.dice, label, x, z, self.eye, oncoming=oncoming)
            length = vehicles.SIZES[label][0][0]
            self.ground.shadows.append((x - 1.05, x + 1.05, z - 0.15, z + length, 0.45))

    def _walkers(self, side: int) -> None:
        """Pedestrians on the sidewalk, alone or in groups, near and far."""
        dice = self.dice
        for _ in range(dice.whole(2, 9)):
            z = 6.0 + 80.0 * dice.between(0.0, 1.0) * dice.between(0.0, 1.0) + dice.between(0.0, 12.0)
            x = side * dice.between(self.walk + 0.5, self.front - 0.4)
            pace = dice.between(-0.12, 0.12)
            for i in range(dice.pick((1, 1, 1, 2, 3))):
                self.panels += people.person(dice, x + 0.6 * i, z + 0.3 * i + pace * self.frame)
            self.ground.shadows.append((x - 0.25, x + 0.3, z - 0.2, z + 0.3, 0.3))

    def _traffic(self) -> None:
        """Moving vehicles and cyclists in every lane."""
        dice = self.dice
        for side in (-1, 1):
            for lane in range(self.lanes):
                x = side * (lane + 0.5) * self.lane
                own = side > 0 and lane == self.lanes - 1
                tram = self.special is Id.TRAIN and lane == 0
                z, pace = dice.between(11.0, 30.0) if own else dice.between(5.0, 40.0), dice.between(0.2, 0.7)
                while z < 130.0 and not tram:
                    if not dice.chance(0.25):
                        draw = dice.whole(0, 99)
                        shift = self.frame * (pace if side > 0 else -pace)
                        if draw < 80:
                            label = Id.CAR if draw < 73 else Id.TRUCK if draw < 77 else Id.BUS
                            self._vehicle(label, x + dice.between(-0.3, 0.3), z + shift, oncoming=side < 0)
                        elif draw < 89:
                            self.panels += people.motorcycle(dice, x, z + shift, rider=True, across=False)
                        else:
                            where = side * (self.road - self.parking - 0.7)
                            self.panels += people.bicycle(dice, where, z + shift, rider=True, across=False)
                    z += dice.between(12.0, 34.0)

    def _junction(self) -> None:
        """Signals, and what crosses the street."""
        dice = self.dice
        for z0, z1 in self.junctions:
            signals, arm = dice.chance(0.9), dice.between(2.0, 4.0) if dice.chance(0.4) else 0.0
            for side in (-1, 1):
                if signals:
                    self.panels += furniture.traffic_light(dice, side * (self.walk + 0.5), z0 - 1.0, arm=arm)
                    self.panels += furniture.traffic_light(dice, side * (self.walk + 0.5), z1 + 1.0)
            for _ in range(dice.whole(0, 4)):
                shift = self.frame * dice.between(-0.12, 0.12)
                x = dice.between(-self.road, self.road) + shift
                self.panels += people.person(dice, x, z0 - dice.between(1.5, 4.0))
            if dice.chance(0.4):
                label = dice.pick((Id.CAR, Id.CAR, Id.TRUCK, Id.BUS))
                x = dice.between(-self.road - 6.0, self.road) - 0.3 * self.frame
                self.panels += vehicles.crossing(dice, label, x, (z0 + z1) / 2)

    def _special(self) -> None:
        """The rare class whose turn it is, near enough to be seen."""
        dice, z = self.dice, self.dice.between(12.0, 26.0)
        side = dice.pick((-1, 1))
        x = side * (self.road - 1.0)
        if self.special is Id.TRAIN:
            self._vehicle(Id.TRAIN, self.tracks[0], z - 0.3 * self.frame, oncoming=True)
        elif self.special in (Id.BUS, Id.TRUCK):
            where = -0.5 * self.lane if side < 0 else self.eye - dice.between(0.3, 0.9)
            self._vehicle(self.special, where, z - 2.0, oncoming=side < 0)
        elif self.special is Id.MOTORCYCLE:
            self.panels += people.motorcycle(dice, x, 0.6 * z, rider=dice.chance(0.5), across=dice.chance(0.5))
        elif self.special is Id.RIDER:
            self.panels += people.bicycle(dice, x - 0.5 * side, 0.6 * z, rider=True, across=dice.chance(0.5))
        else:
            x, z0 = side * (self.front - 0.3), z - 8.0
            build = frontage.wall if self.special is Id.WALL else frontage.fence
            self.panels += build(dice, x, z0, x, z0 + dice.between(14.0, 30.0), 276 if side == -self.sun else 178)
