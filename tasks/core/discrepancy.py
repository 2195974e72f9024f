"""How far two label maps are apart, from their joint histogram. Higher = worse disagreement.

Both measures are symmetric: the histogram of (b, a) is the transpose and gives the same value, bit for bit.
Every value is computed elementwise over the leading axes, so that an image has the same value, bit for bit,
whatever batch it is in.

Legend: C number of classes; index C of a histogram stands for void.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.core.confusion import check_histogram, confusion


def miou_discrepancy(histogram: NDArray[np.int64], *, min_class_px: int = 1) -> NDArray[np.float64]:
    """1 - mIoU over the classes present in either map.

    Args:
        histogram: (..., C+1, C+1) int64, px. Pixels that are void in either map are left out first.
        min_class_px: a class takes part if the larger of its two areas has at least this many pixels, >= 1.

    Returns:
        (...) float64 in 0..1; NaN where no class takes part.

    Raises:
        ValueError: not a histogram, or min_class_px below 1.

    Source:
        DESIGN, section 1, row d(a, b).

    >>> float(miou_discrepancy(np.array([[3, 1, 0], [0, 0, 9], [9, 0, 0]])))  # IoU 3/4 and 0/1
    0.625
    """
    if min_class_px < 1:
        raise ValueError(f"`min_class_px` must be at least 1, got {min_class_px}")
    counts = confusion(histogram)
    in_a, in_b = counts.sum(axis=-1), counts.sum(axis=-2)  # (..., C)
    intersection = np.diagonal(counts, axis1=-2, axis2=-1)
    counted = np.maximum(in_a, in_b) >= min_class_px
    union = np.where(counted, in_a + in_b - intersection, 1)
    # Sorted, so that the sum does not depend on which index a class has; classes left out are zeros.
    iou = np.sort(np.where(counted, intersection / union, 0.0), axis=-1)
    # A plain loop over the classes: the order in which np.sum adds depends on the memory layout of the batch.
    total = np.zeros(iou.shape[:-1], dtype=np.float64)
    for k in range(iou.shape[-1]):
        total = total + iou[..., k]
    n_counted = counted.sum(axis=-1)
    undefined = n_counted == 0
    return np.asarray(np.where(undefined, np.nan, 1.0 - total / np.where(undefined, 1, n_counted)))


def accuracy_discrepancy(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 - pixel accuracy: the share of pixels on which two maps differ.

    Args:
        histogram: (..., C+1, C+1) int64, px. Pixels that are void in either map are left out first.

    Returns:
        (...) float64 in 0..1; NaN where every pixel is void in one map or the other.

    Raises:
        ValueError: not a histogram.

    Source:
        DESIGN, section 1, row d(a, b).
    """
    counts = confusion(histogram)
    agreeing = np.trace(counts, axis1=-2, axis2=-1)
    total = counts.sum(axis=(-2, -1))
    undefined = total == 0
    return np.asarray(np.where(undefined, np.nan, 1.0 - agreeing / np.where(undefined, 1, total)))


def class_areas_of(histogram: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The full areas of each class in map a and in map b, pixels that are void in the other map included.

    Args:
        histogram: (..., C+1, C+1) int64, px.

    Returns:
        Two arrays (..., C) int64, px: areas in a (row sums), areas in b (column sums).

    Raises:
        ValueError: not a histogram.
    """
    check_histogram(histogram)
    return histogram.sum(axis=-1)[..., :-1], histogram.sum(axis=-2)[..., :-1]
