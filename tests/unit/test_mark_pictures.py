from __future__ import annotations

import numpy as np
import pytest

from tasks.core.check_marks import ERROR_TYPES, CheckMark
from tasks.mark_pictures import draw_marks


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_ring_in_the_colour_of_its_type_leaves_what_it_surrounds() -> None:
    picture = noise(100, 200)
    before = picture.copy()

    drawn = draw_marks(picture, [CheckMark("missed object", 60.5, 50.0)])

    np.testing.assert_array_equal(before, picture)
    rows, columns = np.indices((100, 200))
    distance = np.hypot(rows - 50, columns - 60)
    np.testing.assert_array_equal(picture[distance <= 3], drawn[distance <= 3])
    assert tuple(drawn[50, 60 - 6]) == ERROR_TYPES["missed object"]  # radius 5, one pixel of white, the ring
    far = (distance > 10) & ~((abs(rows - 50) < 12) & (columns > 60) & (columns < 90))  # its number is there
    np.testing.assert_array_equal(picture[far], drawn[far])
    assert (picture[:, 70:90] != drawn[:, 70:90]).any()


def test_marks_are_numbered_and_no_mark_hides_what_another_is_about() -> None:
    picture = noise(60, 80)
    marks = [CheckMark(kind, 30.0 + 3 * i, 30.0) for i, kind in enumerate(ERROR_TYPES)]

    drawn = draw_marks(picture, marks)

    for mark in marks:
        np.testing.assert_array_equal(picture[30, int(mark.x_px)], drawn[30, int(mark.x_px)])
    assert (draw_marks(picture, marks[:1]) != draw_marks(picture, marks[1:2])).any()


def test_marks_on_the_very_edge_are_drawn() -> None:
    picture = noise(40, 50)
    corners = [CheckMark("boundary", x, y) for x in (0.0, 50.0) for y in (0.0, 40.0)]

    drawn = draw_marks(picture, corners)

    for y in (0, 39):
        for x in (0, 49):
            assert tuple(drawn[y, x]) == tuple(picture[y, x])
            ring = drawn[max(0, y - 9) : y + 10, max(0, x - 9) : x + 10].reshape(-1, 3).tolist()
            assert list(ERROR_TYPES["boundary"]) in ring


def test_no_marks_change_nothing_and_one_pixel_is_a_picture() -> None:
    np.testing.assert_array_equal(noise(3, 4), draw_marks(noise(3, 4), []))
    np.testing.assert_array_equal(noise(1, 1), draw_marks(noise(1, 1), [CheckMark("boundary", 1.0, 0.0)]))


def test_marks_outside_and_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="must lie in a picture of 4 x 3 px"):
        draw_marks(noise(3, 4), [CheckMark("boundary", 4.5, 0.0)])
    with pytest.raises(ValueError, match="`picture` must be"):
        draw_marks(np.zeros((3, 4), dtype=np.uint8), [])


def test_a_mark_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="`error_type` must be one of"):
        CheckMark("ugly", 0.0, 0.0)
