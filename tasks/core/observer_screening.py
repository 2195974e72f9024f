"""BT.500's screening of observers: how often a rater is far from the panel, and to which side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.core.score_matrix import Scores, check_scores

LEAST_RATERS = 8  # with 6 or fewer scores of 1..5 none can lie outside; with 7 a few patterns could
MOST_OUTSIDE = 0.05
MOST_ONE_SIDED = 0.3


@dataclass(frozen=True)
class ObserverScreening:
    """BT.500's counts of one rater.

    Attributes:
        above, below: scores outside the panel's band of their map, P and Q in BT.500.
        n_scores: scores on maps that at least `LEAST_RATERS` raters scored.
        rejected: whether BT.500 would leave the rater out.
    """

    above: int
    below: int
    n_scores: int
    rejected: bool


def screen_observers(scores: Scores) -> list[ObserverScreening] | None:
    """BT.500's counts of every rater; None for a panel below `LEAST_RATERS`, for which they say nothing.

    On every map the band is mean +- 2 S if the kurtosis is in 2..4, as of normal scores, or else
    mean +- sqrt(20) S, with S the standard deviation (n - 1) of the map's scores. A rater is rejected if more
    than 5 % lie outside and neither side prevails: what lies on one side is bias, which the counts are not
    meant to find.

    Args:
        scores: (n, r) of n maps by r raters, NaN where there is none.

    Raises:
        ValueError: not a table of scores of 1..5.

    Source:
        ITU-R BT.500, screening of the observers for single stimulus methods.
    """
    check_scores(scores)
    if scores.shape[1] < LEAST_RATERS:
        return None
    rows = scores[(~np.isnan(scores)).sum(axis=1) >= LEAST_RATERS]
    if not len(rows):
        return [ObserverScreening(0, 0, 0, rejected=False)] * scores.shape[1]
    off = rows - np.nanmean(rows, axis=1, keepdims=True)
    second, fourth = np.nanmean(off**2, axis=1), np.nanmean(off**4, axis=1)
    spread = np.nanstd(rows, axis=1, ddof=1)
    kurtosis = np.divide(fourth, second**2, out=np.zeros_like(second), where=second > 0)
    band = np.where((kurtosis >= 2) & (kurtosis <= 4), 2.0, np.sqrt(20.0)) * spread
    apart = (spread > 0)[:, None]  # where all agree nobody is outside a band of width 0
    above = (apart & (off >= band[:, None])).sum(axis=0)
    below = (apart & (off <= -band[:, None])).sum(axis=0)
    counts = (~np.isnan(rows)).sum(axis=0)
    return [
        ObserverScreening(int(p), int(q), int(n), rejected=_rejected(int(p), int(q), int(n)))
        for p, q, n in zip(above, below, counts, strict=True)
    ]


def _rejected(above: int, below: int, n_scores: int) -> bool:
    outside = above + below
    return outside > MOST_OUTSIDE * n_scores and abs(above - below) < MOST_ONE_SIDED * outside
