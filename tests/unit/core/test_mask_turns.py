from __future__ import annotations

import pytest

from tasks.core.check_marks import CheckMark
from tasks.core.mask_turns import (
    Accepted,
    Assignment,
    Check,
    Checked,
    Disputed,
    Draw,
    Drawn,
    Turn,
    Unchecked,
    next_step,
    turns_taken,
)

MARKS = (CheckMark("boundary", 1.0, 2.0),)
TWO_TURNS = Assignment(author="ann", checkers=("bob", "cid"), start="start", max_turns=2)
FIRST, SECOND = Drawn(1, "start", "m1", "ann"), Drawn(2, "m1", "m2", "ann")


def reject(mask: str, checker: str = "bob") -> Checked:
    return Checked(mask, checker, accepted=False, marks=MARKS)


def accept(mask: str, checker: str = "bob") -> Checked:
    return Checked(mask, checker, accepted=True)


def test_a_mask_goes_from_drawing_to_check_to_drawing_to_acceptance() -> None:
    assert next_step(TWO_TURNS, [], []) == Draw(1, "start", ())
    assert next_step(TWO_TURNS, [FIRST], []) == Check(1, "m1", "bob")
    assert next_step(TWO_TURNS, [FIRST], [reject("m1")]) == Draw(2, "m1", MARKS)
    assert next_step(TWO_TURNS, [FIRST, SECOND], [reject("m1")]) == Check(2, "m2", "bob")
    assert next_step(TWO_TURNS, [FIRST, SECOND], [reject("m1"), accept("m2")]) == Accepted(2, "m2", "bob")
    assert next_step(TWO_TURNS, [FIRST], [accept("m1")]) == Accepted(1, "m1", "bob")


def test_rejected_in_the_last_turn_is_a_dispute() -> None:
    assert next_step(TWO_TURNS, [FIRST, SECOND], [reject("m1"), reject("m2")]) == Disputed(2, "m2", "bob")


def test_without_turns_the_first_drawing_is_final_and_the_newest_one_counts() -> None:
    unchecked = Assignment(author="ann", checkers=(), start="start", max_turns=0)
    assert next_step(unchecked, [], []) == Draw(1, "start", ())
    assert next_step(unchecked, [FIRST, Drawn(1, "start", "m1b", "ann")], []) == Unchecked("m1b")


def test_a_drawing_that_is_changed_needs_its_own_check() -> None:
    changed = Drawn(1, "start", "m1b", "ann")
    assert next_step(TWO_TURNS, [FIRST, changed], [accept("m1")]) == Check(1, "m1b", "bob")
    drawings, checks = [FIRST, SECOND, changed], [reject("m1"), reject("m1b")]
    assert next_step(TWO_TURNS, drawings, checks) == Draw(2, "m1b", MARKS)  # m2 was drawn on the old mask
    assert turns_taken(TWO_TURNS, drawings, checks) == (Turn(1, "m1b", reject("m1b")),)


def test_a_rejected_mask_handed_in_unchanged_is_rejected_already() -> None:
    again = Drawn(2, "m1", "m1", "ann")
    assert next_step(TWO_TURNS, [FIRST, again], [reject("m1")]) == Disputed(2, "m1", "bob")


def test_the_newest_check_of_a_mask_counts_from_any_of_the_checkers() -> None:
    assert next_step(TWO_TURNS, [FIRST], [reject("m1"), accept("m1", "cid")]) == Accepted(1, "m1", "cid")
    assert next_step(TWO_TURNS, [FIRST], [accept("m1"), reject("m1", "cid")]) == Draw(2, "m1", MARKS)


@pytest.mark.parametrize("who", ["ann", "eve"])
def test_a_check_by_the_author_or_by_a_stranger_does_not_count(who: str) -> None:
    assert next_step(TWO_TURNS, [FIRST], [accept("m1", who)]) == Check(1, "m1", "bob")


@pytest.mark.parametrize(
    "other", [Drawn(1, "start", "m9", "bob"), Drawn(1, "else", "m9", "ann"), Drawn(2, "start", "m9", "ann")]
)
def test_a_drawing_by_another_or_on_another_start_or_turn_does_not_count(other: Drawn) -> None:
    assert next_step(TWO_TURNS, [FIRST, other], []) == Check(1, "m1", "bob")


def test_assignments_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="must not hold the author, got ann"):
        Assignment("ann", ("bob", "ann"), "start", 1)
    with pytest.raises(ValueError, match="besides the author ann, got nobody"):
        Assignment("ann", (), "start", 1)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Assignment("ann", (), "start", -1)
