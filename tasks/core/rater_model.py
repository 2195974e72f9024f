"""How raters differ: bias and inconsistency of each, fitted together with the quality of the maps.

Legend: n maps, r raters, i a rater, j a map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.score_matrix import Scores, check_scores

Values = NDArray[np.float64]

VARIANCE_FLOOR = 1 / 12  # what rounding to whole scores alone adds
_TOLERANCE = 1e-8
_MAX_ITERATIONS = 10_000
_RANK = 1e-9  # smaller eigenvalues, relative to the largest, are rounding errors of 0


@dataclass(frozen=True)
class RaterModel:
    """What the subject model says; score units, NaN where it cannot be known.

    Attributes:
        quality: (n,) of each map, raters' biases taken out; on the panel's scale, whose mean bias is 0.
        quality_error: (n,) its standard error.
        bias: (r,) what a rater adds to every score; mean 0 over the raters whose bias is known.
        bias_covariance: (r, r) of the biases; squared standard errors on the diagonal.
        inconsistency: (r,) standard deviation of a rater's scores around quality + bias.
        inconsistency_error: (r,) its standard error; NaN where raters cannot be told apart, as two cannot.
        converged: whether the estimates had stopped moving.
    """

    quality: Values
    quality_error: Values
    bias: Values
    bias_covariance: Values
    inconsistency: Values
    inconsistency_error: Values
    converged: bool

    @property
    def bias_error(self) -> Values:
        """(r,) standard errors of the biases."""
        return np.sqrt(np.diag(self.bias_covariance))


def fit_rater_model(scores: Scores) -> RaterModel:
    """Quality of every map, bias and inconsistency of every rater: `u_ij = quality_j + bias_i + nu_i X`.

    Alternates between quality (mean of the scores without bias, weighted by 1 / nu_i^2), bias (mean of what
    is left) and nu_i. Raters are compared on maps with at least two scores; a rater with fewer than two such
    scores has no estimates, and its scores are not used. Biases can be compared between raters who are
    linked by maps they share, directly or through others.

    Departures from the source, which takes the mean square of the residuals as nu_i^2. With few raters that
    has no end: the rater with the smallest residuals gets more weight, so smaller residuals, until it alone
    is the quality. Here (1) the variance of the estimated quality is added to the mean square, and the degree
    of freedom of the bias is taken off, as restricted maximum likelihood has it; two raters then get equal
    inconsistencies; (2) nu_i^2 is at least 1/12, the variance of rounding to whole scores; (3) the standard
    errors are those of the joint estimate, where the source takes the other estimates as known.

    Args:
        scores: (n, r) float64, 1..5; NaN where there is no score.

    Raises:
        ValueError: not a table of such scores.

    Source:
        ITU-T P.910 (07/2022), Annex E; Z. Li, C. G. Bampis, L. Krasula, L. Janowski, I. Katsavounidis: "A
        simple model for subject behavior in subjective experiments", 2020. For (1): H. D. Patterson,
        R. Thompson, Biometrika 58 (1971).
    """
    check_scores(scores)
    rows, raters = _compared(scores)
    compared = scores[np.ix_(rows, raters)]
    bias, variance, converged = _alternate(compared)
    bias_covariance, variance_error = _errors(compared, variance)
    quality, quality_error = _quality(scores[:, raters], bias, variance)
    inconsistency = np.sqrt(variance)
    known_pairs = np.full((scores.shape[1],) * 2, np.nan)
    known_pairs[np.ix_(raters, raters)] = bias_covariance
    return RaterModel(
        quality,
        quality_error,
        _spread(bias, raters),
        known_pairs,
        _spread(inconsistency, raters),
        _spread(variance_error / (2 * inconsistency), raters),
        converged,
    )


def _compared(scores: Scores) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Maps with two scores or more, raters with two such maps or more; each counts only the other."""
    present = ~np.isnan(scores)
    rows, raters = np.ones(scores.shape[0], dtype=bool), np.ones(scores.shape[1], dtype=bool)
    while True:
        new_rows = present[:, raters].sum(axis=1) >= 2
        new_raters = present[new_rows].sum(axis=0) >= 2
        if (new_rows == rows).all() and (new_raters == raters).all():
            return rows, raters
        rows, raters = new_rows, new_raters


def _alternate(scores: Scores) -> tuple[Values, Values, bool]:
    """Biases and variances of raters who can all be compared, and whether they converged."""
    present = ~np.isnan(scores)
    count = present.sum(axis=0)  # (r,)
    bias, variance = np.zeros(scores.shape[1]), np.ones(scores.shape[1])
    if bias.size == 0:
        return bias, variance, True
    for _ in range(_MAX_ITERATIONS):
        quality, error = _quality(scores, bias, variance)
        left = np.where(present, scores - quality[:, None], 0.0)
        new_bias = left.sum(axis=0) / count
        squares = (np.where(present, left - new_bias, 0.0) ** 2).sum(axis=0)
        uncertain = np.where(present, error[:, None] ** 2, 0.0).sum(axis=0)
        new_variance = np.maximum(squares / (count - 1) + uncertain / count, VARIANCE_FLOOR)
        new_bias -= new_bias.mean()
        moved = max(np.abs(new_bias - bias).max(), np.abs(new_variance - variance).max())
        bias, variance = new_bias, new_variance
        if moved < _TOLERANCE:
            return bias, variance, True
    return bias, variance, False


def _quality(scores: Scores, bias: Values, variance: Values) -> tuple[Values, Values]:
    """(n,) quality and its standard error; NaN for a map without a score."""
    weights = np.where(np.isnan(scores), 0.0, 1 / variance)
    total = weights.sum(axis=1)
    total[total == 0] = np.nan
    weighted = (weights * np.where(np.isnan(scores), 0.0, scores - bias)).sum(axis=1)
    return weighted / total, 1 / np.sqrt(total)


def _errors(scores: Scores, variance: Values) -> tuple[Values, Values]:
    """(r, r) covariance of the biases, (r,) standard errors of the variances, from the information on each.

    On one map, with weights w and their sum s, the raters' differences have the precision
    P = diag(w) - w w' / s. Summed over the maps, P informs on the biases, P * P / 2 on the variances.
    """
    weights = np.where(np.isnan(scores), 0.0, 1 / variance)
    share = weights / weights.sum(axis=1, keepdims=True)
    on_bias = np.diag(weights.sum(axis=0)) - weights.T @ share
    squares = (weights * share).T @ (weights * share)
    np.fill_diagonal(squares, ((weights * (1 - share)) ** 2).sum(axis=0))
    bias_covariance = np.linalg.pinv(on_bias, rcond=_RANK, hermitian=True)
    on_variance = squares / 2
    covariance = np.linalg.pinv(on_variance, rcond=_RANK, hermitian=True)
    known = np.isclose(np.diag(covariance @ on_variance), 1.0)
    return bias_covariance, np.sqrt(np.where(known, np.diag(covariance), np.nan))


def _spread(values: Values, raters: NDArray[np.bool_]) -> Values:
    """Values of some raters at their places among all raters, NaN elsewhere."""
    spread = np.full(raters.shape, np.nan)
    spread[raters] = values
    return spread
