"""What checks and second drawings say of the masks: how many came back and why, how far annotators agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.check_marks import ERROR_TYPES
from tasks.core.mask_turns import Turn


@dataclass(frozen=True)
class TurnReturns:
    """How many masks of a turn came back.

    Attributes:
        turn: 1 for first drawings.
        n_checked: masks of this turn that were checked.
        n_returned: those that were rejected.
    """

    turn: int
    n_checked: int
    n_returned: int

    @property
    def share(self) -> float:
        """Rejected / checked, 0..1; lower is better."""
        return self.n_returned / self.n_checked


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on images that two of them drew.

    Attributes:
        mean, least: over the images, of the mIoU of the two masks, 0..1, higher is better; NaN without any.
        n_images: images in the mean.
        n_undefined: images left out: every pixel is void in one mask or the other.
    """

    mean: float
    least: float
    n_images: int
    n_undefined: int


def returns_by_turn(masks: Iterable[Sequence[Turn]]) -> list[TurnReturns]:
    """Share of the masks that came back, by turn; turns without a check are left out.

    Args:
        masks: the turns of each mask, as `turns_taken` gives them.
    """
    checked: Counter[int] = Counter()
    returned: Counter[int] = Counter()
    for turns in masks:
        for turn in turns:
            checked[turn.number] += turn.check is not None
            returned[turn.number] += turn.check is not None and not turn.check.accepted
    return [TurnReturns(n, checked[n], returned[n]) for n in sorted(checked) if checked[n]]


def returns_by_error(masks: Iterable[Sequence[Turn]]) -> dict[str, int]:
    """How many returned masks carried each type of error.

    A mask that was sent back in two turns counts twice; several marks of one type on it count once.

    Args:
        masks: the turns of each mask, as `turns_taken` gives them.

    Returns:
        All error types, in their order, with their numbers of returned masks.
    """
    counts = dict.fromkeys(ERROR_TYPES, 0)
    for turns in masks:
        for turn in turns:
            if turn.check is not None and not turn.check.accepted:
                for error_type in {mark.error_type for mark in turn.check.marks}:
                    counts[error_type] += 1
    return counts


def annotator_agreement(mious: Sequence[float]) -> Agreement:
    """What the mIoUs between two people's masks of the same images say together.

    The mIoU of an image is over the classes present in either mask (`maps_miou`), so it does not matter whose
    mask comes first: neither is the truth. (The mIoU of a set takes its classes from the truth, and would not
    do.)

    Args:
        mious: of every image that was drawn twice, 0..1, NaN where it is undefined.

    Source:
        docs/equations.md, Agreement of annotators.
    """
    values = np.array(mious, dtype=np.float64)
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Agreement(float("nan"), float("nan"), 0, values.size)
    return Agreement(float(defined.mean()), float(defined.min()), defined.size, values.size - defined.size)
