"""How far people are: counts, median, pace inside sessions, expected end; in the terminal and in Prefect."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.__main__ import madloop
from flows.open_work import open_work, progress_of
from flows.status import aligned
from tasks import announcements
from tasks.people_progress import (
    LAST_ANSWERS,
    GivenAnswer,
    PersonProgress,
    WorkItem,
    given_answers,
    people_progress,
    progress_cells,
    seconds_per_answer,
)
from tasks.pseudonyms import Pseudonyms
from tests.lib.played_rounds import played_round

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


def minutes(*numbers: float) -> list[datetime]:
    """Moments so many minutes after nine."""
    return [NINE + timedelta(minutes=number) for number in numbers]


def test_the_pace_is_the_mean_gap_inside_sessions() -> None:
    # 1 and 2 minutes, a break of 40, then 3 minutes: (1 + 2 + 3) / 3 minutes
    assert seconds_per_answer(minutes(46, 0, 1, 3, 43)) == 120.0
    assert seconds_per_answer(minutes(0, 30)) == 1800.0, "a pause of exactly 30 minutes ends no session"
    assert math.isnan(seconds_per_answer(minutes(0, 31)))
    assert math.isnan(seconds_per_answer([]))


def test_the_pace_is_that_of_the_last_answers() -> None:
    slow = minutes(*range(0, 100, 10))
    quick = [slow[-1] + timedelta(minutes=number) for number in range(1, LAST_ANSWERS + 1)]
    assert seconds_per_answer([*slow, *quick]) == 60.0


def test_each_person_has_counts_median_and_what_is_left() -> None:
    items = [
        *(WorkItem("ann", "ratings", done) for done in (True, True, True, False, False)),
        *(WorkItem("ben", "ratings", done) for done in (True, False)),
        WorkItem("eve", "ratings", False),
        WorkItem("ann", "masks", True),
    ]
    answers = [
        *(
            GivenAnswer("ann", "ratings", seconds, at)
            for seconds, at in zip((5.0, math.nan, 9.0), minutes(0, 1, 2), strict=True)
        ),
        GivenAnswer("ben", "ratings", 8.0, NINE),
        GivenAnswer("ann", "masks", math.nan, NINE),
    ]
    ann, ben, eve, masks = people_progress(items, answers)
    assert ann == PersonProgress("ann", "ratings", 3, 2, 7.0, 120.0, NINE + timedelta(minutes=2))
    assert ben == PersonProgress("ben", "ratings", 1, 1, 8.0, 8.0, NINE), "one answer: its lead time"
    assert (eve.done, eve.remaining, eve.last_seen) == (0, 1, None)
    assert math.isnan(eve.median_seconds)
    assert math.isnan(eve.seconds_left)
    assert (masks.remaining, masks.work) == (0, "masks")


def test_the_table_says_what_is_not_known() -> None:
    rows = [
        PersonProgress("ann", "ratings", 3, 60, 7.0, 5400.0, NINE),
        PersonProgress("eve", "ratings", 0, 1, math.nan, math.nan, None),
        PersonProgress("zoe", "masks", 4, 0, 60.0, 0.0, NINE),
    ]
    assert progress_cells(rows, NINE, str.upper) == [
        ("ANN", "ratings", "3", "60", "7 s", "1.5 h", "2026-01-05 10:30 UTC", "2026-01-05 09:00 UTC"),
        ("EVE", "ratings", "0", "1", "?", "?", "?", "never"),
        ("ZOE", "masks", "4", "0", "60 s", "-", "-", "2026-01-05 09:00 UTC"),
    ]


def test_a_missing_lead_time_is_unknown() -> None:
    row = {"rater": "ann", "seconds": None, "submitted_at": "2026-01-05T09:00:00+00:00"}
    (answer,) = given_answers([row], "rater", "ratings")
    assert (answer.person, answer.work, answer.given_at) == ("ann", "ratings", NINE)
    assert math.isnan(answer.seconds)


def test_the_open_stage_of_a_played_round_is_its_masks(tmp_path: Path) -> None:
    round_ = played_round(tmp_path, has_masks=False)
    items = open_work(round_)
    assert {(item.work, item.is_done) for item in items} == {("masks", False)}, "drawn on other starts"
    assert sorted(item.person for item in items) == ["yan", "yan", "zoe", "zoe"]
    assert {(row.person, row.done, row.remaining) for row in progress_of(round_)} == {
        ("yan", 0, 2),
        ("zoe", 0, 2),
    }


def test_a_round_with_all_its_masks_waits_for_nobody(tmp_path: Path) -> None:
    assert open_work(played_round(tmp_path)) == []


def test_the_status_shows_the_owner_who_has_done_what(tmp_path: Path) -> None:
    played_round(tmp_path, has_masks=False)
    done = CliRunner().invoke(madloop, ["status", "small"], env={"MADLOOP_HOME": str(tmp_path)})
    assert done.exit_code == 0, done.output
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "waiting  0 of 4 masks collected so far" in lines
    table = lines[lines.index("waiting  0 of 4 masks collected so far") + 1 :]
    assert table[0].split()[:4] == ["person", "work", "done", "left"]
    assert sorted(line.split()[:4] for line in table[1:]) == [
        ["yan", "masks", "0", "2"],
        ["zoe", "masks", "0", "2"],
    ]


def test_prefect_shows_the_same_under_pseudonyms_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(
        announcements, "create_markdown_artifact", lambda key, markdown: shown.append((key, markdown))
    )
    round_ = played_round(tmp_path, has_masks=False)
    for _ in range(2):
        announcements.announce_people.fn(round_, progress_of(round_))
    ((key, markdown),) = shown
    assert key == "small-round-1-people"
    assert f"| {Pseudonyms(round_.open_store()).of('yan')} | masks | 0 | 2 |" in markdown
    assert not any(name in markdown for name in ("yan", "zoe"))


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]
    assert aligned([]) == []
