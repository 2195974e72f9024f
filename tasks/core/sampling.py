"""Which candidates become the test set T, and which the failures S."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class TestSetRule:
    """How large a test set may be.

    Attributes:
        size: images at most, >= 0.
        max_share: share of the candidates at most, 0..1.
        max_per_class: images per main class at most, >= 1.
    """

    __test__ = False  # not a pytest class

    size: int
    max_share: float
    max_per_class: int

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range."""
        _check_size(self.size)
        if not 0 <= self.max_share <= 1:
            raise ValueError(f"`max_share` must be in 0..1, got {self.max_share}")
        if self.max_per_class < 1:
            raise ValueError(f"`max_per_class` must be at least 1, got {self.max_per_class}")


@dataclass(frozen=True)
class Rated:
    """A candidate with all its ratings.

    Attributes:
        image_id: the image.
        mean_opinion_score: 1 (bad) .. 5 (excellent).
        discrepancy: 0..1, the largest over the reasons for which the image was chosen.
    """

    image_id: str
    mean_opinion_score: float
    discrepancy: float


def drawing_order(image_ids: Sequence[str], *, seed: int, round_number: int) -> list[str]:
    """A random order of the images that depends on the set of ids, the seed and the round only.

    Args:
        image_ids: unique ids, in any order.
        seed: >= 0.
        round_number: >= 0; every round has an order of its own.

    Returns:
        All the ids, permuted.

    Raises:
        ValueError: ids that are not unique, or a negative seed or round.

    Source:
        DESIGN, section 1, row T.
    """
    _check_unique(image_ids)
    if seed < 0 or round_number < 0:
        raise ValueError(f"`seed` and `round_number` must not be negative, got {seed} and {round_number}")
    ids = sorted(image_ids)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, round_number])))
    return [ids[i] for i in rng.permutation(len(ids))]


def draw_test_set(
    order: Sequence[str],
    *,
    main_classes: Mapping[str, int | None],
    out_of_domain: AbstractSet[str],
    rule: TestSetRule,
) -> list[str]:
    """The first images in the order that are in the domain and whose main class is not yet full.

    Args:
        order: all candidates, as `drawing_order` put them.
        main_classes: main foreground class of each image in the target's map; None (no foreground) counts as
            a class of its own.
        out_of_domain: ids that a rater declared out of domain.
        rule: size, share and cap per class; the share is of all candidates, those out of domain included.

    Returns:
        At most min(size, floor(share * candidates)) ids, in the order drawn.

    Raises:
        ValueError: an id that is twice in the order or has no entry in `main_classes`.

    Source:
        DESIGN, section 1, row T.
    """
    _check_unique(order)
    missing = [image_id for image_id in order if image_id not in main_classes]
    if missing:
        raise ValueError(f"`main_classes` needs an entry for every image, got none for {missing[0]!r}")
    size = largest_set(len(order), rule.size, rule.max_share)
    per_class: Counter[int | None] = Counter()
    drawn: list[str] = []
    for image_id in order:
        if len(drawn) == size:
            break
        main = main_classes[image_id]
        if image_id in out_of_domain or per_class[main] == rule.max_per_class:
            continue
        per_class[main] += 1
        drawn.append(image_id)
    return drawn


def cut_failures(rated: Sequence[Rated], *, size: int, failure_below: float | None) -> list[str]:
    """The worst rated images.

    Args:
        rated: the candidates that remain beside the test set, each with all its ratings and in the domain.
        size: images at most, >= 0; see `largest_set`.
        failure_below: only images with a mean opinion score below it; None = no bound.

    Returns:
        Ids, worst first: mean opinion score ascending, discrepancy descending, image id ascending.

    Raises:
        ValueError: an id that is there twice, or a score or discrepancy out of range or NaN.

    Source:
        DESIGN, section 1, row S.
    """
    _check_unique([r.image_id for r in rated])
    _check_size(size)
    for r in rated:
        if not 1 <= r.mean_opinion_score <= 5 or not 0 <= r.discrepancy <= 1:
            raise ValueError(
                f"a rated image needs a mean opinion score of 1..5 and a discrepancy of 0..1, got {r}; "
                "leave out images that are out of domain or not rated in full"
            )
    worst = sorted(rated, key=lambda r: (r.mean_opinion_score, -r.discrepancy, r.image_id))
    if failure_below is not None:
        worst = [r for r in worst if r.mean_opinion_score < failure_below]
    return [r.image_id for r in worst[:size]]


def largest_set(count: int, size: int, max_share: float) -> int:
    """How many images T or S may have: at most `size`, and at most a share of `count`.

    Args:
        count: for T all candidates, for S those in the domain beside T, rated in full or not.
        size: >= 0.
        max_share: 0..1.
    """
    _check_size(size)
    return min(size, floor_share(count, max_share))


def floor_share(count: int, share: float) -> int:
    """floor(count * share), with the share read as the fraction it was meant to be.

    In floating point 0.29 * 100 is below 29; one image must not be lost to that.

    >>> floor_share(100, 0.29), floor_share(90, 1 / 3)
    (29, 30)

    Raises:
        ValueError: a share outside 0..1.
    """
    return math.floor(count * _fraction(share))


def ceil_share(count: int, share: float) -> int:
    """ceil(count * share), with the share read as in `floor_share`.

    >>> ceil_share(100, 0.05), ceil_share(100, 0.07), ceil_share(3, 0.05), ceil_share(3, 0)
    (5, 7, 1, 0)

    Raises:
        ValueError: a share outside 0..1.
    """
    return math.ceil(count * _fraction(share))


def _fraction(share: float) -> Fraction:
    if not 0 <= share <= 1:
        raise ValueError(f"a share must be in 0..1, got {share}")
    return Fraction(share).limit_denominator(1_000_000)


def _check_size(size: int) -> None:
    if size < 0:
        raise ValueError(f"`size` must not be negative, got {size}")


def _check_unique(image_ids: Sequence[str]) -> None:
    twins = [image_id for image_id, count in Counter(image_ids).items() if count > 1]
    if twins:
        raise ValueError(f"image ids must be unique, got {twins[0]!r} more than once")
