from __future__ import annotations

import pytest

from tasks.core.consensus import Consensus, Rating, consensus


def rating(rater: str, score: int | None, *, repeat: int = 0, ood: bool = False, image: str = "i") -> Rating:
    return Rating(image, "map", rater, repeat, score, ood)


def test_the_mean_of_the_raters() -> None:
    ratings = [rating("r1", 1), rating("r2", 2), rating("r3", 2)]
    assert consensus(ratings) == [Consensus("i", "map", 5 / 3, 3, False)]


def test_any_single_rater_declares_an_image_out_of_domain() -> None:
    ratings = [rating("r1", 5), rating("r2", 5), rating("r3", None, ood=True)]
    assert consensus(ratings) == [Consensus("i", "map", None, 3, True)]


def test_repeats_do_not_count_but_may_declare_out_of_domain() -> None:
    ratings = [rating("r1", 1), rating("r1", 5, repeat=1)]
    assert consensus(ratings) == [Consensus("i", "map", 1.0, 1, False)]
    ratings.append(rating("r1", None, repeat=2, ood=True))
    assert consensus(ratings) == [Consensus("i", "map", None, 1, True)]


def test_repeats_alone_make_no_score() -> None:
    assert consensus([rating("r1", 5, repeat=1)]) == [Consensus("i", "map", None, 0, False)]


def test_maps_are_kept_apart_and_sorted() -> None:
    ratings = [
        Rating("b", "m", "r", 0, 1, False),
        Rating("a", "n", "r", 0, 2, False),
        Rating("a", "m", "r", 0, 3, False),
    ]
    assert [(c.image_id, c.map_digest, c.mean_opinion_score) for c in consensus(ratings)] == [
        ("a", "m", 3.0),
        ("a", "n", 2.0),
        ("b", "m", 1.0),
    ]


def test_no_ratings_make_no_consensus() -> None:
    assert consensus([]) == []


def test_two_answers_of_one_rater_are_refused() -> None:
    with pytest.raises(ValueError, match="got two of 'r1', repeat 0, about image i"):
        consensus([rating("r1", 1), rating("r1", 1)])


@pytest.mark.parametrize(
    "bad", [rating("r", None), rating("r", 0), rating("r", 6), rating("r", 1, repeat=-1)]
)
def test_answers_that_say_nothing_are_refused(bad: Rating) -> None:
    with pytest.raises(ValueError, match="got Rating"):
        consensus([bad])
