from __future__ import annotations

import itertools

import numpy as np
import pytest

from tasks.core.observer_screening import LEAST_RATERS, screen_observers

NAN = np.nan


def test_fewer_than_eight_raters_have_no_counts() -> None:
    assert screen_observers(np.full((5, LEAST_RATERS - 1), 3.0)) is None


@pytest.mark.parametrize("n_raters", [3, 4, 5, 6])
def test_scores_of_six_raters_or_fewer_never_lie_outside(n_raters: int) -> None:
    """Why the counts need a larger panel: every possible row is tried."""
    for row in itertools.combinations_with_replacement(range(1, 6), n_raters):
        scores = np.array(row, dtype=float)
        off = scores - scores.mean()
        if not off.any():
            continue
        kurtosis = (off**4).mean() / (off**2).mean() ** 2
        band = (2 if 2 <= kurtosis <= 4 else np.sqrt(20)) * scores.std(ddof=1)
        assert (np.abs(off) < band).all(), row


def test_counts_above_and_below_by_hand() -> None:
    # ten scores: mean 3, squares 8 and fourth powers 32, so S = sqrt(8/9) and a kurtosis of 5: band 4.2
    wide = [3.0] * 8 + [1.0, 5.0]
    # mean 3, squares 8 and fourth powers 20, so S = sqrt(8/9) and a kurtosis of 3.1: band 1.9, 5 is outside
    above = [5.0, 4.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    found = screen_observers(np.array([wide, [6 - s for s in above], above]))
    assert found is not None
    assert [(s.above, s.below, s.n_scores) for s in found] == [(1, 1, 3)] + [(0, 0, 3)] * 9
    assert [s.rejected for s in found] == [True] + [False] * 9


def test_a_rater_outside_on_one_side_is_not_rejected() -> None:
    above = [5.0, 4.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    found = screen_observers(np.array([above] * 4))
    assert found is not None
    assert (found[0].above, found[0].below, found[0].rejected) == (4, 0, False)


def test_rows_with_too_few_scores_and_rows_without_spread_count_nobody() -> None:
    rows = np.array([[3.0] * 9, [1.0] * 4 + [NAN] * 5])
    found = screen_observers(rows)
    assert found is not None
    assert {(s.above, s.below, s.n_scores, s.rejected) for s in found} == {(0, 0, 1, False)}
    only_short = screen_observers(rows[1:])
    assert only_short is not None
    assert {s.n_scores for s in only_short} == {0}
