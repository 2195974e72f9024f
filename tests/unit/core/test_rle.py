from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from tasks.core.rle import decode_brush, encode_brush


def generated_masks() -> Iterator[np.ndarray]:
    """More than 1000 masks: odd sizes, constant, striped, noisy, blocky and with partial alpha."""
    rng = np.random.default_rng(20)
    for i in range(1050):
        height, width = (int(v) for v in rng.integers(1, 24, 2))
        kind = i % 6
        if kind == 0:
            mask = np.full((height, width), rng.integers(0, 256))
        elif kind == 1:
            mask = np.indices((height, width))[i // 6 % 2] % 2 * 255
        elif kind == 2:
            mask = (rng.random((height, width)) < rng.random()) * 255
        elif kind == 3:
            mask = rng.integers(0, 256, (height, width))
        elif kind == 4:
            mask = np.repeat(rng.integers(0, 2, (height, 4)) * 255, max(1, width // 2), axis=1)
        else:
            mask = np.zeros((height, width))
            mask[rng.integers(height) :, rng.integers(width) :] = 255
        yield mask.astype(np.uint8)


def test_streams_equal_those_of_the_sdk_in_both_directions() -> None:
    count = 0
    for mask in generated_masks():
        stream = encode_brush(mask)
        assert stream == mask2rle(mask)
        assert np.array_equal(decode_rle(stream).reshape(*mask.shape, 4)[..., 3], mask)
        assert np.array_equal(decode_brush(stream, height=mask.shape[0], width=mask.shape[1]), mask)
        count += 1
    assert count >= 1000


@pytest.mark.parametrize("run", [16383, 16384, 16385, 32768, 32769, 49153])
def test_runs_around_the_longest_field_equal_those_of_the_sdk(run: int) -> None:
    """A run of 16384 px is 65536 values, the most that one token holds."""
    mask = np.zeros((1, run + 70), dtype=np.uint8)
    mask[0, 3 : 3 + run] = 255
    stream = encode_brush(mask)
    assert stream == mask2rle(mask)
    assert np.array_equal(decode_brush(stream, height=1, width=mask.size), mask)


def test_literals_and_channels_that_differ_are_read() -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (7, 5, 4)).astype(np.uint8)
    stream = encode_rle(rgba.ravel())  # single values and short runs across channels
    assert np.array_equal(decode_brush(stream, height=7, width=5), rgba[..., 3])


def test_literal_tokens_of_many_values_are_read() -> None:
    """Label Studio's screen writes several single values into one token; the SDK never does."""
    values = [10, 20, 30, 40, 50, 60, 70, 80]
    bits = (
        f"{8:032b}" + "00111" + "0010001101111111" + "0" + "00" + "111" + "".join(f"{v:08b}" for v in values)
    )
    bits += "0" * (-len(bits) % 8)
    stream = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(stream, height=1, width=2).tolist() == [[40, 80]]


def test_every_truncated_stream_is_refused() -> None:
    mask = np.random.default_rng(2).integers(0, 2, (9, 13)).astype(np.uint8) * 255
    stream = encode_brush(mask)
    for length in range(len(stream) - 1):  # the last byte may be padding alone
        with pytest.raises(ValueError, match="brush stream"):
            decode_brush(stream[:length], height=9, width=13)


def test_damaged_streams_are_read_or_refused_but_never_crash() -> None:
    rng = np.random.default_rng(3)
    stream = encode_brush(rng.integers(0, 2, (9, 13)).astype(np.uint8) * 255)
    refused = 0
    for _ in range(500):
        damaged = list(stream)
        for place in rng.integers(4, len(stream), 3):
            damaged[place] = int(rng.integers(256))
        try:
            assert decode_brush(damaged, height=9, width=13).shape == (9, 13)
        except ValueError:
            refused += 1
    assert refused > 0


def test_a_run_past_the_end_is_refused() -> None:
    stream = mask2rle(np.full((4, 4), 255, dtype=np.uint8))
    stream[:4] = [0, 0, 0, 4]
    with pytest.raises(ValueError, match="past the end"):
        decode_brush(stream, height=1, width=1)


def test_a_region_of_another_size_is_refused() -> None:
    stream = encode_brush(np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(ValueError, match="5 x 4 image must declare 80 values, got 96"):
        decode_brush(stream, height=4, width=5)


@pytest.mark.parametrize(
    "bad", [[], [1, 2], ["a"] * 20, [0.5] * 20, [[0]] * 20, [300] * 20, [-1] * 20, [2**70] * 20]
)
def test_what_is_no_stream_is_refused(bad: list[object]) -> None:
    with pytest.raises(ValueError, match="brush stream"):
        decode_brush(bad, height=1, width=1)  # type: ignore[arg-type]


def test_values_of_another_size_are_refused() -> None:
    stream = encode_brush(np.zeros((1, 1), dtype=np.uint8))
    stream[4] ^= 0b1000
    with pytest.raises(ValueError, match="values of 8 bits"):
        decode_brush(stream, height=1, width=1)


@pytest.mark.parametrize(
    "bad", [np.zeros((0, 3), np.uint8), np.zeros((2, 2), np.int64), np.zeros(4, np.uint8)]
)
def test_what_is_no_alpha_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`alpha` must"):
        encode_brush(bad)
