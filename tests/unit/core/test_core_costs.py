"""What time costs: clipping, sums of what is known, totals, a confirmed failure."""

from __future__ import annotations

import math

import pytest

from tasks.core.costs import (
    Cost,
    TimedAnswer,
    clipped,
    confirmed_failures,
    costs_by_person,
    costs_by_stage,
    per_failure,
    total_cost,
)

NAN = math.nan


def test_a_lead_time_is_clipped_at_five_medians() -> None:
    # median of 8, 10, 12, 600 is 11
    assert clipped([10.0, 8.0, 600.0, 12.0]) == [10.0, 8.0, 55.0, 12.0]
    assert clipped([10.0, 50.0, 10.0]) == [10.0, 50.0, 10.0], "five medians are allowed"
    assert clipped([]) == []


def test_an_unknown_lead_time_stays_unknown_and_does_not_move_the_median() -> None:
    first, second, third = clipped([NAN, 10.0, 100.0])
    assert math.isnan(first)
    assert (second, third) == (10.0, 100.0), "the median is 55"
    assert all(map(math.isnan, clipped([NAN, NAN])))


def test_costs_are_by_stage_and_person_with_what_is_not_known() -> None:
    answers = [
        TimedAnswer("ratings", "zoe", 10.0),
        TimedAnswer("masks", "zoe", 240.0),
        TimedAnswer("ratings", "zoe", 10.0),
        TimedAnswer("ratings", "zoe", 610.0),
        TimedAnswer("ratings", "zoe", NAN),
        TimedAnswer("ratings", "ann", NAN),
    ]
    masks, ann, zoe = costs_by_person(answers, price_per_hour=36.0)
    assert masks == Cost("masks", "zoe", 1, 0, 240.0, 240.0, 2.4)
    # 10 + 10 + 50 of 10 + 10 + 610 seconds, at a cent a second
    assert zoe == Cost("ratings", "zoe", 4, 1, 630.0, 70.0, pytest.approx(0.7))
    assert (ann.n, ann.n_unknown) == (1, 1)
    assert math.isnan(ann.seconds)
    assert math.isnan(ann.clipped_seconds)
    assert ann.money is not None
    assert math.isnan(ann.money), "unknown is never free"
    assert zoe.seconds_per_answer == pytest.approx(70 / 3)
    assert math.isnan(ann.seconds_per_answer)


def test_totals_leave_out_what_is_not_known_and_count_it() -> None:
    rows = [
        Cost("ratings", "ann", 2, 2, NAN, NAN, NAN),
        Cost("ratings", "zoe", 3, 1, 60.0, 50.0, 0.5),
        Cost("masks", "zoe", 1, 0, 300.0, 300.0, 3.0),
    ]
    assert costs_by_stage(rows) == [
        Cost("masks", "", 1, 0, 300.0, 300.0, 3.0),
        Cost("ratings", "", 5, 3, 60.0, 50.0, 0.5),
    ]
    assert total_cost(rows) == Cost("all", "", 6, 3, 360.0, 350.0, 3.5)


def test_without_a_price_there_is_no_money() -> None:
    (row,) = costs_by_person([TimedAnswer("ratings", "zoe", 10.0)], None)
    assert row.money is None
    assert total_cost([row]).money is None


def test_failures_are_confirmed_by_their_ratings() -> None:
    scores = {"a": 1.0, "b": 2.99, "c": 3.0, "d": None}
    assert confirmed_failures(scores, 3.0) == 2
    assert confirmed_failures(scores, None) == 4
    assert per_failure(700.0, 2) == 350.0
    assert math.isnan(per_failure(700.0, 0))
