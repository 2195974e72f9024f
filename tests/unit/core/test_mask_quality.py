from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.core.check_marks import CheckMark
from tasks.core.mask_quality import (
    Agreement,
    TurnReturns,
    annotator_agreement,
    returns_by_error,
    returns_by_turn,
)
from tasks.core.mask_turns import Checked, Turn
from tasks.core.scores import maps_miou

EDGE, MISSED = CheckMark("boundary", 1.0, 1.0), CheckMark("missed object", 2.0, 2.0)
ONCE = Turn(1, "a", Checked("a", "bob", accepted=False, marks=(EDGE, EDGE, MISSED)))
TWICE = Turn(2, "b", Checked("b", "bob", accepted=False, marks=(EDGE,)))
TAKEN = Turn(1, "c", Checked("c", "bob", accepted=True, marks=(CheckMark("ambiguous", 0.0, 0.0),)))
MASKS = [(ONCE, TWICE), (ONCE, Turn(2, "d", None)), (TAKEN,), (TAKEN,), ()]


def test_returns_by_turn_count_checked_masks_only() -> None:
    by_turn = returns_by_turn(MASKS)
    assert by_turn == [TurnReturns(1, 4, 2), TurnReturns(2, 1, 1)]
    assert [turn.share for turn in by_turn] == [0.5, 1.0]
    assert returns_by_turn([(Turn(1, "a", None),)]) == []


def test_returns_by_error_count_masks_not_marks_and_no_accepted_ones() -> None:
    assert returns_by_error(MASKS) == {
        "wrong class": 0,
        "boundary": 3,
        "missed object": 2,
        "extra region": 0,
        "ambiguous": 0,
    }


def test_two_masks_are_compared_over_the_classes_in_either() -> None:
    same = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    other = np.array([[0, 1], [1, 2]], dtype=np.uint8)  # classes: 1/1, 2/3, 0/1
    void = np.full((2, 2), 255, dtype=np.uint8)
    assert maps_miou(same, same, 3) == 1
    assert maps_miou(same, other, 3) == maps_miou(other, same, 3) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert math.isnan(maps_miou(same, void, 3))


def test_agreement_is_the_mean_over_images_where_it_is_defined() -> None:
    assert annotator_agreement([1.0, math.nan, 0.5]) == Agreement(0.75, 0.5, 2, 1)
    for nothing in ([], [math.nan]):
        agreement = annotator_agreement(nothing)
        assert math.isnan(agreement.mean)
        assert (agreement.n_images, agreement.n_undefined) == (0, len(nothing))
