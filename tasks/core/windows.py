"""Area windows: how large a class usually is in the training masks that contain it.

Legend: N masks or images; C number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Window = tuple[float, float]


def class_area_windows(fractions: NDArray[np.float64], *, min_masks: int = 8) -> dict[int, Window | None]:
    """First and third quartile of each class's area over the masks that contain the class.

    Args:
        fractions: (N, C) float64, pixels of the class / (height * width), 0..1.
        min_masks: with fewer masks that contain a class there is no window, >= 1.

    Returns:
        Class index -> (first, third quartile) by linear interpolation, or None.

    Raises:
        ValueError: wrong shape, values outside 0..1, or min_masks below 1.

    Source:
        DESIGN, section 1, row [p_k, q_k].
    """
    if fractions.ndim != 2:
        raise ValueError(f"`fractions` must be (N, C), got shape {fractions.shape}")
    if min_masks < 1:
        raise ValueError(f"`min_masks` must be at least 1, got {min_masks}")
    if not ((fractions >= 0) & (fractions <= 1)).all():
        raise ValueError(
            "`fractions` must be in 0..1, got values outside or NaN; divide areas by height * width"
        )
    windows: dict[int, Window | None] = {}
    for k in range(fractions.shape[1]):
        present = fractions[fractions[:, k] > 0, k]
        if present.size < min_masks:
            windows[k] = None
            continue
        low, high = np.quantile(present, (0.25, 0.75), method="linear")
        windows[k] = (float(low), float(high))
    return windows


def in_window(area_fraction: NDArray[np.float64], window: Window | None) -> NDArray[np.bool_]:
    """Whether each area lies in the window, bounds included; without a window everything passes.

    Args:
        area_fraction: (N,) float64, 0..1.
        window: (low, high) or None.

    Returns:
        (N,) bool.

    Raises:
        ValueError: a window whose low bound exceeds its high bound.
    """
    if window is None:
        return np.ones(area_fraction.shape, dtype=np.bool_)
    low, high = window
    if not low <= high:
        raise ValueError(f"`window` needs low <= high, got {window}")
    return np.asarray((area_fraction >= low) & (area_fraction <= high))
