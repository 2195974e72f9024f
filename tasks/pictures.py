"""Pictures as bytes: shrinking, enlarging and encoding; colours in RGB order, masks one byte a pixel."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_LONG_SIDE = 160  # px; below this a 96 px scene is a stamp on a laptop screen


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Bytes of a lossless PNG file.

    Args:
        rgb: picture, (H, W, 3) uint8, channels red, green, blue.
    """
    return _encoded(rgb, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def encode_mask_png(label_map: NDArray[np.uint8]) -> bytes:
    """Bytes of a PNG file with one channel, value = class index.

    Args:
        label_map: class indices, 255 for void, (H, W) uint8, not empty.
    """
    if label_map.dtype != np.uint8 or label_map.ndim != 2 or 0 in label_map.shape:
        raise ValueError(f"`label_map` must be (H, W) uint8, got {label_map.shape} {label_map.dtype}")
    return _bytes_of(label_map, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 6])


def decode_mask_png(content: bytes) -> NDArray[np.uint8]:
    """The class indices that `encode_mask_png` wrote, (H, W) uint8, 255 = void.

    Raises:
        ValueError: not a PNG file of one 8-bit channel.
    """
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"a PNG file of one 8-bit channel was required, got {content[:8]!r}...")
    return np.asarray(pixels, dtype=np.uint8)


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = 85) -> bytes:
    """Bytes of a JPEG file.

    Args:
        rgb: picture, (H, W, 3) uint8, channels red, green, blue.
        quality: 1 (smallest) to 100 (best).
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"`quality` must be 1..100, got {quality}")
    return _encoded(rgb, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def thumbnail(
    rgb: NDArray[np.uint8], long_side: int, kind: Literal["photo", "map"] = "photo"
) -> NDArray[np.uint8]:
    """The picture at most `long_side` long, and at least 160 px long so that tiny scenes can be seen.

    A map is resampled by nearest neighbour, so that no colour appears that is no class; a photo is averaged
    over areas when it shrinks. Both are enlarged by nearest neighbour, which shows the true pixels.

    Args:
        rgb: picture, (H, W, 3) uint8.
        long_side: largest length of the longer side in pixels, at least 160.
        kind: what the picture is.

    Returns:
        Picture, (H', W', 3) uint8, of the same aspect ratio within a pixel.
    """
    _check(rgb)
    if long_side < MIN_LONG_SIDE:
        raise ValueError(f"`long_side` must be at least {MIN_LONG_SIDE}, got {long_side}")
    height, width = rgb.shape[:2]
    longest = max(height, width)
    wanted = min(max(longest, MIN_LONG_SIDE), long_side)
    if wanted == longest:
        return rgb
    size = (max(1, round(width * wanted / longest)), max(1, round(height * wanted / longest)))
    shrinks_photo = kind == "photo" and wanted < longest
    # The exact variant rounds as Pillow does; the plain one is off by half a pixel.
    method = cv2.INTER_AREA if shrinks_photo else cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(rgb, size, interpolation=method), dtype=np.uint8)


def _encoded(rgb: NDArray[np.uint8], suffix: str, options: list[int]) -> bytes:
    _check(rgb)
    return _bytes_of(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8), suffix, options)


def _bytes_of(pixels: NDArray[np.uint8], suffix: str, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, pixels, options)
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {pixels.shape} as {suffix}")
    return bytes(data)


def _check(rgb: NDArray[np.uint8]) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"`rgb` must be (H, W, 3) uint8 and not empty, got {rgb.shape} {rgb.dtype}")
