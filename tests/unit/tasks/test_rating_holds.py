"""A rater who declares far more out of domain than the panel: the stage waits for a word, and heeds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import ArtifactRef
from tasks.core.records import RATED_ANSWERS, RATINGS
from tasks.decisions import Decision, Word, decisions_of, note_decision
from tasks.errors import WaitingForWord
from tasks.rating_holds import far_from_the_panel, word_needed
from tests.lib.fake_label_studio import FakeLabelStudio
from tests.lib.rating_rounds import RatingRound, rating_round


def declared(**counts: int) -> list[dict[str, Any]]:
    """Each rater's answers about 20 images, so many of them out of domain."""
    return [
        {
            "image_id": str(number), "map_digest": "m", "rater": rater, "repeat": 0,
            "score": None if number < count else 3, "out_of_domain": number < count,
        }
        for rater, count in counts.items()
        for number in range(20)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "held"),
    [
        ({"a": 7, "b": 2, "c": 1}, ["a"]),
        ({"a": 6, "b": 2, "c": 1}, []),  # three times the median, not more
        ({"a": 3, "b": 0, "c": 0}, ["a"]),
        ({"a": 2, "b": 0, "c": 0}, []),  # too few to be a pattern
        ({"a": 20, "b": 20, "c": 20}, []),
        ({"a": 20}, []),  # nobody to compare with
    ],
)
def test_more_than_three_times_the_median_needs_a_word(counts: dict[str, int], held: list[str]) -> None:
    rows = declared(**counts)
    assert list(far_from_the_panel(rows)) == held
    waiting = word_needed("c", rows, [], str)
    assert (waiting is not None) == bool(held)
    assert word_needed("c", rows, held, str) is None


def test_the_state_says_whom_why_and_by_which_command() -> None:
    waiting = word_needed("streets", declared(ann=9, ben=1, cleo=1), [], {"ann": "person-k7f2"}.__getitem__)
    assert waiting is not None
    assert waiting.what == "a word on person-k7f2"
    assert (
        "person-k7f2: 9 of 20 images declared out of domain, more than 3 times the panel's median of 5.0%"
        in str(waiting)
    )
    assert "madloop decide streets --rater person-k7f2 --out-of-domain accept" in str(waiting)


@pytest.fixture
def held(tmp_path: Path, service: FakeLabelStudio) -> RatingRound:
    """A round in which ann declares five of six candidates out of domain, ben and cleo none."""
    held = rating_round(tmp_path, ratings={"raters": ["ann", "ben", "cleo"]})
    held.request()
    for need in held.candidates_of("ann")[:5]:
        service.rate(need, "ood")
    for rater in ("ann", "ben", "cleo"):
        service.rate_all(rater, "2")
    return held


def decide(held: RatingRound, word: Word, at: str = "2026-01-02T10:00:00+00:00") -> None:
    note_decision(held.round, Decision(1, "ann", word, "owner", at))


def test_the_stage_does_not_close_before_the_word(held: RatingRound) -> None:
    assert isinstance(held.collect(), WaitingForWord)
    assert isinstance(held.collect(), WaitingForWord)
    decide(held, "accept")
    assert isinstance(held.collect(), ArtifactRef)


def test_accepted_declarations_count(held: RatingRound) -> None:
    decide(held, "accept")
    rows = held.round.open_store().rows(held.closed(), RATINGS)
    assert sum(row["out_of_domain"] for row in rows) == 5
    assert {row["n_ratings"] for row in rows} == {3}


def test_disregarded_declarations_leave_the_image_to_the_others(held: RatingRound) -> None:
    decide(held, "disregard")
    ratings = held.closed()
    store = held.round.open_store()
    rows = store.rows(ratings, RATINGS)
    assert not any(row["out_of_domain"] for row in rows)
    assert sorted(row["n_ratings"] for row in rows) == [2, 2, 2, 2, 2, 3]
    assert {row["mean_opinion_score"] for row in rows} == {2.0}
    assert not any(row["stopped_early"] for row in rows)
    kept = [row for row in store.rows(ratings, RATED_ANSWERS) if row["out_of_domain"]]
    assert len(kept) >= 5, "the declarations stay on record"
    assert not any(row["counts"] for row in kept)


def test_the_newest_word_of_the_round_counts(held: RatingRound) -> None:
    decide(held, "disregard", "2026-01-02T11:00:00+00:00")
    decide(held, "accept", "2026-01-02T10:00:00+00:00")
    assert decisions_of(held.round) == {"ann": "disregard"}
    assert decisions_of(held.round.at(2)) == {}
