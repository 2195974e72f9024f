"""Joint histograms of two label maps: everything that is compared is derived from them.

Legend: H, W height and width in pixels; C number of classes; index C of a histogram stands for void.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.core.label_maps import VOID, LabelMap, check_class_count, check_label_map

# uint64 constants: numba turns uint64 mixed with a plain integer into float64
_BYTE = np.uint64(0xFF)
_SPREAD = np.uint64(0x0101010101010101)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_INNER_TOP_BITS = np.uint64(0x0080808080808080)  # the last pixel has no next one
_ONE, _EIGHT, _TOP = np.uint64(1), np.uint64(8), np.uint64(56)
_BLOCK = 8  # pixels in one 64-bit word


def joint_histogram(a: LabelMap, b: LabelMap, n_classes: int) -> NDArray[np.int64]:
    """Number of pixels for every pair (class in a, class in b); exact.

    Args:
        a: (H, W) uint8, values 0..C-1 or 255.
        b: (H, W) uint8, the same size.
        n_classes: C, 1..255.

    Returns:
        (C+1, C+1) int64, px; row = class in a, column = class in b, index C = void. The sum is H * W.

    Raises:
        ValueError: sizes that differ, or a value that is neither a class index nor void.
    """
    check_label_map(a, "a")
    check_label_map(b, "b")
    check_class_count(n_classes)
    if a.shape != b.shape:
        raise ValueError(f"`a` and `b` must have one size, got {a.shape} and {b.shape}")
    flat_a, flat_b = a.ravel(), b.ravel()
    split = flat_a.size - flat_a.size % _BLOCK
    histogram, outside = _count(
        _words(flat_a[:split]), _words(flat_b[:split]), flat_a[split:], flat_b[split:], n_classes
    )
    if outside:
        raise ValueError(
            f"`a` and `b` must hold class indices 0..{n_classes - 1} or {VOID} (void), got values up to "
            f"{_largest_class(a)} in `a` and {_largest_class(b)} in `b`"
        )
    counts: NDArray[np.int64] = histogram
    return counts


def confusion(histogram: NDArray[np.int64]) -> NDArray[np.int64]:
    """The joint histogram without the pixels that are void in either map.

    Args:
        histogram: (..., C+1, C+1) int64.

    Returns:
        (..., C, C) int64, px.

    Raises:
        ValueError: last two axes that are not equal and at least 2.
    """
    check_histogram(histogram)
    return histogram[..., :-1, :-1]


def check_histogram(histogram: NDArray[np.int64]) -> None:
    """Raise ValueError unless the array is (..., C+1, C+1) of an integer type."""
    shape = histogram.shape
    if histogram.ndim < 2 or shape[-1] != shape[-2] or shape[-1] < 2 or histogram.dtype.kind not in "iu":
        raise ValueError(
            f"`histogram` must be (..., C+1, C+1) of integers, got shape {shape}, dtype {histogram.dtype}"
        )


def _words(pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Eight pixels as one word; copied where a slice of a larger buffer starts off the word boundary."""
    words = pixels.view(np.uint64)
    return words if words.flags.aligned else pixels.copy().view(np.uint64)


def _largest_class(label_map: LabelMap) -> int:
    classes = label_map[label_map != VOID]
    return int(classes.max()) if classes.size else VOID


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(
    words_a: NDArray[np.uint64],
    words_b: NDArray[np.uint64],
    rest_a: NDArray[np.uint8],
    rest_b: NDArray[np.uint8],
    n_classes: int,
) -> tuple[NDArray[np.int64], int]:
    # The histogram, and the number of pixels with a value out of range.
    #
    # Label maps are mostly flat: a word whose eight pixels agree in both maps counts at once, and a word
    # equal to the one before costs one comparison. Elsewhere two histograms take turns, so that the same cell
    # is not read right after it was written.
    size = n_classes + 2  # one more than void needs: that is where values out of range are gathered
    slots = np.full(256, n_classes + 1, dtype=np.int64)
    for k in range(n_classes):
        slots[k] = k
    slots[VOID] = n_classes
    even = np.zeros(size * size, dtype=np.int64)
    odd = np.zeros(size * size, dtype=np.int64)
    last_a, last_b, cell, run = np.uint64(0), np.uint64(0), slots[0] * size + slots[0], 0
    for i in range(words_a.size):
        word_a, word_b = words_a[i], words_b[i]
        if word_a == last_a and word_b == last_b:
            run += 8
            continue
        first_a, first_b = word_a & _BYTE, word_b & _BYTE
        if word_a == first_a * _SPREAD and word_b == first_b * _SPREAD:
            even[cell] += run
            last_a, last_b, cell, run = word_a, word_b, slots[first_a] * size + slots[first_b], 8
            continue
        # the top bit of each byte in which a pixel differs from the next one, in either map
        differs = (word_a ^ (word_a >> _EIGHT)) | (word_b ^ (word_b >> _EIGHT))
        differs = (((differs & _LOW_BITS) + _LOW_BITS) | differs) & _INNER_TOP_BITS
        if differs & (differs - _ONE) == 0:  # one boundary, so two runs
            length = np.int64((((differs - _ONE) & _SPREAD) * _SPREAD) >> _TOP)
            even[slots[first_a] * size + slots[first_b]] += length
            odd[slots[word_a >> _TOP] * size + slots[word_b >> _TOP]] += 8 - length
            continue
        for shift in range(0, 64, 16):
            low, high = np.uint64(shift), np.uint64(shift + 8)
            even[slots[(word_a >> low) & _BYTE] * size + slots[(word_b >> low) & _BYTE]] += 1
            odd[slots[(word_a >> high) & _BYTE] * size + slots[(word_b >> high) & _BYTE]] += 1
    even[cell] += run
    for i in range(rest_a.size):
        even[slots[rest_a[i]] * size + slots[rest_b[i]]] += 1
    counts = (even + odd).reshape(size, size)
    outside = counts[size - 1].sum() + counts[:, size - 1].sum()
    return counts[:-1, :-1].copy(), outside
