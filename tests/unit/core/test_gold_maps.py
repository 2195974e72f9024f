"""Gold maps: the truth without void, and what is plainly wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.core.gold_maps import is_plainly_wrong, without_void

VOID = 255


def array(*rows: list[int]) -> np.ndarray:
    return np.array(rows, dtype=np.uint8)


def test_void_takes_the_class_of_the_nearest_labelled_pixel() -> None:
    truth = array([0, VOID, VOID, VOID, 1], [0, 0, VOID, 1, 1])
    filled = without_void(truth)
    labelled = truth != VOID
    np.testing.assert_array_equal(truth[labelled], filled[labelled])
    assert (filled[0, 1], filled[0, 3]) == (0, 1)
    assert VOID not in filled


def test_a_mask_without_void_is_itself_and_one_of_void_alone_is_refused() -> None:
    truth = array([0, 1], [2, 1])
    assert without_void(truth) is truth
    with pytest.raises(ValueError, match="labelled pixel"):
        without_void(np.full((2, 2), VOID, np.uint8))


def test_plainly_wrong_is_an_image_miou_below_a_fifth() -> None:
    """Against 0 0 1 1: 2 2 2 2 has 0, 0 2 2 2 has (1/2 + 0 + 0) / 3, 0 1 2 1 has (1/2 + 1/3 + 0) / 3."""
    truth = array([0, 0, 1, 1])
    assert is_plainly_wrong(truth, array([2, 2, 2, 2]), 3)
    assert is_plainly_wrong(truth, array([0, 2, 2, 2]), 3)
    assert not is_plainly_wrong(truth, array([0, 1, 2, 1]), 3)
    assert not is_plainly_wrong(truth, truth, 3)
