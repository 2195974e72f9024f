from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.label_maps import (
    class_areas,
    colourise,
    decode_colour_mask,
    decode_index_mask,
    main_class,
    map_digest,
    overlay,
    resized_map,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def u8(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


def test_void_value_of_the_encoding_becomes_255() -> None:
    assert decode_index_mask(u8([0, 1], [9, 255]), n_classes=2, void=9).tolist() == [[0, 1], [255, 255]]


def test_void_value_wins_over_the_class_of_the_same_index() -> None:
    assert decode_index_mask(u8([0, 1, 2]), n_classes=3, void=0).tolist() == [[255, 1, 2]]


def test_a_decoded_mask_is_a_copy() -> None:
    pixels = u8([0, 1])
    decoded = decode_index_mask(pixels, n_classes=2, void=None)
    decoded[0, 0] = 1
    assert pixels.tolist() == [[0, 1]]


def test_an_unknown_index_is_refused_with_value_and_count() -> None:
    with pytest.raises(ValueError, match=r"got 3 on 2 pixels and 1 more such values"):
        decode_index_mask(u8([3, 3, 7, 0]), n_classes=3, void=None)


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.int64)])
def test_masks_of_another_shape_or_dtype_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W\) uint8"):
        decode_index_mask(bad, n_classes=3, void=None)


def test_colours_are_looked_up_exactly() -> None:
    rgb = np.array([[RED, BLUE], [GREEN, (1, 2, 3)]], dtype=np.uint8)
    decoded = decode_colour_mask(rgb, colours=[GREEN, RED], void_colours=[BLUE, (1, 2, 3)])
    assert decoded.tolist() == [[1, 255], [0, 255]]


@pytest.mark.parametrize("near", [(254, 0, 0), (255, 0, 1), (255, 255, 255), (0, 0, 0)])
def test_an_unknown_colour_is_refused_with_colour_and_count(near: tuple[int, int, int]) -> None:
    rgb = np.array([[RED, near, near]], dtype=np.uint8)
    with pytest.raises(ValueError, match=rf"got \({near[0]}, {near[1]}, {near[2]}\) on 2 pixels"):
        decode_colour_mask(rgb, colours=[RED, GREEN], void_colours=[])


def test_one_colour_for_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="must be unique"):
        decode_colour_mask(np.zeros((1, 1, 3), np.uint8), colours=[RED], void_colours=[RED])


def test_colourise_and_decode_are_inverse() -> None:
    label_map = u8([0, 1, 255], [2, 2, 0])
    colours = [RED, GREEN, BLUE]
    painted = colourise(label_map, colours)
    assert painted[0, 2].tolist() == [255, 255, 255]
    decoded = decode_colour_mask(painted, colours=colours, void_colours=[(255, 255, 255)])
    assert decoded.tolist() == label_map.tolist()


def test_a_class_without_a_colour_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.1 or 255 \(void\), got 2 on 1 pixels"):
        colourise(u8([0, 2]), [RED, GREEN])


def test_overlay_mixes_colours_and_shows_the_image_under_void() -> None:
    image = np.full((1, 2, 3), 100, dtype=np.uint8)
    assert overlay(image, u8([0, 255]), [(200, 0, 101)], 0.5).tolist() == [[[150, 50, 100], [100, 100, 100]]]


def test_overlay_refuses_another_size_and_an_alpha_out_of_range() -> None:
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="size"):
        overlay(image, u8([0, 0]), [RED])
    with pytest.raises(ValueError, match="alpha"):
        overlay(image, u8([0, 0], [0, 0]), [RED], alpha=1.5)


def test_areas_leave_void_out() -> None:
    areas = class_areas(u8([0, 2, 255], [2, 2, 0]), 4)
    assert areas.tolist() == [2, 0, 3, 0]
    assert areas.dtype == np.int64


def test_main_class_is_the_largest_foreground_class() -> None:
    assert main_class(np.array([90, 3, 5, 5]), (3, 2, 1)) == 2


def test_main_class_is_none_without_foreground_pixels() -> None:
    assert main_class(np.array([90, 0, 0]), (1, 2)) is None


def test_digest_is_the_hash_of_size_and_pixels() -> None:
    expected = hashlib.sha256(b"1,3\n\x00\x01\xff").hexdigest()
    assert map_digest(u8([0, 1, 255])) == expected


def test_digest_tells_shapes_apart_and_ignores_memory_layout() -> None:
    label_map = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert map_digest(label_map) != map_digest(label_map.reshape(4, 3))
    assert map_digest(label_map) == map_digest(np.asfortranarray(label_map))


def test_a_map_is_resized_by_nearest_neighbour() -> None:
    label_map = u8([0, 1], [2, 3])
    np.testing.assert_array_equal(
        u8([0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]), resized_map(label_map, 4, 4)
    )
    np.testing.assert_array_equal(label_map, resized_map(resized_map(label_map, 8, 6), 2, 2))


@given(st.tuples(*[st.integers(1, 40)] * 4), st.integers(0, 2**32 - 1))
def test_resizing_takes_the_pixel_under_each_centre(sides: tuple[int, int, int, int], seed: int) -> None:
    height, width, new_height, new_width = sides
    values = np.random.default_rng(seed).integers(0, 4, (height, width), dtype=np.uint8)
    resized = resized_map(values, new_height, new_width)
    assert resized.shape == (new_height, new_width)
    for row in range(new_height):
        for column in range(new_width):
            # exact: centres in units of half a new pixel
            old_row = ((2 * row + 1) * height) // (2 * new_height)
            old_column = ((2 * column + 1) * width) // (2 * new_width)
            assert resized[row, column] == values[old_row, old_column]
