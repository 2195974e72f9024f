"""Encoding and resizing of the report's pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.pictures import encode_jpeg, encode_png, thumbnail

RED = (255, 0, 0)
BLUE = (0, 0, 255)


def _halves(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[:, : width // 2] = RED
    picture[:, width // 2 :] = BLUE
    return picture


def test_png_keeps_every_pixel_in_rgb_order() -> None:
    picture = _halves(5, 8)
    with Image.open(io.BytesIO(encode_png(picture))) as read:
        assert (read.format, read.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(read), picture)


def test_jpeg_is_close_and_in_rgb_order() -> None:
    with Image.open(io.BytesIO(encode_jpeg(np.full((16, 16, 3), RED, dtype=np.uint8), quality=95))) as read:
        assert read.format == "JPEG"
        assert np.abs(np.asarray(read).astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((72, 96), (120, 160)), ((96, 72), (160, 120)), ((360, 480), (240, 320)), ((200, 300), (200, 300)),
     ((1, 1000), (1, 320))],
)  # fmt: skip
def test_thumbnails_fit_between_160_and_the_long_side(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert thumbnail(_halves(*shape), 320).shape == (*expected, 3)


@pytest.mark.parametrize("width", [96, 481])
def test_a_map_gets_no_new_colours(width: int) -> None:
    small = thumbnail(_halves(60, width), 200, "map")
    assert {RED, BLUE} == {tuple(colour) for colour in small.reshape(-1, 3).tolist()}


def test_a_photo_is_averaged_when_it_shrinks() -> None:
    picture = np.zeros((320, 320, 3), dtype=np.uint8)
    picture[:, ::2] = 200
    assert np.unique(thumbnail(picture, 160)).tolist() == [100]


def test_pictures_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        encode_png(np.zeros((4, 4), dtype=np.uint8))
    with pytest.raises(ValueError, match="quality"):
        encode_jpeg(_halves(4, 4), quality=0)
    with pytest.raises(ValueError, match="long_side"):
        thumbnail(_halves(4, 4), 100)
