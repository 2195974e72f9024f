"""How far each person is with the work of a round: done, left, pace, expected end. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

LAST_ANSWERS = 50  # the pace is that of the last answers: people become quicker
SESSION_GAP = timedelta(minutes=30)  # a longer pause ends a working session
HEADERS = ("person", "work", "done", "left", "median", "work left", "expected end", "last seen")

Row = dict[str, Any]


@dataclass(frozen=True)
class WorkItem:
    """One answer that the round needs: who gives it, the kind of work, and whether it is there."""

    person: str
    work: str
    is_done: bool


@dataclass(frozen=True)
class GivenAnswer:
    """One valid answer: who gave it, the kind of work, its lead time (NaN: unknown), and when it came."""

    person: str
    work: str
    seconds: float
    given_at: datetime


@dataclass(frozen=True)
class PersonProgress:
    """How far one person is with one kind of work.

    Attributes:
        person: who.
        work: the kind of work.
        done: answers of the round that are there.
        remaining: answers of the round that are not.
        median_seconds: median lead time of the person's answers; NaN while none is known.
        seconds_left: what remains at the person's pace, in seconds of work; NaN while no pace is known.
        last_seen: when the newest answer came; None before the first.
    """

    person: str
    work: str
    done: int
    remaining: int
    median_seconds: float
    seconds_left: float
    last_seen: datetime | None


def given_answers(rows: Iterable[Row], column: str, work: str) -> list[GivenAnswer]:
    """Valid rows of a log as answers; `column` holds the person."""
    return [
        GivenAnswer(
            person=row[column],
            work=work,
            seconds=math.nan if row["seconds"] is None else float(row["seconds"]),
            given_at=datetime.fromisoformat(row["submitted_at"]),
        )
        for row in rows
    ]


def people_progress(items: Iterable[WorkItem], answers: Iterable[GivenAnswer]) -> list[PersonProgress]:
    """One row per person and kind of work, in the order of `items`.

    Args:
        items: everything that the open stage needs.
        answers: the valid answers of the round, each once.
    """
    needs: dict[tuple[str, str], list[bool]] = {}
    for item in items:
        needs.setdefault((item.person, item.work), []).append(item.is_done)
    own: dict[tuple[str, str], list[GivenAnswer]] = {}
    for answer in answers:
        own.setdefault((answer.person, answer.work), []).append(answer)
    return [
        _progress(person, work, needed, own.get((person, work), []))
        for (person, work), needed in needs.items()
    ]


def _progress(person: str, work: str, needed: Sequence[bool], answers: list[GivenAnswer]) -> PersonProgress:
    known = [answer.seconds for answer in answers if not math.isnan(answer.seconds)]
    median = statistics.median(known) if known else math.nan
    moments = [answer.given_at for answer in answers]
    pace = seconds_per_answer(moments)
    remaining = needed.count(False)
    return PersonProgress(
        person=person,
        work=work,
        done=needed.count(True),
        remaining=remaining,
        median_seconds=median,
        seconds_left=remaining * (median if math.isnan(pace) else pace),
        last_seen=max(moments, default=None),
    )


def seconds_per_answer(moments: Iterable[datetime]) -> float:
    """Mean wall time from one answer to the next inside working sessions, over the last answers; or NaN.

    NaN if no two of them lie in one session. Waiting for pictures and short breaks count, nights do not.

    Args:
        moments: when answers came, in any order.
    """
    last = sorted(moments)[-LAST_ANSWERS:]
    gaps = [later - earlier for earlier, later in pairwise(last) if later - earlier <= SESSION_GAP]
    return statistics.fmean(gap.total_seconds() for gap in gaps) if gaps else math.nan


def progress_cells(
    rows: Iterable[PersonProgress], now: datetime, called: Callable[[str], str]
) -> list[tuple[str, ...]]:
    """The rows as text under `HEADERS`.

    Args:
        rows: of `people_progress`.
        now: from when the expected end is counted, if the person goes on without a break.
        called: what a person is called: the name, or the pseudonym.
    """
    return [
        (
            called(row.person),
            row.work,
            str(row.done),
            str(row.remaining),
            "?" if math.isnan(row.median_seconds) else f"{row.median_seconds:.0f} s",
            *_expected(row, now),
            "never" if row.last_seen is None else _minute(row.last_seen),
        )
        for row in rows
    ]


def _expected(row: PersonProgress, now: datetime) -> tuple[str, str]:
    if row.remaining == 0:
        return "-", "-"
    if math.isnan(row.seconds_left):
        return "?", "?"
    return f"{row.seconds_left / 3600:.1f} h", _minute(now + timedelta(seconds=row.seconds_left))


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
