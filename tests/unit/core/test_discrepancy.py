from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from tasks.core.confusion import confusion, joint_histogram
from tasks.core.discrepancy import accuracy_discrepancy, class_areas_of, miou_discrepancy


def u8(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


A = u8([0, 0, 1], [1, 2, 255])
B = u8([0, 1, 1], [255, 2, 0])
# pairs without void: (0,0) (0,1) (1,1) (2,2)
HISTOGRAM = [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_joint_histogram_of_a_map_counted_by_hand() -> None:
    assert joint_histogram(A, B, 3).tolist() == HISTOGRAM


def test_confusion_drops_void() -> None:
    assert confusion(np.array(HISTOGRAM)).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_miou_discrepancy_by_hand() -> None:
    # IoU 1/2, 1/2, 1/1
    assert float(miou_discrepancy(np.array(HISTOGRAM))) == pytest.approx(1 / 3)


def test_specks_below_the_minimum_do_not_take_part() -> None:
    # class areas after void: 2/1, 1/2, 1/1 -> only the first two have two pixels in either map
    assert float(miou_discrepancy(np.array(HISTOGRAM), min_class_px=2)) == 0.5
    assert math.isnan(miou_discrepancy(np.array(HISTOGRAM), min_class_px=3))


def test_accuracy_discrepancy_by_hand() -> None:
    assert float(accuracy_discrepancy(np.array(HISTOGRAM))) == 0.25


def test_areas_include_pixels_that_are_void_in_the_other_map() -> None:
    in_a, in_b = class_areas_of(np.array(HISTOGRAM))
    assert in_a.tolist() == [2, 2, 1]
    assert in_b.tolist() == [2, 2, 1]


def test_equal_maps_have_no_discrepancy() -> None:
    histogram = joint_histogram(A, A, 3)
    assert float(miou_discrepancy(histogram)) == 0.0
    assert float(accuracy_discrepancy(histogram)) == 0.0


def test_maps_without_a_common_class_have_discrepancy_one() -> None:
    histogram = joint_histogram(u8([0, 0]), u8([1, 1]), 2)
    assert float(miou_discrepancy(histogram)) == 1.0
    assert float(accuracy_discrepancy(histogram)) == 1.0


def test_discrepancy_is_undefined_where_no_pixel_can_be_compared() -> None:
    histogram = joint_histogram(u8([255, 0]), u8([1, 255]), 2)
    assert math.isnan(miou_discrepancy(histogram))
    assert math.isnan(accuracy_discrepancy(histogram))


@pytest.mark.parametrize("overlap", [0, 1, 37, 99, 100])
def test_two_shifted_bars_have_the_closed_form(overlap: int) -> None:
    """A bar of 100 px shifted by 100 - o px on 400 px: IoU o / (200 - o) and (200 + o) / (400 - o)."""
    a, b = np.zeros((1, 400), np.uint8), np.zeros((1, 400), np.uint8)
    a[0, 100:200] = 1
    b[0, 200 - overlap : 300 - overlap] = 1
    expected = 1 - (overlap / (200 - overlap) + (200 + overlap) / (400 - overlap)) / 2
    histogram = joint_histogram(a, b, 2)
    assert float(miou_discrepancy(histogram)) == pytest.approx(expected, abs=1e-15)
    assert float(accuracy_discrepancy(histogram)) == pytest.approx((200 - 2 * overlap) / 400, abs=1e-15)


def test_largest_number_of_classes_fits_beside_void() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    histogram = joint_histogram(values, values, 255)
    assert np.array_equal(histogram, np.eye(256, dtype=np.int64))


@pytest.mark.parametrize("width", [8, 5])
def test_values_out_of_range_are_refused_in_words_and_in_the_rest(width: int) -> None:
    bad = np.zeros((1, width), np.uint8)
    bad[0, -1] = 3
    with pytest.raises(ValueError, match=r"0\.\.2 or 255 \(void\), got values up to 3 in `a` and 0 in `b`"):
        joint_histogram(bad, np.zeros_like(bad), 3)
    with pytest.raises(ValueError, match=r"got values up to 0 in `a` and 3 in `b`"):
        joint_histogram(np.zeros_like(bad), bad, 3)


def test_maps_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="must have one size"):
        joint_histogram(u8([0, 0]), u8([0], [0]), 1)


def test_read_only_and_sliced_maps_are_counted_like_any_other() -> None:
    big = np.tile(np.arange(3, dtype=np.uint8), (40, 20))
    sliced = big[1::2, 1:59:2]
    frozen = np.ascontiguousarray(sliced)
    frozen.flags.writeable = False
    off_the_word = np.concatenate((np.zeros(1, np.uint8), frozen.ravel()))[1:].reshape(frozen.shape)
    expected = joint_histogram(frozen.copy(), frozen.copy(), 3).tolist()
    assert joint_histogram(sliced, frozen, 3).tolist() == expected
    assert joint_histogram(off_the_word, off_the_word, 3).tolist() == expected


@pytest.mark.parametrize("bad", [np.zeros((3, 4), int), np.zeros((1, 1), int), np.zeros((3, 3))])
def test_arrays_that_are_no_histograms_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \(\.\.\., C\+1, C\+1\)"):
        miou_discrepancy(bad)


def test_a_minimum_of_zero_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="min_class_px"):
        miou_discrepancy(np.array(HISTOGRAM), min_class_px=0)


def test_the_value_does_not_depend_on_which_index_a_class_has() -> None:
    """IoU 1/7, 2/7, 6/7 and 6/18: in floating point their sum depends on the order of adding."""
    histogram = np.zeros((5, 5), dtype=np.int64)
    histogram[[0, 1, 2], [0, 1, 2]] = [1, 2, 6]
    histogram[[0, 1, 2], 3] = [6, 5, 1]
    histogram[3, 3] = 6
    values = set()
    for order in permutations(range(4)):
        index = [*order, 4]
        values.add(float(miou_discrepancy(histogram[np.ix_(index, index)])))
    assert len(values) == 1
    assert values.pop() == pytest.approx(50 / 84)
