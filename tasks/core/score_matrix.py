"""The scores of a panel as a table: a row for every map shown, a column for every rater."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.consensus import Rating

Shown = tuple[str, str]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreMatrix:
    """Who gave which score to what.

    Attributes:
        shown: the n rows: (image id, map digest), sorted.
        raters: the r columns, sorted.
        scores: (n, r) float64, 1..5; NaN where a rater gave none or declared the image out of domain.
    """

    shown: tuple[Shown, ...]
    raters: tuple[str, ...]
    scores: Scores


def score_matrix(ratings: Iterable[Rating]) -> ScoreMatrix:
    """The scores of repeat 0 as a table; the result does not depend on the order of the ratings.

    Args:
        ratings: at most one per image, map, rater and repeat. Whoever gave any answer has a column, and what
            anybody answered about has a row.

    Raises:
        ValueError: two answers of one rater about one map with repeat 0.
    """
    answers = list(ratings)
    shown = sorted({(a.image_id, a.map_digest) for a in answers})
    raters = sorted({a.rater for a in answers})
    row = {key: i for i, key in enumerate(shown)}
    column = {name: i for i, name in enumerate(raters)}
    scores = np.full((len(shown), len(raters)), np.nan)
    counted: set[tuple[int, int]] = set()
    for a in answers:
        if a.repeat == 0:
            cell = row[(a.image_id, a.map_digest)], column[a.rater]
            if cell in counted:
                raise ValueError(
                    f"one answer of repeat 0 per image, map and rater is required, got two of {a.rater!r} "
                    f"about image {a.image_id}; drop the older one"
                )
            counted.add(cell)
            if a.score is not None and not a.out_of_domain:
                scores[cell] = a.score
    return ScoreMatrix(tuple(shown), tuple(raters), scores)


def check_scores(scores: Scores) -> None:
    """Raise ValueError unless `scores` is a table whose values are in 1..5 or NaN."""
    if scores.ndim != 2:
        raise ValueError(f"`scores` must be a table of maps x raters, got shape {scores.shape}")
    outside = ~np.isnan(scores) & ~((scores >= 1) & (scores <= 5))
    if outside.any():
        first = tuple(np.argwhere(outside)[0].tolist())
        raise ValueError(f"`scores` must be 1..5 or NaN, got {scores[first]} at (map, rater) {first}")
