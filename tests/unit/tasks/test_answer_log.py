"""The log of answers: appending twice adds nothing, an edit replaces what it edited, nothing is lost."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.answer_log import (
    append_to_log,
    deletions,
    last_seen,
    newest_per_annotation,
    newest_valid,
    read_log,
)
from tasks.core.records import ANSWERS, DRAWINGS
from tasks.errors import DataError
from tests.lib.written_campaigns import round_of


def _answer(annotation: int, at: str, **changes: Any) -> dict[str, Any]:
    row = {
        "image_id": "a", "map_digest": "m", "rater": "rater-1", "repeat": 0, "annotation_id": annotation,
        "score": 3, "out_of_domain": False, "seconds": 12, "submitted_at": f"2026-01-01T{at}+00:00",
        "state": "valid", "campaign": "small", "round": 1,
    }  # fmt: skip
    return row | changes


def test_appending_twice_adds_nothing(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    rows = [_answer(1, "10:00:00"), _answer(2, "10:00:01", score=None, out_of_domain=None, seconds=None)]
    assert [append_to_log(round_, ANSWERS, rows) for _ in range(3)] == [2, 0, 0]
    assert len(read_log(round_, ANSWERS)) == 2
    assert len(list((tmp_path / "store/campaigns/small/answers").iterdir())) == 1


def test_the_same_answer_seen_in_a_later_round_is_not_new(tmp_path: Path) -> None:
    first, second = round_of(tmp_path, 1), round_of(tmp_path, 2)
    assert append_to_log(first, ANSWERS, [_answer(1, "10:00:00")]) == 1
    assert append_to_log(second, ANSWERS, [_answer(1, "10:00:00", round=2)]) == 0
    assert [row["round"] for row in read_log(second, ANSWERS)] == [1]


def test_the_log_reads_oldest_first_whatever_the_order_of_writing(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(3, "12:00:00")])
    append_to_log(round_, ANSWERS, [_answer(2, "11:00:00"), _answer(1, "11:00:00")])
    assert [row["annotation_id"] for row in read_log(round_, ANSWERS)] == [1, 2, 3]


def test_an_edit_is_a_further_row_and_the_newest_counts(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(1, "10:00:00", score=2), _answer(2, "10:30:00", image_id="b")])
    append_to_log(round_, ANSWERS, [_answer(1, "11:00:00", score=5)])
    log = read_log(round_, ANSWERS)
    assert [row["score"] for row in log] == [2, 3, 5]
    newest = newest_per_annotation(log[::-1])
    assert {(row["annotation_id"], row["score"]) for row in newest} == {(1, 5), (2, 3)}


def test_annotations_of_different_people_are_different_answers() -> None:
    rows = [_answer(1, "10:00:00"), _answer(1, "10:00:00", rater="rater-2")]
    drawn = [
        {"image_id": "a", "annotator": name, "annotation_id": 1, "submitted_at": "2026-01-01"}
        for name in ("x", "y")
    ]
    assert len(newest_per_annotation(rows)) == 2
    assert len(newest_per_annotation(drawn)) == 2


def test_every_kind_of_answer_has_a_log_of_its_own(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(1, "10:00:00")])
    assert read_log(round_, DRAWINGS) == []


def test_a_damaged_segment_is_named_and_not_left_out(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(1, "10:00:00")])
    (segment,) = (tmp_path / "store/campaigns/small/answers").iterdir()
    segment.write_bytes(segment.read_bytes()[:-20])
    with pytest.raises(DataError, match=segment.name):
        read_log(round_, ANSWERS)


def test_columns_of_a_newer_madloop_do_not_hide_answers(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(1, "10:00:00")])
    (segment,) = (tmp_path / "store/campaigns/small/answers").iterdir()
    table = pq.read_table(segment)
    pq.write_table(table.append_column("mood", pa.array(["good"])), segment)
    assert [row["score"] for row in read_log(round_, ANSWERS)] == [3]


def test_what_came_later_and_is_not_valid_takes_no_answer_away() -> None:
    rows = [
        _answer(1, "10:00:00", score=2),
        _answer(1, "11:00:00", score=4),
        _answer(1, "11:30:00", score=None, state="skipped"),
        _answer(1, "11:40:00", score=1, state="foreign: somebody else"),
        _answer(1, "12:00:00", state="deleted"),
        _answer(2, "09:00:00", image_id="b", state="empty"),
    ]
    newest = newest_valid(rows[::-1], lambda row: row["image_id"])
    assert {subject: row["score"] for subject, row in newest.items()} == {"a": 4}


def test_times_with_a_fraction_of_a_second_are_compared_as_times() -> None:
    rows = [_answer(1, "10:00:00", score=2), _answer(1, "10:00:00.500000", score=4)]
    assert newest_valid(rows[::-1], lambda row: row["image_id"])["a"]["score"] == 4
    assert last_seen(rows) == datetime.datetime(2026, 1, 1, 10, 0, 0, 500_000, tzinfo=datetime.UTC)


def test_an_answer_that_is_gone_is_noted_once_and_kept(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    append_to_log(round_, ANSWERS, [_answer(1, "10:00:00"), _answer(2, "10:01:00", image_id="b")])
    noticed = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    assert append_to_log(round_, ANSWERS, deletions(read_log(round_, ANSWERS), {2}, noticed)) == 1
    log = read_log(round_, ANSWERS)
    assert deletions(log, {2}, noticed + datetime.timedelta(hours=1)) == []
    assert [(row["annotation_id"], row["state"]) for row in log] == [
        (1, "valid"),
        (2, "valid"),
        (1, "deleted"),
    ]
    assert newest_valid(log, lambda row: row["image_id"]).keys() == {"a", "b"}
    assert last_seen(log) == datetime.datetime(2026, 1, 1, 10, 1, tzinfo=datetime.UTC)
