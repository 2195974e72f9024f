from __future__ import annotations

import numpy as np
import pytest

from tasks.core.windows import class_area_windows, in_window


def test_three_windows_computed_by_hand() -> None:
    """Quartiles lie at places (n - 1) / 4 and 3 (n - 1) / 4 of the sorted shares above zero."""
    fractions = np.zeros((10, 3))
    # n = 9: places 2 and 6 exactly
    fractions[:9, 0] = [0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.4, 0.8, 0.6]
    # n = 8: places 1.75 and 5.25 of .01 .02 .04 .08 .16 .32 .64 1.0
    fractions[:8, 1] = [1.0, 0.01, 0.64, 0.02, 0.32, 0.04, 0.16, 0.08]
    # n = 10: places 2.25 and 6.75 of .1 .1 .1 .2 .2 .2 .2 .3 .3 .3
    fractions[:, 2] = [0.3, 0.1, 0.2, 0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3]
    windows = class_area_windows(fractions)
    assert windows[0] == pytest.approx((0.3, 0.7))
    assert windows[1] == pytest.approx((0.02 + 0.75 * 0.02, 0.32 + 0.25 * 0.32), abs=1e-15)
    assert windows[2] == pytest.approx((0.1 + 0.25 * 0.1, 0.2 + 0.75 * 0.1))


def test_seven_masks_make_no_window_and_eight_do() -> None:
    fractions = np.array([[0.5, 0.5]] * 7 + [[0.5, 0.0]])
    assert class_area_windows(fractions) == {0: (0.5, 0.5), 1: None}


def test_no_masks_make_no_windows() -> None:
    assert class_area_windows(np.zeros((0, 2))) == {0: None, 1: None}


def test_one_mask_is_enough_if_the_caller_says_so() -> None:
    assert class_area_windows(np.array([[0.25]]), min_masks=1) == {0: (0.25, 0.25)}


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
def test_shares_out_of_range_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"must be in 0\.\.1"):
        class_area_windows(np.array([[bad]]))


def test_bounds_are_inside_and_no_window_lets_everything_pass() -> None:
    shares = np.array([0.099, 0.1, 0.2, 0.3, 0.301])
    assert in_window(shares, (0.1, 0.3)).tolist() == [False, True, True, True, False]
    assert in_window(shares, None).all()


def test_a_window_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="low <= high"):
        in_window(np.array([0.1]), (0.3, 0.1))
