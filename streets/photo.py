"""From the drawn light to a photograph: sky, tint, blur, area reduction and sensor noise."""

from dataclasses import dataclass

import numpy as np

from .canvas import STILL, SUPERSAMPLING, Canvas
from .dice import RGB, Dice
from .ids import Id
from .texture import sample


@dataclass(frozen=True)
class Weather:
    """Sky colours at the zenith and the horizon, cloud cover (0..1), tint per channel and shadow strength."""

    zenith: RGB
    horizon: RGB
    cloud: float
    tint: tuple[float, float, float]
    shadow: float


def weather(dice: Dice) -> Weather:
    """Day, overcast or dusk."""
    kind = dice.pick(("day", "day", "overcast", "overcast", "dusk"))
    warm, level = dice.between(-0.05, 0.05), dice.between(0.8, 1.12)
    if kind == "day":
        zenith, horizon = dice.near((96, 142, 206), 14), dice.near((196, 212, 226), 10)
        return Weather(
            zenith,
            horizon,
            dice.between(0.2, 0.7),
            (level + warm, level, level - warm),
            dice.between(0.3, 0.55),
        )
    if kind == "overcast":
        zenith, horizon = dice.near((188, 194, 200), 12), dice.near((222, 222, 220), 8)
        level *= 0.92
        return Weather(
            zenith,
            horizon,
            dice.between(0.3, 0.8),
            (level + warm, level, level - warm),
            dice.between(0.05, 0.15),
        )
    zenith, horizon = dice.near((104, 106, 134), 14), dice.near((214, 170, 138), 16)
    level *= 0.62
    return Weather(
        zenith, horizon, dice.between(0.3, 0.8), (1.08 * level, level, 0.96 * level), dice.between(0.05, 0.2)
    )


def sky(canvas: Canvas, weather: Weather) -> None:
    """Fill the canvas above the horizon (and a little below it) with a gradient and clouds."""
    camera = canvas.camera
    bottom = min(camera.rows, int(camera.horizon) + 2)
    v = np.arange(bottom, dtype=np.float32)[:, None]
    u = np.arange(camera.columns, dtype=np.float32)[None]
    low = v / np.float32(bottom)
    colours = np.array(weather.zenith, np.float32)
    colours = colours + (np.array(weather.horizon, np.float32) - colours) * low[..., None]
    scale = np.float32(768 / camera.columns)
    distance = np.float32(camera.rows) / (bottom * np.float32(1.25) - v)  # clouds lie flatter near the horizon
    cloud = sample(canvas.texture.smooth, u * scale * np.float32(0.2) * distance, v * scale * np.float32(0.9))
    cover = np.clip((cloud.astype(np.float32) - np.float32(190 - 120 * weather.cloud)) / 90, 0, 1)[..., None]
    white = np.array(weather.horizon, np.float32) * np.float32(0.5) + np.float32(122)
    canvas.rgb[:bottom] = colours + (white - colours) * cover * np.float32(0.8)
    canvas.ids[:bottom] = Id.SKY


def hood(canvas: Canvas, dice: Dice) -> None:
    """The bonnet of the camera's own car along the bottom, void in the train ids."""
    rows, columns = canvas.depth.shape
    height, colour = dice.between(0.03, 0.08) * rows, np.array(dice.near((70, 72, 78), 22), np.float32)
    top = int(rows - height)
    u = (np.arange(columns, dtype=np.float32) * 2 - columns) / columns
    v = np.arange(top, rows, dtype=np.float32)[:, None]
    edge = np.float32(rows - height) + u * u * np.float32(height)
    inside = v > edge
    shine = np.clip(1 - (v - edge) / np.float32(height), 0, 1)
    canvas.rgb[top:][inside] = (colour * (np.float32(0.6) + shine[..., None] * np.float32(0.9)))[inside]
    canvas.ids[top:][inside] = Id.EGO_VEHICLE
    canvas.surface[top:][inside] = STILL


def expose(canvas: Canvas, weather: Weather, dice: Dice, sensor: Dice) -> tuple[np.ndarray, np.ndarray]:
    """Canvas -> (RGB uint8 (H, W, 3) as seen by the camera, label ids uint8 (H, W) at the pixel centres).

    `dice` draws what belongs to the scene (lens), `sensor` the noise of this one exposure.
    """
    k = SUPERSAMPLING
    rows, columns = canvas.depth.shape[0] // k, canvas.depth.shape[1] // k
    levels = (np.clip(canvas.rgb, 0, 255) + np.float32(0.5)).astype(np.uint8)
    image = np.zeros((rows, columns, 3), np.int32)
    for i in range(k):
        for j in range(k):
            image += levels[i::k, j::k]  # in the end k * k times the mean
    soft = dice.whole(5, 24)  # the neighbours' weight in 1/64: a slightly soft lens
    for axis in (0, 1):
        before = np.concatenate([image.take([0], axis), image.take(range(image.shape[axis] - 1), axis)], axis)
        after = np.concatenate([image.take(range(1, image.shape[axis]), axis), image.take([-1], axis)], axis)
        image = (image * 64 + soft * (before + after)) // (64 + 2 * soft)
    tint = [int(gain * 256) for gain in weather.tint]
    image = image * np.array(tint) // 256
    strength = dice.whole(2, 7)
    noise = (sensor.field(rows, columns, 3) + sensor.field(rows, columns, 3) - 255) * strength  # triangular
    grey = (sensor.field(rows, columns, 1) - 128) * strength
    image = (image * 64 + (noise + grey) * 9 // 2 + 288) // (64 * k * k)
    return np.clip(image, 0, 255).astype(np.uint8), canvas.ids[k // 2 :: k, k // 2 :: k].copy()
