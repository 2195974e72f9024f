"""How exactly a mean opinion score is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.core.score_matrix import Scores, check_scores

WORST, BEST = 1.0, 5.0


@dataclass(frozen=True)
class OpinionIntervals:
    """Mean opinion scores with their intervals.

    Attributes:
        mean: (n,) 1..5; NaN for an image without a score.
        low, high: (n,) 1..5; NaN where the mean or the rater variance is.
        rater_variance: of one score about the mean opinion, pooled over the images; NaN if no image has two.
        degrees: degrees of freedom of that variance.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rater_variance: float
    degrees: int


def opinion_intervals(scores: Scores, *, confidence: float = 0.95) -> OpinionIntervals:
    """The mean opinion score of every image with the interval in which the mean of a large panel lies.

    Three scores say little about their own spread, all images together say much: the variance within an
    image is pooled over the images with its degrees of freedom. The biases of the raters are not taken out:
    the mean opinion score contains them, so the interval has to cover them. With the same raters on every
    image the errors of the images go together; a difference of two images is known better than its two
    intervals say.

    Args:
        scores: (n, r) of n images by r raters, 1..5, NaN where there is none.
        confidence: 0..1, both excluded.

    Raises:
        ValueError: not a table of such scores, or a confidence out of range.

    Source:
        One-way analysis of variance, within groups; Student's t. P.910 gives the interval of a single image.
    """
    check_scores(scores)
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1, got {confidence}")
    seen = ~np.isnan(scores)
    counts = seen.sum(axis=1)
    mean = np.full(len(scores), np.nan)
    np.divide(np.where(seen, scores, 0).sum(axis=1), counts, out=mean, where=counts > 0)
    degrees = int((counts - 1)[counts > 0].sum())
    squares = np.where(seen, scores - mean[:, None], 0) ** 2
    variance = float(squares.sum() / degrees) if degrees else float("nan")
    half = np.full(len(scores), np.nan)
    if degrees:
        widest = stats.t.ppf((1 + confidence) / 2, degrees) * np.sqrt(variance)
        np.divide(widest, np.sqrt(counts), out=half, where=counts > 0)
    return OpinionIntervals(
        mean, np.clip(mean - half, WORST, BEST), np.clip(mean + half, WORST, BEST), variance, degrees
    )
