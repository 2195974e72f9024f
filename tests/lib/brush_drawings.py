"""Annotations as they come out of Label Studio's editor after a person painted over a pre-annotation.

Strokes are discs with a soft edge. One without a selected region makes a new region at the end of the list;
one on a selected region changes it in place, and so does the eraser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.lib.oracles import VOID, SlowRegion, editor_stream

N_CLASSES = 5
COLOURS = ((230, 25, 75), (0, 0, 0), (255, 255, 255), (60, 180, 75), (0, 130, 200))


@dataclass(frozen=True)
class Drawing:
    """One annotation: the map it started from (None: empty), and its regions in the order of the list."""

    base: NDArray[np.uint8] | None
    shape: tuple[int, int]
    regions: list[SlowRegion]


def painted_over(rng: np.random.Generator) -> Drawing:
    """A small pre-annotation, often void in places, with up to seven strokes of any kind on it."""
    height, width = (int(v) for v in rng.integers(1, 15, 2))
    values = rng.choice([*range(N_CLASSES), VOID], (height, 3))
    base = np.repeat(values, 5, axis=1)[:, :width].astype(np.uint8) if rng.random() < 0.8 else None
    regions: list[tuple[int, NDArray[np.uint8], bool]] = []
    if base is not None:
        present = [k for k in range(N_CLASSES) if (base == k).any()]
        regions = [(k, np.where(base == k, 255, 0).astype(np.uint8), False) for k in present]
    for _ in range(int(rng.integers(0, 8))):
        stroke = _disc(rng, height, width)
        kind = rng.choice(["new", "into", "erase"])
        if kind == "new" or not regions:
            regions.append((int(rng.integers(N_CLASSES)), stroke, True))
            continue
        at = int(rng.integers(len(regions)))
        label, alpha, _ = regions[at]
        changed = np.maximum(alpha, stroke) if kind == "into" else np.minimum(alpha, 255 - stroke)
        regions[at] = (label, changed, True)
    as_rows = [SlowRegion(label, alpha.tolist(), human) for label, alpha, human in regions]
    return Drawing(base, (height, width), as_rows)


def stream_of(region: SlowRegion) -> list[int]:
    """The region's stream as the editor sends it: its colour wherever it is painted at all, and alpha."""
    alpha = np.array(region.alpha, dtype=np.uint8)
    rgba = np.zeros((*alpha.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.where(alpha[..., None] > 0, COLOURS[region.class_index], 0)
    rgba[..., 3] = alpha
    return editor_stream(rgba.ravel().tolist())


def _disc(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A stroke's alpha: opaque inside, fading out over one to three pixels."""
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.indices((height, width))
    inside = rng.uniform(0, 6) - np.hypot(rows - y, columns - x)
    return np.rint(255 * np.clip(inside / rng.uniform(1, 3) + 0.5, 0, 1)).astype(np.uint8)
