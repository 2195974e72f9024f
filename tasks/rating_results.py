"""What becomes of the raters' answers: the ones that count, and a mean opinion score of every candidate."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from math import isnan
from typing import Any

from tasks.core.consensus import Consensus, consensus
from tasks.core.opinion_intervals import opinion_intervals
from tasks.core.rating_needs import RatingNeed, needs_in
from tasks.core.score_matrix import score_matrix
from tasks.rating_answers import is_about_candidate, rating_of

Row = dict[str, Any]


def rate(answers: Iterable[Row], model_version: str, in_full: AbstractSet[str] | None = None) -> list[Row]:
    """Consensus of every image as rows of `ratings`.

    Args:
        answers: those that count, of repeat 0, about candidates.
        model_version: whose maps were rated.
        in_full: images that all raters answered about; None for all.
    """
    ratings = [rating_of(row) for row in answers]
    matrix = score_matrix(ratings)
    intervals = opinion_intervals(matrix.scores)
    bounds = dict(zip(matrix.shown, zip(intervals.low, intervals.high, strict=True), strict=True))
    scores: dict[str, list[int]] = {}
    for rating in sorted(ratings, key=lambda rating: rating.rater):
        if rating.score is not None:
            scores.setdefault(rating.image_id, []).append(rating.score)
    return [
        {
            "image_id": c.image_id,
            "model_version": model_version,
            "map_digest": c.map_digest,
            "mean_opinion_score": c.mean_opinion_score,
            "n_ratings": c.n_ratings,
            "out_of_domain": c.out_of_domain,
            "scores": scores.get(c.image_id, []),
            "stopped_early": in_full is not None and c.image_id not in in_full,
        }
        | _interval(c, bounds[c.image_id, c.map_digest])
        for c in consensus(ratings)
    ]


def _interval(image: Consensus, bounds: tuple[float, float]) -> Row:
    """The interval of a mean opinion score; none where there is no score, or its spread is unknown."""
    low, high = (None if image.mean_opinion_score is None or isnan(b) else float(b) for b in bounds)
    return {"low": low, "high": high}


def rated_answers(
    planned: Iterable[Row], answers: Mapping[RatingNeed, Row], disregarded: Collection[str] = ()
) -> list[Row]:
    """Rows of `rated_answers`: the answer that was used for every need that has one, and whether it counts.

    Args:
        planned: rows of `rating_plan`.
        answers: the newest valid answer to each need.
        disregarded: raters whose out-of-domain declarations do not count.
    """
    columns = ("score", "out_of_domain", "annotation_id", "seconds", "submitted_at")
    rows = []
    for row, need in zip(planned := list(planned), needs_in(planned), strict=True):
        if need in answers:
            given = {name: answers[need][name] for name in columns}
            about = {name: row[name] for name in ("image_id", "map_digest", "rater", "repeat")}
            # Repeats and gold images are about the raters, not about the candidates.
            is_heeded = not (given["out_of_domain"] and need.rater in disregarded)
            counts = is_about_candidate(row) and is_heeded
            rows.append(about | given | {"expected_score": row["expected_score"], "counts": counts})
    return rows
