"""Masks of an export as arrays."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tasks.core.label_maps import LabelMap


def pixels_of(mask: bytes) -> LabelMap:
    """The class indices in a stored mask, (H, W) uint8, 255 = void."""
    with Image.open(io.BytesIO(mask)) as file:
        return np.array(file, dtype=np.uint8)
