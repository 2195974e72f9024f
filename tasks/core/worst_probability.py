"""How probable it is that an image's quality is among the lowest, given the ratings there are so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

WORST, BEST = 1, 5
CELL = 0.05
QUALITY = np.arange(20 * WORST, 20 * BEST + 1) * CELL  # (G,) centres of the cells of quality
EDGES = np.append(QUALITY - CELL / 2, BEST + CELL / 2)  # (G + 1,)
EM_STEPS = 100  # stopped early: at its maximum the likelihood has a prior of a few atoms

Scores = Mapping[str, int]  # rater -> 1..5
Masses = NDArray[np.float64]


@dataclass(frozen=True)
class Habit:
    """How a rater scores.

    Attributes:
        bias: added to every score, in score units.
        noise: standard deviation of what is added at random, in score units, > 0.
    """

    bias: float
    noise: float

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range or NaN."""
        if not np.isfinite(self.bias) or not 0 < self.noise < np.inf:
            raise ValueError(f"a habit needs a finite bias and a noise above 0, got {self}")


@dataclass(frozen=True, eq=False)
class QualityPosterior:
    """What is known about the quality of every image; images with the same answers are alike.

    Attributes:
        row_of: row of each image.
        cumulative: (K, G + 1) probability that the quality is below each of `EDGES`.
    """

    row_of: Mapping[str, int]
    cumulative: Masses

    def below(self, bound: float) -> dict[str, float]:
        """Probability of every image that its quality is below `bound`, in score units.

        Within a cell the quality counts as uniform.
        """
        by_row = [float(np.interp(bound, EDGES, row)) for row in self.cumulative]
        return {image_id: by_row[row] for image_id, row in self.row_of.items()}

    def worst_below(self, image_ids: Collection[str], count: int) -> float:
        """The quality below which `count` of the images are expected to be, in score units.

        Args:
            image_ids: the images that compete, each in `row_of`.
            count: 0 gives the lower end of the scale; all of them, or more, its upper end.
        """
        images = Counter(self.row_of[image_id] for image_id in image_ids)
        numbers = np.array([images[row] for row in range(len(self.cumulative))], dtype=np.float64)
        return (
            float(np.interp(count, numbers @ self.cumulative, EDGES)) if count < len(image_ids) else EDGES[-1]
        )


def quality_posterior(scores: Mapping[str, Scores], habits: Mapping[str, Habit]) -> QualityPosterior:
    """The distribution of every image's quality, with a prior fitted to all the scores.

    The prior is a histogram over `QUALITY`, by `EM_STEPS` steps of expectation and maximisation from the
    uniform one. A score of 1..5 is the rounded and clipped `quality + bias + noise N(0, 1)`, scores of an
    image being independent given its quality. Biases, noise and prior are taken as known afterwards.

    The probability to be among the worst n of some images is that of a quality below
    `t = posterior.worst_below(images, n)`, that is `posterior.below(t)`: these probabilities add up to n.
    It approximates the probability of a rank by treating the n-th lowest quality as known; with hundreds of
    images that quality varies little.

    Args:
        scores: of every image, by rater; an image without scores has the prior.
        habits: of every rater there.

    Raises:
        ValueError: a score outside 1..5.

    Source:
        ITU-T P.910 (2022), annex E, for the scores; Laird, "Nonparametric Maximum Likelihood Estimation of a
        Mixing Distribution", JASA 73, 1978, for the prior.
    """
    answers = {image_id: tuple(sorted(given.items())) for image_id, given in scores.items()}
    images = Counter(answers.values())
    patterns = sorted(images)  # so that the order of images and answers cannot matter, to the last bit
    likelihood = np.ones((len(patterns), len(QUALITY)))
    for row, pattern in enumerate(patterns):
        for rater, score in pattern:
            likelihood[row] *= score_probability(score, habits[rater])
            likelihood[row] /= likelihood[row].max()  # many scores would underflow
    counts = np.array([images[pattern] for pattern in patterns], dtype=np.float64)
    masses = _masses(likelihood, counts)
    row_of = {pattern: row for row, pattern in enumerate(patterns)}
    return QualityPosterior(
        {image_id: row_of[pattern] for image_id, pattern in answers.items()},
        np.hstack([np.zeros((len(patterns), 1)), np.cumsum(masses, axis=1)]),
    )


def score_probability(score: int, habit: Habit) -> Masses:
    """(G,) probability of a score at each of `QUALITY`: the normal mass that is rounded or clipped to it.

    Raises:
        ValueError: a score outside 1..5.
    """
    if not WORST <= score <= BEST:
        raise ValueError(f"`score` must be {WORST}..{BEST}, got {score}")
    lower = -np.inf if score == WORST else score - 0.5
    upper = np.inf if score == BEST else score + 0.5
    low, high = ((bound - QUALITY - habit.bias) / habit.noise for bound in (lower, upper))
    # of the two tails the thin one, where a difference loses no digits
    mass: Masses = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    return mass


def _masses(likelihood: Masses, counts: Masses) -> Masses:
    """(K, G) posterior masses of K kinds of images, `counts` images of each, under the fitted prior."""
    prior = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    masses = likelihood
    for _ in range(EM_STEPS if len(counts) else 0):
        masses = likelihood * prior
        masses /= masses.sum(axis=1, keepdims=True)
        prior = counts @ masses / counts.sum()
    return masses
