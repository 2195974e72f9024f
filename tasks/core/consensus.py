"""What several raters say together about one map of one image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rating:
    """One rater's answer about one map.

    Attributes:
        image_id: the image.
        map_digest: digest of the map that was shown.
        rater: who answered.
        repeat: 0 = the rating that counts; above 0 = shown again to measure how steady a rater is.
        score: 1 bad, 2 poor, 3 fair, 4 good, 5 excellent; may be None only with out_of_domain.
        out_of_domain: the rater says that the image is not of the kind the model is for.
    """

    image_id: str
    map_digest: str
    rater: str
    repeat: int
    score: int | None
    out_of_domain: bool


@dataclass(frozen=True)
class Consensus:
    """What the raters of one map say together.

    Attributes:
        image_id: the image.
        map_digest: digest of the map that was shown.
        mean_opinion_score: 1..5; None if out of domain, or if there are only repeats.
        n_ratings: raters who answered (repeat 0), those who said out of domain included.
        out_of_domain: at least one rater said so, in any answer.
    """

    image_id: str
    map_digest: str
    mean_opinion_score: float | None
    n_ratings: int
    out_of_domain: bool


def consensus(ratings: Iterable[Rating]) -> list[Consensus]:
    """The mean opinion score of every (image, map), or that it is out of domain.

    Any single rater may declare an image out of domain; otherwise the mean of the scores of repeat 0.

    Args:
        ratings: valid answers, in any order; the result does not depend on it.

    Returns:
        One entry per (image, map), sorted by image id, then digest.

    Raises:
        ValueError: two answers of the same (image, map, rater, repeat), or an answer without a score of 1..5
            that is not out of domain.

    Source:
        DESIGN, section 1, row ratings.
    """
    by_map: dict[tuple[str, str], dict[tuple[str, int], Rating]] = defaultdict(dict)
    for rating in ratings:
        _check(rating)
        answers = by_map[(rating.image_id, rating.map_digest)]
        if (rating.rater, rating.repeat) in answers:
            raise ValueError(
                f"one answer per image, map, rater and repeat is required, got two of {rating.rater!r}, "
                f"repeat {rating.repeat}, about image {rating.image_id}; drop the older one"
            )
        answers[(rating.rater, rating.repeat)] = rating
    return [
        _agree(image_id, digest, list(answers.values()))
        for (image_id, digest), answers in sorted(by_map.items())
    ]


def _agree(image_id: str, digest: str, ratings: list[Rating]) -> Consensus:
    out_of_domain = any(r.out_of_domain for r in ratings)
    counted = [r for r in ratings if r.repeat == 0]
    scores = [r.score for r in counted if r.score is not None]
    # a sum of small integers is exact, so the order of the answers cannot matter
    mean = None if out_of_domain or not scores else sum(scores) / len(scores)
    return Consensus(image_id, digest, mean, len(counted), out_of_domain)


def _check(rating: Rating) -> None:
    if rating.repeat < 0:
        raise ValueError(f"`repeat` must not be negative, got {rating}")
    if rating.score is None:
        if not rating.out_of_domain:
            raise ValueError(f"a rating needs a score of 1..5 or out of domain, got {rating}")
    elif not 1 <= rating.score <= 5:
        raise ValueError(f"`score` must be 1..5, got {rating}")
