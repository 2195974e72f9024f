from __future__ import annotations

import numpy as np
import pytest

from tasks.core.agreement import ordinal_alpha

NAN = np.nan


def test_the_worked_example_of_the_source() -> None:
    """Four observers, twelve units, missing values: Krippendorff, 2011, gives .815 for ordinal data."""
    observers = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    assert round(ordinal_alpha(np.array(observers).T), 3) == 0.815


def test_full_agreement_is_1() -> None:
    assert ordinal_alpha(np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])) == 1.0


def test_two_raters_who_say_the_opposite_are_below_chance() -> None:
    # scores 1, 1, 2, 2: observed distance 4 per pair; expected 4 * (2/3), so 1 - 3/2
    assert ordinal_alpha(np.array([[1.0, 2.0], [2.0, 1.0]])) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "scores", [np.empty((0, 3)), np.array([[1.0, NAN], [NAN, 2.0]]), np.full((4, 3), 2.0), np.empty((3, 0))]
)
def test_where_nothing_can_differ_it_is_not_known(scores: np.ndarray) -> None:
    assert np.isnan(ordinal_alpha(scores))
