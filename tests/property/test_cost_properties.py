"""Costs for any lead times: clipping only takes away, order changes nothing, and a slow sum agrees."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.costs import TimedAnswer, clipped, costs_by_person

LEAD_TIMES = st.floats(0, 1e6) | st.just(math.nan)
ANSWERS = st.lists(
    st.builds(TimedAnswer, st.sampled_from(["ratings", "masks"]), st.sampled_from("abc"), LEAD_TIMES),
    max_size=30,
)


@given(st.lists(LEAD_TIMES, max_size=20))
def test_clipping_never_adds_time_and_leaves_the_median(seconds: list[float]) -> None:
    out = clipped(seconds)
    assert [math.isnan(value) for value in out] == [math.isnan(value) for value in seconds]
    known = [(a, b) for a, b in zip(seconds, out, strict=True) if not math.isnan(a)]
    assert all(0 <= b <= a for a, b in known)
    if known:
        median = statistics.median(a for a, _ in known)
        assert max(b for _, b in known) <= 5 * median
        assert statistics.median(b for _, b in known) == median


@given(ANSWERS, st.randoms(use_true_random=False), st.none() | st.floats(0.01, 1000))
def test_the_order_of_answers_changes_nothing(
    answers: list[TimedAnswer], shuffle: random.Random, price: float | None
) -> None:
    mixed = list(answers)
    shuffle.shuffle(mixed)
    assert repr(costs_by_person(mixed, price)) == repr(costs_by_person(answers, price))


@given(ANSWERS, st.floats(0.01, 1000))
def test_rows_are_what_a_slow_look_at_every_answer_gives(answers: list[TimedAnswer], price: float) -> None:
    for row in costs_by_person(answers, price):
        own = [a.seconds for a in answers if (a.stage, a.person) == (row.stage, row.person)]
        known = [value for value in own if not math.isnan(value)]
        assert (row.n, row.n_unknown) == (len(own), len(own) - len(known))
        if not known:
            assert math.isnan(row.seconds)
            continue
        bound = 5 * statistics.median(known)
        assert row.seconds == pytest.approx(sum(known))
        assert row.clipped_seconds == pytest.approx(sum(min(value, bound) for value in known))
        assert row.clipped_seconds <= row.seconds
        assert row.money == pytest.approx(row.clipped_seconds / 3600 * price)
