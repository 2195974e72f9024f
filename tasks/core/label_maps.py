"""Label maps: one byte per pixel, value = class index, 255 = void.

Legend: H, W height and width in pixels; C number of classes; N images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VOID = 255
MAX_CLASSES = 255  # indices 0..254 fit in a byte beside void

LabelMap = NDArray[np.uint8]
Colour = tuple[int, int, int]


def decode_index_mask(pixels: NDArray[np.uint8], *, n_classes: int, void: int | None) -> LabelMap:
    """Label map of a mask file that stores class indices.

    Args:
        pixels: (H, W) uint8, as read from the file.
        n_classes: C, number of classes, 1..255.
        void: pixel value that means "ignore"; it wins over a class of the same index. 255 is always void.

    Returns:
        (H, W) uint8, a fresh array, values 0..C-1 or 255.

    Raises:
        ValueError: wrong shape or dtype, or a value that is neither a class index nor void.
    """
    check_label_map(pixels, "pixels")
    check_class_count(n_classes)
    if void is not None and not 0 <= void <= VOID:
        raise ValueError(f"`void` must be a pixel value 0..255 or None, got {void}")
    counts = np.bincount(pixels.ravel(), minlength=256)
    table = np.arange(256, dtype=np.uint8)
    if void is not None:
        table[void] = VOID
    unknown = [value for value in range(n_classes, VOID) if counts[value] and value != void]
    if unknown:
        value = unknown[0]
        raise ValueError(
            f"mask values must be class indices 0..{n_classes - 1} or void ({void}, 255), got {value} on "
            f"{int(counts[value])} pixels"
            + (f" and {len(unknown) - 1} more such values" if unknown[1:] else "")
            + "; check the number of classes and the void value of this mask encoding"
        )
    return table[pixels]


def decode_colour_mask(
    rgb: NDArray[np.uint8], *, colours: Sequence[Colour], void_colours: Sequence[Colour]
) -> LabelMap:
    """Label map of a mask file that paints classes in colours; exact lookup, no nearest colour.

    Args:
        rgb: (H, W, 3) uint8.
        colours: C RGB colours; the position is the class index.
        void_colours: RGB colours that mean "ignore".

    Returns:
        (H, W) uint8, values 0..C-1 or 255.

    Raises:
        ValueError: wrong shape or dtype, colours that are not unique, or a mask colour of neither list.
    """
    _check_image(rgb, "rgb")
    check_class_count(len(colours))
    known = np.array([_packed(colour) for colour in (*colours, *void_colours)], dtype=np.uint32)
    values = np.array([*range(len(colours)), *[VOID] * len(void_colours)], dtype=np.uint8)
    if len(set(known.tolist())) != len(known):
        raise ValueError(
            f"`colours` and `void_colours` must be unique, got {list(colours)} and {list(void_colours)}"
        )
    order = np.argsort(known)
    known, values = known[order], values[order]
    wide = rgb.astype(np.uint32)
    codes = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    slots = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    wrong = known[slots] != codes
    if wrong.any():
        found, counts = np.unique(codes[wrong], return_counts=True)
        code, count = int(found[0]), int(counts[0])
        raise ValueError(
            "mask colours must be class or void colours, got "
            f"({code >> 16}, {code >> 8 & 255}, {code & 255}) on {count} pixels"
            + (f" and {len(found) - 1} more such colours" if len(found) > 1 else "")
            + "; add it to the classes or the void colours (blended colours mean a resampled or JPEG mask)"
        )
    return np.asarray(values[slots])


def colourise(
    label_map: LabelMap, colours: Sequence[Colour], void_colour: Colour = (255, 255, 255)
) -> NDArray[np.uint8]:
    """The map painted in its class colours.

    Args:
        label_map: (H, W) uint8.
        colours: C RGB colours, 0..255.
        void_colour: colour of void; the caller sees to it that no class has the same.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: a map value without a colour.
    """
    check_label_map(label_map, "label_map")
    check_values(label_map, len(colours), "label_map")
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colours)] = np.array(colours, dtype=np.uint8).reshape(-1, 3)
    table[VOID] = void_colour
    return table[label_map]


def overlay(
    image_rgb: NDArray[np.uint8], label_map: LabelMap, colours: Sequence[Colour], alpha: float = 0.5
) -> NDArray[np.uint8]:
    """The image with the class colours laid over it; void pixels show the image alone.

    Args:
        image_rgb: (H, W, 3) uint8.
        label_map: (H, W) uint8.
        colours: C RGB colours, 0..255.
        alpha: share of the class colour, 0..1.

    Returns:
        (H, W, 3) uint8, rounded to the nearest integer.

    Raises:
        ValueError: sizes that differ, alpha outside 0..1, a map value without a colour.
    """
    _check_image(image_rgb, "image_rgb")
    if image_rgb.shape[:2] != label_map.shape:
        raise ValueError(
            f"`label_map` must have the image's size {image_rgb.shape[:2]}, got {label_map.shape}"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must be in 0..1, got {alpha}")
    painted = colourise(label_map, colours)
    mixed = np.rint(image_rgb * (1.0 - alpha) + painted * alpha).astype(np.uint8)
    return np.where((label_map == VOID)[..., None], image_rgb, mixed)


def class_areas(label_map: LabelMap, n_classes: int) -> NDArray[np.int64]:
    """Pixels of each class.

    Args:
        label_map: (H, W) uint8.
        n_classes: C.

    Returns:
        (C,) int64, px; void is not counted.

    Raises:
        ValueError: a value that is neither a class index nor void.
    """
    check_label_map(label_map, "label_map")
    check_values(label_map, n_classes, "label_map")
    return np.bincount(label_map.ravel(), minlength=256)[:n_classes].astype(np.int64)


def main_class(areas_row: NDArray[np.int64], foreground: Sequence[int]) -> int | None:
    """The class with the largest area among the foreground classes.

    Args:
        areas_row: (C,) int64, px.
        foreground: class indices that may be the main class.

    Returns:
        A class index, ties to the lower one; None if no foreground class has a pixel.
    """
    best = None
    for index in sorted(foreground):
        if areas_row[index] > (0 if best is None else areas_row[best]):
            best = index
    return best


def resized_map(label_map: LabelMap, height: int, width: int) -> LabelMap:
    """The map at another size, in pixels: each pixel the one under its centre, so no new class appears."""
    check_label_map(label_map, "label_map")
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), label_map.shape, strict=True)
    )
    resized: LabelMap = label_map[np.ix_(rows, columns)]
    return resized


def map_digest(label_map: LabelMap) -> str:
    """SHA-256 of a map's size and pixels, 64 hex digits; equal bytes in another shape differ."""
    check_label_map(label_map, "label_map")
    height, width = label_map.shape
    digest = hashlib.sha256(f"{height},{width}\n".encode())
    digest.update(np.ascontiguousarray(label_map).data)
    return digest.hexdigest()


def check_label_map(array: NDArray[np.uint8], name: str) -> None:
    """Raise ValueError unless the array is (H, W) uint8."""
    if array.ndim != 2 or array.dtype != np.uint8:
        raise ValueError(f"`{name}` must be (H, W) uint8, got shape {array.shape}, dtype {array.dtype}")


def check_class_count(n_classes: int) -> None:
    """Raise ValueError unless the number of classes fits in a byte beside void."""
    if not 1 <= n_classes <= MAX_CLASSES:
        raise ValueError(f"`n_classes` must be 1..{MAX_CLASSES}, got {n_classes}")


def check_values(label_map: LabelMap, n_classes: int, name: str) -> None:
    """Raise ValueError if a pixel is neither a class index below n_classes nor void."""
    check_class_count(n_classes)
    counts = np.bincount(label_map.ravel(), minlength=256)
    unknown = np.flatnonzero(counts[n_classes:VOID]) + n_classes
    if unknown.size:
        value = int(unknown[0])
        raise ValueError(
            f"`{name}` must hold class indices 0..{n_classes - 1} or {VOID} (void), got {value} on "
            f"{int(counts[value])} pixels"
        )


def _check_image(array: NDArray[np.uint8], name: str) -> None:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ValueError(f"`{name}` must be (H, W, 3) uint8, got shape {array.shape}, dtype {array.dtype}")


def _packed(colour: Colour) -> int:
    if len(colour) != 3 or any(not 0 <= part <= 255 for part in colour):
        raise ValueError(f"a colour must be three values 0..255, got {colour}")
    red, green, blue = colour
    return red << 16 | green << 8 | blue
