"""Label Studio's brush format: run-length encoded RGBA, and masks composed of brush regions.

The stream is bits, most significant first: 32 bits length (height * width * 4 values), 5 bits value size - 1,
four times 4 bits of run-length field size - 1, then tokens until the length is reached. A token is 1 bit
(1 = one value repeated, 0 = values one by one), 2 bits that choose a field size, the count - 1 in that field,
and 8 bits per value. The four channels of a pixel follow each other; the mask is the fourth. What is written
agrees byte for byte with Label Studio's own SDK, which writes the mask into all four channels and always adds
1 to 8 zero bits.

Legend: H, W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.core.label_maps import VOID, LabelMap, check_label_map, check_values

OPAQUE = 255
PAINTED_FROM = 128  # strokes fade out at their edge; counting every alpha > 0 makes them 17 % fatter

_CHANNELS = 4
_VALUE_BITS = 8
_FIELD_BITS = (3, 4, 8, 16)
_LONGEST_RUN = 1 << 16
_HEADER_BITS = 32 + 5 + 4 * len(_FIELD_BITS)
_SPAN = 5  # bytes that a token of up to 32 bits can touch


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
        label_map: (H, W) uint8.
        uncovered_px: pixels that no region covers; void in the map.
        conflict_px: pixels that people gave two or more different classes.
    """

    label_map: LabelMap
    uncovered_px: int
    conflict_px: int


def encode_brush(alpha: NDArray[np.uint8]) -> list[int]:
    """Label Studio's brush stream of one region.

    Args:
        alpha: (H, W) uint8, 255 = painted. (Label Studio shows an alpha of 1 as nothing.)

    Returns:
        Bytes as integers 0..255, equal to what the SDK's `mask2rle` returns.

    Raises:
        ValueError: wrong shape or dtype, no pixel, or more than 2^30 pixels.
    """
    check_label_map(alpha, "alpha")
    size = alpha.size * _CHANNELS
    if not 0 < size < 1 << 32:
        raise ValueError(f"`alpha` must have 1 to 2^30 - 1 pixels, got shape {alpha.shape}")
    codes, n_bits = _tokens(alpha.ravel())
    fields = sum((bits - 1) << 4 * (3 - i) for i, bits in enumerate(_FIELD_BITS))
    head = np.array([size, (_VALUE_BITS - 1) << 16 | fields], dtype=np.uint64)
    stream = _packed_bits(
        np.concatenate((head, codes)),
        np.concatenate((np.array([32, _HEADER_BITS - 32], dtype=np.int64), n_bits)),
    )
    packed: list[int] = stream.tolist()
    return packed


def decode_brush(rle: Sequence[int], *, height: int, width: int) -> NDArray[np.uint8]:
    """Alpha of one region from Label Studio's brush stream.

    Args:
        rle: bytes as integers 0..255; whatever follows the declared length is not read.
        height: H of the image as it was shown, px.
        width: W, px.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: not bytes, a declared length other than H * W * 4, or a stream cut short or running over.
    """
    if height < 1 or width < 1:
        raise ValueError(f"`height` and `width` must be at least 1, got {height} and {width}")
    data = _as_bytes(rle)
    if data.size * 8 < _HEADER_BITS:
        raise ValueError(f"a brush stream needs a header of {_HEADER_BITS} bits, got {data.size} bytes")
    header = int.from_bytes(data[:7].tobytes(), "big") >> 3
    declared = header >> 21
    if declared != height * width * _CHANNELS:
        raise ValueError(
            f"a brush stream of a {width} x {height} image must declare {height * width * _CHANNELS} values, "
            f"got {declared}; the region was drawn on an image of another size"
        )
    value_bits = (header >> 16 & 31) + 1
    if value_bits != _VALUE_BITS:
        raise ValueError(f"a brush stream must have values of {_VALUE_BITS} bits, got {value_bits}")
    fields = np.array([(header >> 4 * (3 - i) & 15) + 1 for i in range(4)], dtype=np.int64)
    alpha = np.zeros(height * width, dtype=np.uint8)
    # four bytes of padding let the decoder read a whole word at the very end
    done = _read_tokens(np.concatenate((data, np.zeros(4, dtype=np.uint8))), fields, alpha)
    if done < 0:
        raise ValueError(
            f"a brush stream must hold exactly the {declared} values it declares, got a run past the end; "
            "the stream is damaged"
        )
    if done < declared:
        raise ValueError(
            f"a brush stream must hold the {declared} values it declares, got {done}; it is cut short"
        )
    return alpha.reshape(height, width)


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
        The map with its uncovered pixels (void) and its conflicts counted.

    Raises:
        ValueError: a region or base of another size, or a label that is no class.

    Source:
        DESIGN, section 1, row masks.
    """
    shape = (height, width)
    if base is not None:
        _check_size("base", base, shape)
    covered = np.full(shape, VOID, dtype=np.uint8)
    added = np.full(shape, VOID, dtype=np.uint8)
    conflict = np.zeros(shape, dtype=np.bool_)
    for region in regions:
        _check_size("alpha", region.alpha, shape)
        if region.label not in names:
            raise ValueError(
                f"a region's label must be one of the classes {list(names)}, got {region.label!r}"
            )
        value = np.uint8(names.index(region.label))
        painted = region.alpha >= PAINTED_FROM
        covered[painted] = value
        if region.human:
            new = painted if base is None else painted & (base != value)
            conflict |= new & (added != VOID) & (added != value)
            added[new] = value
    label_map = np.where(added != VOID, added, covered)
    return ComposedMask(label_map, int((label_map == VOID).sum()), int(conflict.sum()))


def regions_of(label_map: LabelMap, names: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The regions that show a map as a pre-annotation: one per class present, void not among them.

    Args:
        label_map: (H, W) uint8, at the size of the image that is shown.
        names: C class names.

    Returns:
        (class name, brush stream with alpha 255) in order of the class index.

    Raises:
        ValueError: a value that is neither a class index nor void.
    """
    check_label_map(label_map, "label_map")
    check_values(label_map, len(names), "label_map")
    present = [int(value) for value in np.unique(label_map) if value != VOID]
    return [
        (names[value], encode_brush(np.where(label_map == value, OPAQUE, 0).astype(np.uint8)))
        for value in present
    ]


def _tokens(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Tokens of a flat mask written into all four channels: their bits as integers, and how many bits."""
    ends = np.append(np.flatnonzero(pixels[1:] != pixels[:-1]), pixels.size - 1)
    lengths = np.diff(ends, prepend=-1) * _CHANNELS  # at least 4: single values never occur
    values = pixels[ends].astype(np.uint64)
    field = np.searchsorted(
        np.array([8, 16, 256]), lengths
    )  # a run of n goes into the smallest field that holds n
    # a run longer than the largest field is cut; every piece of it keeps the largest field
    pieces = (lengths - 1) // _LONGEST_RUN + 1
    last = np.cumsum(pieces) - 1
    length = np.full(int(pieces.sum()), _LONGEST_RUN, dtype=np.int64)
    length[last] = lengths - (pieces - 1) * _LONGEST_RUN
    field, values = np.repeat(field, pieces), np.repeat(values, pieces)
    field_bits = np.array(_FIELD_BITS, dtype=np.uint64)[field]
    start = np.uint64(0b100) | field.astype(np.uint64)
    codes = ((start << field_bits | (length - 1).astype(np.uint64)) << np.uint64(_VALUE_BITS)) | values
    return codes, field_bits.astype(np.int64) + 3 + _VALUE_BITS


def _packed_bits(codes: NDArray[np.uint64], n_bits: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Codes of up to 32 bits written one after the other, padded with 1 to 8 zero bits to whole bytes."""
    ends = np.cumsum(n_bits)
    starts = ends - n_bits
    n_bytes = int(ends[-1]) // 8 + 1
    # each code is moved to its place in the five bytes it may touch; codes share no bits, so sums are unions
    placed = codes << (8 * _SPAN - n_bits - starts % 8).astype(np.uint64)
    stream = np.zeros(n_bytes + _SPAN, dtype=np.float64)
    for i in range(_SPAN):
        part = placed >> np.uint64(8 * (_SPAN - 1 - i)) & np.uint64(0xFF)
        stream += np.bincount(starts // 8 + i, weights=part, minlength=stream.size)
    return stream[:n_bytes].astype(np.uint8)


def _as_bytes(rle: Sequence[int]) -> NDArray[np.uint8]:
    data = np.asarray(rle)
    if data.ndim != 1 or (data.size and data.dtype.kind not in "iu"):
        raise ValueError(
            f"a brush stream must be a flat list of integers, got shape {data.shape}, dtype {data.dtype}"
        )
    if data.size and not (data.min() >= 0 and data.max() <= 255):
        raise ValueError(f"a brush stream must hold bytes 0..255, got {data.min()}..{data.max()}")
    return data.astype(np.uint8)


def _check_size(name: str, array: NDArray[np.uint8], shape: tuple[int, int]) -> None:
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"`{name}` must be {shape} uint8, got shape {array.shape}, dtype {array.dtype}")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_bits(data: NDArray[np.uint8], position: int, count: int) -> int:
    """Up to 16 bits from a bit position; `data` must reach three bytes beyond it."""
    i = position >> 3
    word = np.int64(0)  # signed: numba turns unsigned mixed with signed integers into floats
    for byte in data[i : i + 4]:
        word = word << 8 | np.int64(byte)
    return int(word >> (32 - (position & 7) - count) & ((1 << count) - 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_tokens(data: NDArray[np.uint8], fields: NDArray[np.int64], alpha: NDArray[np.uint8]) -> int:
    """Fill alpha (flat) from the tokens; number of values read, or -1 if a run goes past the end."""
    total = alpha.size * 4
    end = (data.size - 4) * 8
    position, done = 53, 0
    while done < total:
        if position + 3 > end:
            return done
        field = fields[_read_bits(data, position + 1, 2)]
        if position + 3 + field + 8 > end:
            return done
        repeated = _read_bits(data, position, 1) == 1
        count = _read_bits(data, position + 3, field) + 1
        position += 3 + field
        if done + count > total:
            return -1
        if repeated:
            # the fourth channel of pixel p is value 4 p + 3
            alpha[done // 4 : (done + count) // 4] = _read_bits(data, position, 8)
            position += 8
            done += count
            continue
        for _ in range(count):
            if position + 8 > end:
                return done
            if done & 3 == 3:
                alpha[done >> 2] = _read_bits(data, position, 8)
            position += 8
            done += 1
    return done
