"""The report on people's time: by person, by stage, and what a confirmed failure took."""

from __future__ import annotations

import math
from collections.abc import Sequence

from configs.schema import Campaign
from tasks.core.costs import Cost, costs_by_stage, per_failure, total_cost
from tasks.costs import costs_of, n_confirmed
from tasks.report_findings import RoundRows
from tasks.report_page import PlainTable

# stage -> seconds in the unit people think of one answer in, and what that is called
_EACH = {"ratings": (1, "s a rating"), "masks": (60, "min a mask"), "checks": (60, "min a check")}
_CLIPPED = "is clipped at five times the person's median for the stage"
_NOBODY = "Nobody was asked in this round."


def cost_tables(campaign: Campaign, rows: RoundRows) -> tuple[PlainTable, PlainTable]:
    """People's work of the round, person by person, and what it comes to."""
    costs = costs_of(rows.costs)
    currency = campaign.costs.currency
    by_person = PlainTable(
        "People's time",
        "All that was submitted in this round and the time Label Studio measured for it; the time that "
        f"counts {_CLIPPED}.",
        ("stage", "person", "answers", "without a time", "minutes", "minutes that count", currency),
        tuple((cost.stage, cost.person, *_cells(cost, 60, 1)) for cost in costs),
        _NOBODY,
    )
    by_stage = PlainTable(
        "What it took",
        f"Everybody's time; the time that counts {_CLIPPED}. Answers without a time are in no sum. "
        f"{_definition(campaign)}",
        ("stage", "answers", "without a time", "hours", "hours that count", currency, "each"),
        tuple(_stage_lines(campaign, rows, costs)) if costs else (),
        _NOBODY,
    )
    return by_person, by_stage


def _stage_lines(campaign: Campaign, rows: RoundRows, costs: Sequence[Cost]) -> list[tuple[str, ...]]:
    total = total_cost(costs)
    lines = [(cost.stage, *_cells(cost, 3600, 2), _each(cost)) for cost in (*costs_by_stage(costs), total)]
    if not rows.closing:
        n_failures = n_confirmed(rows.failures, rows.ratings, campaign.failures.failure_below)
        hours = _number(per_failure(total.clipped_seconds, n_failures) / 3600, 2)
        money = "-" if total.money is None else _number(per_failure(total.money, n_failures), 2)
        lines.append(("a confirmed failure", "", "", "", hours, money, f"{n_failures} of them"))
    return lines


def _cells(cost: Cost, unit_s: int, digits: int) -> tuple[str, ...]:
    return (
        str(cost.n),
        str(cost.n_unknown),
        _number(cost.seconds / unit_s, digits),
        _number(cost.clipped_seconds / unit_s, digits),
        "-" if cost.money is None else _number(cost.money, 2),
    )


def _each(cost: Cost) -> str:
    """Mean time of one answer."""
    if cost.stage not in _EACH:
        return ""
    unit_s, text = _EACH[cost.stage]
    return f"{_number(cost.seconds_per_answer / unit_s)} {text}"


def _definition(campaign: Campaign) -> str:
    below = campaign.failures.failure_below
    bound = "" if below is None else f" with a mean opinion score below {below:g}"
    return f"A confirmed failure is an image of S{bound}."


def _number(value: float, digits: int = 1) -> str:
    return "unknown" if math.isnan(value) else f"{value:.{digits}f}"
