"""The cost ledger: what the answers of a round took, from the logs of everything people submitted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from tasks.answer_log import DELETED, LOGS, Log, newest_per_annotation, read_log
from tasks.core.costs import (
    Cost,
    TimedAnswer,
    confirmed_failures,
    costs_by_person,
    costs_by_stage,
    per_failure,
    total_cost,
)
from tasks.core.records import FAILURES, RATINGS
from tasks.rounds import Round, recall

Row = dict[str, Any]


def round_costs(round_: Round) -> list[Row]:
    """Rows of `costs` of everything that was submitted in the round so far."""
    answers = [
        answer
        for log in LOGS
        for answer in timed_answers(
            (row for row in read_log(round_, log.record) if row["round"] == round_.number), log
        )
    ]
    costs = costs_by_person(answers, round_.campaign.costs.price_per_hour)
    return [asdict(cost) | round_.labels for cost in costs]


def timed_answers(rows: Iterable[Row], log: Log) -> Iterator[TimedAnswer]:
    """Every submitted answer once, with its newest lead time.

    Repeats, gold images, skips and what could not be used count: they took the person's time. An edit
    replaces what it edited, a deletion takes nothing back, and what somebody else submitted is left out.
    """
    own = (row for row in rows if row["state"] != DELETED and not row["state"].startswith("foreign"))
    for row in newest_per_annotation(own):
        seconds = math.nan if row["seconds"] is None else float(row["seconds"])
        yield TimedAnswer(log.work, row[log.person], seconds)


def costs_of(rows: Iterable[Row]) -> list[Cost]:
    """Rows of `costs` as records."""
    return [Cost(**{name: row[name] for name in Cost.__dataclass_fields__}) for row in rows]


def n_confirmed(failures: Iterable[Row], ratings: Iterable[Row], failure_below: float | None) -> int:
    """How many images of S are confirmed failures, from rows of `failures` and `ratings`."""
    scores = {row["image_id"]: row["mean_opinion_score"] for row in ratings}
    return confirmed_failures({row["image_id"]: scores[row["image_id"]] for row in failures}, failure_below)


def n_confirmed_in(round_: Round) -> int:
    """How many confirmed failures the round has; 0 as long as S is not cut."""
    store = round_.open_store()
    failures, ratings = recall(round_, "failures"), recall(round_, "ratings")
    if failures is None or ratings is None:
        return 0
    below = round_.campaign.failures.failure_below
    return n_confirmed(store.rows(failures, FAILURES), store.rows(ratings, RATINGS), below)


def cost_metrics(rows: Iterable[Row], n_failures: int) -> dict[str, float]:
    """Metric name -> value: hours by stage, clipped and raw, and what a confirmed failure took.

    Args:
        rows: of `costs`.
        n_failures: confirmed failures of the round.
    """
    costs = costs_of(rows)
    total = total_cost(costs)
    metrics = {}
    for cost in (*costs_by_stage(costs), total):
        metrics[f"hours/{cost.stage}"] = cost.clipped_seconds / 3600
        metrics[f"raw_hours/{cost.stage}"] = cost.seconds / 3600
    metrics["hours_per_confirmed_failure"] = per_failure(total.clipped_seconds, n_failures) / 3600
    if total.money is not None:
        metrics["money_per_confirmed_failure"] = per_failure(total.money, n_failures)
    return metrics
