"""What can be counted about one rater: repeats, gold images, rank correlation, out of domain."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tasks.core.consensus import Rating
from tasks.core.score_matrix import Scores, Shown

RIGHT_WITHIN = 1.0  # scores


@dataclass(frozen=True)
class Count:
    """So many of so many."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """0..1; NaN of none."""
        return self.hits / self.of if self.of else float("nan")


@dataclass(frozen=True)
class RankCorrelation:
    """How the order of a rater's scores agrees with that of the others' mean.

    Attributes:
        spearman: -1..1; NaN if either side has one value only.
        n_images: images that the rater and another one scored.
    """

    spearman: float
    n_images: int


def repeats_within_one(ratings: Iterable[Rating]) -> dict[str, Count]:
    """Per rater, the repeats whose score is at most 1 from the first; out of domain is to be said twice."""
    first: dict[tuple[str, Shown], Rating] = {}
    again: list[Rating] = []
    for rating in ratings:
        if rating.repeat:
            again.append(rating)
        else:
            first[rating.rater, _shown(rating)] = rating
    hits: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for rating in again:
        before = first.get((rating.rater, _shown(rating)))
        if before is not None:
            of[rating.rater] += 1
            hits[rating.rater] += _same(before, rating)
    return {rater: Count(hits[rater], of[rater]) for rater in of}


def gold_within_one(ratings: Iterable[Rating], gold: Mapping[Shown, float]) -> dict[str, Count]:
    """Per rater, the gold images (repeat 0) scored at most 1 from the known score; out of domain is wrong."""
    answers: dict[str, list[bool]] = defaultdict(list)
    for rating in ratings:
        known = gold.get(_shown(rating))
        if known is not None and rating.repeat == 0:
            right = rating.score is not None and abs(rating.score - known) <= RIGHT_WITHIN
            answers[rating.rater].append(right)
    return {rater: Count(sum(right), len(right)) for rater, right in answers.items()}


def declared_out_of_domain(ratings: Iterable[Rating]) -> dict[str, Count]:
    """Per rater, the images (repeat 0) declared out of domain."""
    answers: dict[str, list[bool]] = defaultdict(list)
    for rating in ratings:
        if rating.repeat == 0:
            answers[rating.rater].append(rating.out_of_domain)
    return {rater: Count(sum(declared), len(declared)) for rater, declared in answers.items()}


def rank_correlations(unbiased: Scores) -> list[RankCorrelation]:
    """Every rater's correlation with the mean of the others.

    Args:
        unbiased: (n, r) scores without the raters' biases, NaN where there is none; with missing scores a
            biased rater would else move the others' mean up and down.
    """
    seen = ~np.isnan(unbiased)
    filled = np.where(seen, unbiased, 0.0)
    found = []
    for rater in range(unbiased.shape[1]):
        others = seen.sum(axis=1) - seen[:, rater]
        both = seen[:, rater] & (others > 0)
        own = unbiased[both, rater]
        mean = (filled.sum(axis=1) - filled[:, rater])[both] / others[both]
        # equal means must be equal in the last bit too, or ties become ranks
        found.append(_correlation(np.round(own, 9), np.round(mean, 9)))
    return found


def _correlation(a: Scores, b: Scores) -> RankCorrelation:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return RankCorrelation(float("nan"), len(a))
    return RankCorrelation(float(stats.spearmanr(a, b).statistic), len(a))


def _shown(rating: Rating) -> Shown:
    return rating.image_id, rating.map_digest


def _same(first: Rating, again: Rating) -> bool:
    if first.out_of_domain or again.out_of_domain or first.score is None or again.score is None:
        return first.out_of_domain and again.out_of_domain
    return abs(first.score - again.score) <= RIGHT_WITHIN
