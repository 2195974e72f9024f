"""What is next for one mask: drawing, checking, drawing again, until it is accepted or in dispute.

A mask is drawn by its author and checked by somebody else. Rejected, it goes back to the author, who starts
from the own rejected mask, up to a number of turns. The state follows from what was answered so far, in any
order and however often it is looked at; nothing is kept beside the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.check_marks import CheckMark


@dataclass(frozen=True)
class Drawn:
    """A valid drawing that was handed in.

    Attributes:
        turn: 1 for the first drawing of a mask, 2 after it was sent back once.
        start: digest of what it was drawn on.
        mask_digest: digest of the mask.
        author: who drew it.
    """

    turn: int
    start: str
    mask_digest: str
    author: str


@dataclass(frozen=True)
class Checked:
    """A valid check that was handed in.

    Attributes:
        mask_digest: digest of the mask it is about.
        checker: who checked.
        accepted: whether the mask is taken as it is.
        marks: what is wrong, and where.
    """

    mask_digest: str
    checker: str
    accepted: bool
    marks: tuple[CheckMark, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """Who works on a mask, and from where.

    Attributes:
        author: who draws, in every turn.
        checkers: who may check: first the one who is asked, then those whose checks count as well. The
            author is not among them.
        start: digest of what the first turn starts from.
        max_turns: most drawings that are asked for; 0: the mask is not checked at all.
    """

    author: str
    checkers: tuple[str, ...]
    start: str
    max_turns: int

    def __post_init__(self) -> None:
        if self.author in self.checkers:
            raise ValueError(f"`checkers` must not hold the author, got {self.author} in {self.checkers}")
        if self.max_turns < 0:
            raise ValueError(f"`max_turns` must be at least 0, got {self.max_turns}")
        if self.max_turns and not self.checkers:
            raise ValueError(
                f"`checkers` must hold somebody besides the author {self.author}, got nobody; "
                "name another checker, or set `max_turns` to 0"
            )


@dataclass(frozen=True)
class Turn:
    """A drawing that counts, and the check that counts for it; None before there is one."""

    number: int
    mask_digest: str
    check: Checked | None


@dataclass(frozen=True)
class Draw:
    """The author is to draw: from `start`, with these marks of the checker (none in turn 1)."""

    turn: int
    start: str
    marks: tuple[CheckMark, ...]


@dataclass(frozen=True)
class Check:
    """The mask of this turn is to be checked by this checker."""

    turn: int
    mask_digest: str
    checker: str


@dataclass(frozen=True)
class Accepted:
    """The mask is final: this checker accepted it in this turn."""

    turn: int
    mask_digest: str
    checker: str


@dataclass(frozen=True)
class Disputed:
    """The mask was rejected in the last turn as well; author and checker have to talk."""

    turn: int
    mask_digest: str
    checker: str


@dataclass(frozen=True)
class Unchecked:
    """The mask is final without a check."""

    mask_digest: str


Step = Draw | Check | Accepted | Disputed | Unchecked


def turns_taken(
    assignment: Assignment, drawings: Sequence[Drawn], checks: Sequence[Checked]
) -> tuple[Turn, ...]:
    """The turns of a mask so far, each with the drawing and the check that count.

    The drawing of turn n that counts is the newest one by the author on what turn n starts from: the
    start of the assignment, later the rejected mask of the turn before. A drawing that was changed is thus
    another mask, needs its own check, and drops what was drawn on the old one. For a mask the newest check by
    one of the checkers counts. A rejected mask that is handed in unchanged is rejected already.

    Args:
        assignment: who works on the mask.
        drawings: valid drawings of this mask, oldest first, whoever drew them.
        checks: valid checks of this mask, oldest first, whoever made them.

    Returns:
        Turns 1, 2, ...; all but the last were rejected.
    """
    turns: list[Turn] = []
    start = assignment.start
    for number in range(1, max(assignment.max_turns, 1) + 1):
        wanted = (number, start, assignment.author)
        masks = [d.mask_digest for d in drawings if (d.turn, d.start, d.author) == wanted]
        if not masks:
            break
        mask = masks[-1]
        its_checks = [c for c in checks if c.mask_digest == mask and c.checker in assignment.checkers]
        check = its_checks[-1] if its_checks else None
        turns.append(Turn(number, mask, check))
        if check is None or check.accepted:
            break
        start = mask
    return tuple(turns)


def next_step(assignment: Assignment, drawings: Sequence[Drawn], checks: Sequence[Checked]) -> Step:
    """What is next for a mask, or how it ended.

    Args:
        assignment: who works on the mask.
        drawings: valid drawings of this mask, oldest first, whoever drew them.
        checks: valid checks of this mask, oldest first, whoever made them.

    Source:
        DESIGN, section 1, row masks; docs/equations.md, Turns.
    """
    turns = turns_taken(assignment, drawings, checks)
    if not turns:
        return Draw(1, assignment.start, ())
    last = turns[-1]
    if assignment.max_turns == 0:
        return Unchecked(last.mask_digest)
    if last.check is None:
        return Check(last.number, last.mask_digest, assignment.checkers[0])
    if last.check.accepted:
        return Accepted(last.number, last.mask_digest, last.check.checker)
    if last.number == assignment.max_turns:
        return Disputed(last.number, last.mask_digest, last.check.checker)
    return Draw(last.number + 1, last.mask_digest, last.check.marks)
