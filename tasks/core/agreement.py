"""How far raters agree beyond chance."""

from __future__ import annotations

import numpy as np

from tasks.core.score_matrix import Scores, check_scores


def ordinal_alpha(scores: Scores) -> float:
    """Krippendorff's alpha with the ordinal metric: 1 = full agreement, 0 = as by chance, below 0 = worse.

    For the agreement of a panel, pass the images that all its raters scored:
    `scores[~np.isnan(scores).any(axis=1)]`.

    Args:
        scores: (n, r) 1..5, NaN where there is none; rows with one score say nothing and are left out.

    Returns:
        Alpha, at most 1; NaN if no row has two scores, or if all paired scores are equal.

    Raises:
        ValueError: not a table of such scores.

    Source:
        K. Krippendorff: "Computing Krippendorff's Alpha-Reliability", 2011.
    """
    check_scores(scores)
    values = np.unique(scores[~np.isnan(scores)])
    counts = (scores[:, :, None] == values).sum(axis=1)  # (n, v): how often each row got each value
    raters = counts.sum(axis=1)
    counts, raters = counts[raters >= 2].astype(np.float64), raters[raters >= 2]
    # coincidences: pairs of scores of one row, each row weighing as much as it has scores
    scaled = counts / (raters[:, None] - 1)
    coincidences = scaled.T @ counts - np.diag(scaled.sum(axis=0))
    totals = coincidences.sum(axis=1)
    distances = _ordinal_distances(totals)
    expected = totals @ distances @ totals
    if expected == 0:
        return float("nan")
    return float(1 - (totals.sum() - 1) * (coincidences * distances).sum() / expected)


def _ordinal_distances(totals: Scores) -> Scores:
    """(v, v) squared distances: how many scores lie between two values, the two themselves counted half."""
    middle = np.cumsum(totals) - totals / 2
    distances: Scores = (middle[:, None] - middle[None, :]) ** 2
    return distances
