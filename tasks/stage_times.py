"""How long the stages of a round took, from when each was finished."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StageTime:
    """One stage; `seconds` is None where it was taken from an earlier run or another campaign."""

    stage: str
    seconds: float | None


def stage_times(
    finished: Mapping[str, str], run_starts: Iterable[str], round_before: str | None = None
) -> list[StageTime]:
    """Time of every stage since the stage before it or, if that is later, since its run began; in order.

    Waiting for people counts; the time between two runs does not.

    Args:
        finished: stage -> when it was finished, ISO date and time.
        run_starts: when runs began, ISO dates and times.
        round_before: when the last stage of the round before was finished; None for the first round.

    >>> ends = {"pool": "2026-01-01T00:00:10Z", "maps": "2026-01-01T00:01:00Z"}
    >>> stage_times(ends, ["2026-01-01T00:00:04Z"])
    [StageTime(stage='pool', seconds=6.0), StageTime(stage='maps', seconds=50.0)]
    """
    starts = sorted(_moment(start) for start in run_starts)
    ends = sorted((_moment(end), stage) for stage, end in finished.items())
    times, before = [], None if round_before is None else _moment(round_before)
    for end, stage in ends:
        since = [start for start in starts if start <= end]
        known = [moment for moment in (before, since[-1] if since else None) if moment is not None]
        is_ours = bool(since) or not starts
        times.append(StageTime(stage, (end - max(known)).total_seconds() if known and is_ours else None))
        before = end
    return times


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
