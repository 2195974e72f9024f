"""What people's time cost: lead times, raw and clipped, and what a confirmed failure took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CLIP_AT_MEDIANS = 5.0  # longer than this many medians, a task was left open rather than worked on
_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class TimedAnswer:
    """One submitted answer.

    Attributes:
        stage: `ratings`, `masks` or `checks`.
        person: who gave it.
        seconds: lead time; NaN: unknown.
    """

    stage: str
    person: str
    seconds: float


@dataclass(frozen=True)
class Cost:
    """The time of some answers to one stage.

    Attributes:
        stage: `ratings`, `masks` or `checks`.
        person: whose; "" for everybody's.
        n: answers.
        n_unknown: those without a lead time, which are in none of the sums.
        seconds: sum of the known lead times; NaN if none is known.
        clipped_seconds: the same, each clipped at five times the person's median for the stage.
        money: price of the clipped seconds; None without a price, NaN if no time is known.
    """

    stage: str
    person: str
    n: int
    n_unknown: int
    seconds: float
    clipped_seconds: float
    money: float | None

    @property
    def seconds_per_answer(self) -> float:
        """Mean clipped lead time of the answers that have one; NaN if none has."""
        n_known = self.n - self.n_unknown
        return self.clipped_seconds / n_known if n_known else math.nan


def clipped(seconds: Sequence[float]) -> list[float]:
    """Lead times of one person and stage, none above five times their median; NaN stays and does not count.

    Args:
        seconds: lead times, at least 0, or NaN.

    Source: ours; the factor is a choice.
    """
    known = [value for value in seconds if not math.isnan(value)]
    bound = CLIP_AT_MEDIANS * statistics.median(known) if known else math.nan
    return [value if math.isnan(value) else min(value, bound) for value in seconds]


def costs_by_person(answers: Iterable[TimedAnswer], price_per_hour: float | None) -> list[Cost]:
    """One row per stage and person, sorted by both.

    Args:
        answers: every answer once, in any order.
        price_per_hour: of work; None: no money.
    """
    lead_times: dict[tuple[str, str], list[float]] = {}
    for answer in answers:
        lead_times.setdefault((answer.stage, answer.person), []).append(answer.seconds)
    rows = []
    for (stage, person), seconds in sorted(lead_times.items()):
        n_unknown = sum(map(math.isnan, seconds))
        time = _known_sum(clipped(seconds))
        money = None if price_per_hour is None else time / _SECONDS_PER_HOUR * price_per_hour
        rows.append(Cost(stage, person, len(seconds), n_unknown, _known_sum(seconds), time, money))
    return rows


def costs_by_stage(rows: Iterable[Cost]) -> list[Cost]:
    """One row per stage, everybody's together, sorted by stage."""
    groups: dict[str, list[Cost]] = {}
    for row in rows:
        groups.setdefault(row.stage, []).append(row)
    return [_total(stage, group) for stage, group in sorted(groups.items())]


def total_cost(rows: Sequence[Cost]) -> Cost:
    """All rows together, as stage "all"."""
    return _total("all", rows)


def confirmed_failures(failures: Mapping[str, float | None], failure_below: float | None) -> int:
    """How many images of S are failures by their ratings: below `failure_below`; without a bound, all of S.

    Args:
        failures: image id -> mean opinion score, 1 to 5, of every image of S; None: undefined.
        failure_below: the bound, or None.
    """
    if failure_below is None:
        return len(failures)
    return sum(score is not None and score < failure_below for score in failures.values())


def per_failure(amount: float, n_failures: int) -> float:
    """Seconds or money for each of `n_failures`; NaN if there is none."""
    return amount / n_failures if n_failures else math.nan


def _total(stage: str, rows: Sequence[Cost]) -> Cost:
    money = [row.money for row in rows if row.money is not None]
    return Cost(
        stage=stage,
        person="",
        n=sum(row.n for row in rows),
        n_unknown=sum(row.n_unknown for row in rows),
        seconds=_known_sum(row.seconds for row in rows),
        clipped_seconds=_known_sum(row.clipped_seconds for row in rows),
        money=_known_sum(money) if money else None,
    )


def _known_sum(values: Iterable[float]) -> float:
    """Sum of what is known; NaN if nothing is. Exact, so that no order of the values changes it."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) if known else math.nan
