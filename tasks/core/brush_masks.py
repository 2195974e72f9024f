"""Masks as brush regions, and brush regions as masks.

Label Studio has no exclusive brush: regions overlap, strokes fade out, and the order of the list is not the
order of painting. What the regions of an annotation stand for is settled here.

Legend: H, W height and width in pixels; C number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.core.label_maps import VOID, LabelMap, class_areas
from tasks.core.rle import encode_classes

PAINTED_FROM = 128  # strokes fade out at their edge; counting every alpha > 0 makes them 17 % fatter


@dataclass(frozen=True, eq=False)
class BrushRegion:
    """One brush region of an annotation.

    Attributes:
        label: class name.
        alpha: (H, W) uint8, how strongly each pixel is painted.
        human: whether a person drew or changed it (origin "manual" or "prediction-changed").
    """

    label: str
    alpha: NDArray[np.uint8]
    human: bool


@dataclass(frozen=True, eq=False)
class ComposedMask:
    """A mask made of brush regions.

    Attributes:
        label_map: (H, W) uint8; void where no region covers a pixel, and nowhere else.
        conflicts: (H, W) bool, pixels that people gave two or more different classes.
    """

    label_map: LabelMap
    conflicts: NDArray[np.bool_]

    @property
    def uncovered(self) -> NDArray[np.bool_]:
        """(H, W) bool, pixels that no region covers."""
        return np.asarray(self.label_map == VOID)

    @property
    def uncovered_px(self) -> int:
        """Number of pixels that no region covers."""
        return int(np.count_nonzero(self.uncovered))

    @property
    def conflict_px(self) -> int:
        """Number of pixels that people gave two or more different classes."""
        return int(np.count_nonzero(self.conflicts))


def compose_mask(
    regions: Sequence[BrushRegion], *, names: Sequence[str], base: LabelMap | None, height: int, width: int
) -> ComposedMask:
    """The mask that a list of brush regions stands for.

    A pixel is painted from alpha 128. Of several regions the last one wins; but pixels that a person added,
    those of a human region that differ from the map the person started from, win over all others.

    Args:
        regions: in the order of the annotation.
        names: C class names; the position is the class index.
        base: (H, W) uint8, the map we stored as the pre-annotation, or None if there was none.
        height: H, px.
        width: W, px.

    Returns:
        The map with the places that are uncovered (void in it) and in conflict.

    Raises:
        ValueError: a region or base of another size, or a label that is no class.

    Source:
        DESIGN, section 1, row masks.
    """
    shape = (height, width)
    if base is None:
        base = np.full(shape, VOID, dtype=np.uint8)  # differs from every class, so all that is drawn is added
    _check_size("base", base, shape)
    layers = np.full((2, height * width), VOID, dtype=np.uint8)  # whatever covers a pixel; what people added
    conflicts = np.zeros(height * width, dtype=np.bool_)
    for region in regions:
        _check_size("alpha", region.alpha, shape)
        if region.label not in names:
            raise ValueError(
                f"a region's label must be one of the classes {list(names)}, got {region.label!r}"
            )
        value = np.uint8(names.index(region.label))
        if region.human:
            _paint_human(region.alpha.ravel(), value, base.ravel(), layers, conflicts)
        else:
            _paint(region.alpha.ravel(), value, layers[0])
    covered, added = layers
    return ComposedMask(np.where(added != VOID, added, covered).reshape(shape), conflicts.reshape(shape))


def regions_of(label_map: LabelMap, names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The regions that show a map as a pre-annotation: one per class present, void not among them.

    Args:
        label_map: (H, W) uint8, at the size of the image that is shown.
        names: C class names.

    Returns:
        (class name, brush stream with alpha 255) in order of the class index.

    Raises:
        ValueError: a value that is neither a class index nor void, or no pixel.
    """
    present = np.flatnonzero(class_areas(label_map, len(names))).tolist()
    streams = encode_classes(label_map, present)
    return [(names[value], stream) for value, stream in zip(present, streams, strict=True)]


def _check_size(name: str, array: NDArray[np.uint8], shape: tuple[int, int]) -> None:
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"`{name}` must be {shape} uint8, got shape {array.shape}, dtype {array.dtype}")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _paint(alpha: NDArray[np.uint8], value: np.uint8, covered: NDArray[np.uint8]) -> None:
    for i in range(alpha.size):
        if alpha[i] >= PAINTED_FROM:
            covered[i] = value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _paint_human(
    alpha: NDArray[np.uint8],
    value: np.uint8,
    base: NDArray[np.uint8],
    layers: NDArray[np.uint8],
    conflicts: NDArray[np.bool_],
) -> None:
    covered, added = layers[0], layers[1]
    for i in range(alpha.size):
        if alpha[i] < PAINTED_FROM:
            continue
        covered[i] = value
        if base[i] == value:
            continue
        if added[i] != VOID and added[i] != value:
            conflicts[i] = True
        added[i] = value
