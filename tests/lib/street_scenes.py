"""Street scenes of 480 x 360 px that people can read: images, their true masks, maps a model might make."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.core.label_maps import LabelMap

NAMES = ("sky", "building", "road", "tree", "car")
COLOURS = ((128, 178, 230), (150, 90, 70), (110, 110, 120), (40, 150, 60), (200, 40, 60))
SKY, BUILDING, ROAD, TREE, CAR = range(len(NAMES))
HEIGHT, WIDTH = 360, 480
HORIZON = 210  # px from the upper edge


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        truth: (H, W) uint8.
        shown: (H, W) uint8, the map of a model that misses a car and is careless at the trees.
    """

    image: NDArray[np.uint8]
    truth: LabelMap
    shown: LabelMap


def scene(seed: int) -> Scene:
    """A street with buildings, trees and two cars; the same for the same seed."""
    rng = np.random.default_rng(seed)
    truth = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    truth[HORIZON:] = ROAD
    for left in range(int(rng.integers(-40, 0)), WIDTH, 90):
        top = int(rng.integers(60, 150))
        cv2.rectangle(truth, (left, top), (left + int(rng.integers(50, 80)), HORIZON), BUILDING, -1)
    background, shown = truth.copy(), truth.copy()
    for centre in rng.integers(20, WIDTH - 20, 3).tolist():
        radius = int(rng.integers(25, 40))
        cv2.circle(truth, (centre, HORIZON - 40), radius, TREE, -1)
        cv2.circle(shown, (centre + 6, HORIZON - 44), radius - 5, TREE, -1)
    cars = [(60 + int(rng.integers(0, 80)), 240), (290 + int(rng.integers(0, 80)), 260)]
    for left, top in cars:
        cv2.rectangle(truth, (left, top), (left + 90, top + 40), CAR, -1)
    left, top = cars[0]
    cv2.rectangle(shown, (left - 4, top + 3), (left + 84, top + 40), CAR, -1)
    return Scene(_painted(rng, truth, background), truth, shown)


def _painted(rng: np.random.Generator, truth: LabelMap, background: LabelMap) -> NDArray[np.uint8]:
    """Pixels for a mask: a muted colour per class, windows, a lane, light from above, uneven surfaces."""
    palette = np.array(
        [(225, 200, 170), (95, 120, 150), (95, 92, 90), (60, 110, 70), (60, 50, 150)], np.float32
    )
    pixels = palette[truth]
    windows = (background == BUILDING) & (truth == BUILDING)
    rows, columns = np.indices(truth.shape)
    pixels[windows & (rows % 22 < 10) & (columns % 18 < 9)] = (170, 160, 120)
    pixels[(truth == ROAD) & (abs(rows - 330) < 3) & (columns % 60 < 30)] = (215, 215, 215)
    pixels += np.linspace(18, -18, HEIGHT, dtype=np.float32)[:, None, None]
    pixels += cv2.GaussianBlur(rng.normal(0, 30, (*truth.shape, 1)).astype(np.float32), (0, 0), 6)[..., None]
    return np.clip(pixels, 0, 255).astype(np.uint8)
