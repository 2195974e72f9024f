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


def test_agreement_is_the_mean_over_images_of_classes_in_either_mask() -> None:
    same = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    other = np.array([[0, 1], [1, 2]], dtype=np.uint8)  # classes: 1/1, 2/3, 0/1
    void = np.full((2, 2), 255, dtype=np.uint8)
    agreement = annotator_agreement([(same, same), (same, other), (same, void)], 3)
    assert agreement.miou == pytest.approx((1 + (1 + 2 / 3 + 0) / 3) / 2)
    assert (agreement.n_images, agreement.n_undefined) == (2, 1)
    assert annotator_agreement([(other, same)], 3) == annotator_agreement([(same, other)], 3)


def test_no_pairs_have_no_agreement() -> None:
    agreement = annotator_agreement([], 3)
    assert math.isnan(agreement.miou)
    assert agreement == Agreement(agreement.miou, 0, 0)
