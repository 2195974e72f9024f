"""Label Studio's brush format: run-length encoded RGBA, the mask in its fourth channel.

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

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.core.label_maps import LabelMap, check_label_map

OPAQUE = 255

_CHANNELS = 4
_VALUE_BITS = 8
_FIELD_BITS = (3, 4, 8, 16)
_LONGEST_RUN = 1 << 16
_LONGEST_TOKEN = 3 + _FIELD_BITS[-1] + _VALUE_BITS  # bits, of one run
_HEADER_BITS = 32 + 5 + 4 * len(_FIELD_BITS)
_HEADER_TAIL = (_VALUE_BITS - 1) << 16 | sum((bits - 1) << 4 * (3 - i) for i, bits in enumerate(_FIELD_BITS))

Runs = tuple[NDArray[np.int64], NDArray[np.uint8]]  # last pixel and value of each run of a flat array


def encode_brush(alpha: NDArray[np.uint8]) -> list[int]:
    """Label Studio's brush stream of one region.

    Args:
        alpha: (H, W) uint8, 255 = painted. (Label Studio shows an alpha of 1 as nothing.)

    Returns:
        Bytes as integers 0..255, equal to what the SDK's `mask2rle` returns.

    Raises:
        ValueError: wrong shape or dtype, no pixel, or more than 2^30 - 1 pixels.
    """
    return _stream(_runs(alpha, "alpha"))


def encode_classes(label_map: LabelMap, values: Sequence[int]) -> list[list[int]]:
    """The brush streams of several classes of a map, each painted opaque.

    The map is searched for its runs once, whatever the number of classes.

    Args:
        label_map: (H, W) uint8.
        values: class indices 0..254.

    Returns:
        For each value what `encode_brush` returns for 255 where the map has it and 0 elsewhere.

    Raises:
        ValueError: wrong shape or dtype, no pixel, or more than 2^30 - 1 pixels.
    """
    ends, classes = _runs(label_map, "label_map")
    streams = []
    for value in values:
        painted = classes == value
        last = _last_of_runs(painted)
        streams.append(_stream((ends[last], np.where(painted[last], OPAQUE, 0).astype(np.uint8))))
    return streams


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


def _runs(pixels: NDArray[np.uint8], name: str) -> Runs:
    check_label_map(pixels, name)
    if not 0 < pixels.size * _CHANNELS < 1 << 32:
        raise ValueError(f"`{name}` must have 1 to 2^30 - 1 pixels, got shape {pixels.shape}")
    flat = pixels.ravel()
    ends = _last_of_runs(flat)
    return ends, flat[ends]


def _last_of_runs(flat: NDArray[np.uint8] | NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)


def _stream(runs: Runs) -> list[int]:
    ends, values = runs
    size = (int(ends[-1]) + 1) * _CHANNELS
    head = (size << _HEADER_BITS - 32 | _HEADER_TAIL) << 3  # three bits short of whole bytes: a token's first
    # a run is one token, and one more for each 2^16 values in it; a token is written as five bytes
    most_bits = _HEADER_BITS + _LONGEST_TOKEN * (ends.size + size // _LONGEST_RUN)
    stream = np.zeros(most_bits // 8 + 5, dtype=np.uint8)
    stream[:7] = np.frombuffer(head.to_bytes(7, "big"), dtype=np.uint8)
    return list(stream[: _write_tokens(ends, values, stream)].tobytes())


def _as_bytes(rle: Sequence[int]) -> NDArray[np.uint8]:
    try:
        return np.frombuffer(bytes(list(rle)), dtype=np.uint8)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a brush stream must be a flat list of bytes 0..255, got {error}") from error


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write_tokens(ends: NDArray[np.int64], values: NDArray[np.uint8], stream: NDArray[np.uint8]) -> int:
    """Write the runs behind the header, every pixel four times; number of bytes of the stream.

    A run has at least four values, so single values never occur.
    """
    position, start = _HEADER_BITS, 0
    for run in range(ends.size):
        left = (ends[run] + 1 - start) * _CHANNELS
        start = ends[run] + 1
        # a run longer than the largest field is cut; every piece of it keeps the largest field
        field = 0
        while field < 3 and left > 1 << _FIELD_BITS[field]:
            field += 1
        n_bits = 3 + _FIELD_BITS[field] + _VALUE_BITS
        while left > 0:
            count = min(left, _LONGEST_RUN)
            token = ((4 | field) << _FIELD_BITS[field] | (count - 1)) << _VALUE_BITS | np.int64(values[run])
            token <<= 40 - n_bits - (position & 7)
            for i in range(5):
                stream[(position >> 3) + i] |= np.uint8(token >> (32 - 8 * i) & 0xFF)
            position += n_bits
            left -= count
    return (position >> 3) + 1


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
    position, done = _HEADER_BITS, 0
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
