from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.core.consensus import Rating
from tasks.core.rater_measures import (
    Count,
    declared_out_of_domain,
    gold_within_one,
    rank_correlations,
    repeats_within_one,
)

NAN = np.nan


def rating(image: str, score: int | None, *, rater: str = "r", repeat: int = 0) -> Rating:
    return Rating(image, "map", rater, repeat, score, score is None)


def test_repeats_are_compared_with_the_first_answer_whatever_comes_first() -> None:
    answers = [
        rating("a", 4, repeat=1),
        rating("a", 3),
        rating("b", 1),
        rating("b", 3, repeat=1),
        rating("c", None),
        rating("c", None, repeat=1),
        rating("d", None),
        rating("d", 1, repeat=1),
        rating("never first", 1, repeat=1),
    ]
    assert repeats_within_one(answers) == {"r": Count(2, 4)}


def test_gold_is_right_within_one_score() -> None:
    answers = [rating("a", 4), rating("b", 3), rating("c", None), rating("d", 2), rating("a", 1, repeat=1)]
    gold = {("a", "map"): 5.0, ("b", "map"): 5.0, ("c", "map"): 1.0, ("d", "another map"): 2.0}
    assert gold_within_one(answers, gold) == {"r": Count(1, 3)}


def test_declarations_count_first_answers() -> None:
    answers = [rating("a", None), rating("b", 3), rating("b", None, repeat=1), rating("a", 2, rater="s")]
    assert declared_out_of_domain(answers) == {"r": Count(1, 2), "s": Count(0, 1)}


def test_a_share_of_nothing_is_not_known() -> None:
    assert math.isnan(Count(0, 0).share)
    assert Count(1, 4).share == 0.25


def test_correlation_with_the_mean_of_the_others_by_hand() -> None:
    # ranks 1, 3, 2, 4 beside 1, 2, 3, 4: squares 2, so 1 - 6 * 2 / 60; 5 pairs agree, 1 does not
    scores = np.array([[1, 1, 1], [4, 2, 2], [3, 3, 3], [5, 4, 4]], dtype=float)
    first = rank_correlations(scores)[0]
    assert first.spearman == pytest.approx(0.8)
    assert first.n_images == 4


def test_one_value_only_has_no_correlation() -> None:
    scores = np.array([[3, 1], [3, 2], [3, NAN]], dtype=float)
    found = rank_correlations(scores)
    assert [c.n_images for c in found] == [2, 2]
    assert all(math.isnan(c.spearman) for c in found)
