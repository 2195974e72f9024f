"""Raters' answers in the log: which count, and which came too late."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from tasks.answer_log import VALID, newest_valid, read_log
from tasks.core.consensus import Rating
from tasks.core.rating_needs import RatingNeed
from tasks.core.records import ANSWERS, RATED_ANSWERS
from tasks.rounds import Round, recall

Row = dict[str, Any]


def need_of_row(row: Mapping[str, Any]) -> RatingNeed:
    """The need that a row of the log answers."""
    return RatingNeed(row["image_id"], row["map_digest"], row["rater"], row["repeat"])


def rating_of(row: Mapping[str, Any]) -> Rating:
    """A row of `rated_answers` as the core knows it."""
    about = (row["image_id"], row["map_digest"], row["rater"], row["repeat"])
    return Rating(*about, row["score"], bool(row["out_of_domain"]))


def is_about_candidate(row: Mapping[str, Any]) -> bool:
    """Whether a row of `rating_plan` or `rated_answers` is the rating of a candidate that counts."""
    return row["repeat"] == 0 and row["expected_score"] is None


def valid_answers(rows: Iterable[Row]) -> dict[RatingNeed, Row]:
    """The newest valid answer to every need, whoever asked and whenever."""
    return newest_valid(rows, need_of_row)


def answered(round_: Round) -> dict[RatingNeed, Row]:
    """The newest valid answer of the log to every need, those of other rounds among them."""
    return valid_answers(read_log(round_, ANSWERS))


def late_answers(round_: Round) -> list[Row]:
    """Valid answers that came after the round's ratings were closed, oldest first: they changed nothing.

    None are known of ratings that an older madloop closed: it did not keep which answers counted.
    """
    store, ref = round_.open_store(), recall(round_, "ratings")
    if ref is None or RATED_ANSWERS.name not in store.marker(ref)["tables"]:
        return []
    counted = {need_of_row(row): row for row in store.rows(ref, RATED_ANSWERS)}
    valid = [row for row in read_log(round_, ANSWERS) if row["state"] == VALID]
    return [row for row in valid if (mine := need_of_row(row)) in counted and _is_later(row, counted[mine])]


def _is_later(row: Row, counted: Row) -> bool:
    moments = [datetime.datetime.fromisoformat(r["submitted_at"]) for r in (row, counted)]
    return (moments[0], row["annotation_id"]) > (moments[1], counted["annotation_id"])
