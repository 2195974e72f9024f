"""Ratings: who is to rate what, which answers count, and what becomes of them."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest

from tasks.core.rating_needs import RatingNeed
from tasks.core.records import ANSWERS
from tasks.rating_answers import valid_answers
from tasks.rating_polls import answer_row
from tasks.rating_results import rate, rated_answers
from tasks.services.label_studio_answers import Answer
from tasks.services.label_studio_screens import OUT_OF_DOMAIN

AUTHOR = 7
NEED = RatingNeed("a", "m", "rater-1")


def label_studio_answer(choice: str | None = "4", **changes: Any) -> Answer:
    """An answer of the rating screen as the server gives it."""
    moment = datetime.datetime(2026, 1, 1, 10, tzinfo=datetime.UTC)
    choices = [] if choice is None else [choice]
    answer = Answer(
        annotation_id=11,
        task_id=5,
        key="k",
        data={"image_id": "a", "map_digest": "m"},
        completed_by=AUTHOR,
        updated_by=AUTHOR,
        was_cancelled=False,
        result=[{"from_name": "rating", "type": "choices", "value": {"choices": choices}}],
        lead_time=12.5,
        created_at=moment,
        updated_at=moment,
    )
    return replace(answer, **changes)


def log_row(score: int | None = 3, **changes: Any) -> dict[str, Any]:
    """A row of the log."""
    row = {
        "image_id": "a", "map_digest": "m", "rater": "rater-1", "repeat": 0, "annotation_id": 1,
        "score": score, "out_of_domain": False, "seconds": 1.0, "submitted_at": "2026-01-01",
        "state": "valid",
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_a_score_becomes_a_valid_row(score: int) -> None:
    row = answer_row(label_studio_answer(str(score)), NEED, {AUTHOR})
    assert (row["score"], row["out_of_domain"], row["state"]) == (score, False, "valid")
    assert (row["image_id"], row["map_digest"], row["rater"]) == ("a", "m", "rater-1")
    assert (row["seconds"], row["submitted_at"]) == (12.5, "2026-01-01T10:00:00+00:00")
    assert row.keys() | {"campaign", "round"} == {column.name for column in ANSWERS.columns}


def test_out_of_domain_is_valid_and_has_no_score() -> None:
    row = answer_row(label_studio_answer(OUT_OF_DOMAIN), NEED, {AUTHOR})
    assert (row["score"], row["out_of_domain"], row["state"]) == (None, True, "valid")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (label_studio_answer(was_cancelled=True), "skipped"),
        (label_studio_answer(result=[]), "empty"),
        (label_studio_answer(None), "one `rating` with one choice was required"),
        (label_studio_answer("6"), "a choice of 1 to 5"),
        (label_studio_answer(completed_by=99), "foreign: submitted by user 99"),
        (label_studio_answer(completed_by=None), "foreign: submitted by user None"),
    ],
)
def test_what_does_not_count_keeps_its_place_with_the_reason(answer: Answer, state: str) -> None:
    row = answer_row(answer, NEED, {AUTHOR})
    assert row["state"].startswith(state)
    assert valid_answers([row]) == {}


def test_the_newest_answer_to_a_need_counts() -> None:
    edited = [log_row(2, submitted_at="2026-01-01"), log_row(5, submitted_at="2026-01-02")]
    asked_again = [*edited, log_row(1, annotation_id=9, submitted_at="2026-01-03")]
    assert valid_answers(edited[::-1])[NEED]["score"] == 5
    assert valid_answers(asked_again[::-1])[NEED]["score"] == 1


def test_the_last_valid_answer_counts_when_it_was_edited_into_nothing() -> None:
    rows = [log_row(2), log_row(None, state="empty", submitted_at="2026-01-02")]
    assert [row["score"] for row in valid_answers(rows).values()] == [2]


def test_answers_about_another_map_or_a_repeat_do_not_fill_a_need() -> None:
    rows = [log_row(2, map_digest="older"), log_row(2, repeat=1, annotation_id=2)]
    assert NEED not in valid_answers(rows)
    assert valid_answers(rows).keys() == {
        RatingNeed("a", "older", "rater-1"),
        RatingNeed("a", "m", "rater-1", repeat=1),
    }


def test_a_repeat_keeps_its_number_in_the_log() -> None:
    row = answer_row(label_studio_answer("2"), RatingNeed("a", "m", "rater-1", repeat=1), {AUTHOR})
    assert (row["repeat"], row["score"]) == (1, 2)


def test_repeats_and_gold_images_are_kept_and_do_not_count() -> None:
    common = {"image_id": "a", "map_digest": "m", "rater": "x", "expected_score": None}
    planned = [
        common | {"repeat": 0},
        common | {"repeat": 1},
        common | {"image_id": "g", "repeat": 0, "expected_score": 5},
        common | {"image_id": "b", "repeat": 0},  # not answered
    ]
    log = [
        log_row(4, rater="x"),
        log_row(2, rater="x", repeat=1, annotation_id=2),
        log_row(5, rater="x", image_id="g", annotation_id=3),
    ]
    used = rated_answers(planned, valid_answers(log))
    shown = [(row["image_id"], row["repeat"], row["score"], row["counts"]) for row in used]
    assert shown == [("a", 0, 4, True), ("a", 1, 2, False), ("g", 0, 5, False)]


def test_the_mean_opinion_score_is_the_mean_of_all_raters() -> None:
    rows = [log_row(2, rater="y"), log_row(5, rater="x"), log_row(1, image_id="b", rater="x")]
    rows.append(log_row(None, image_id="b", rater="y", out_of_domain=True))
    first, second = rate(rows, "target")
    assert (first["mean_opinion_score"], first["n_ratings"], first["scores"]) == (3.5, 2, [5, 2])
    assert (second["mean_opinion_score"], second["out_of_domain"]) == (None, True)
    assert {row["model_version"] for row in (first, second)} == {"target"}
