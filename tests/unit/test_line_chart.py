"""Geometry of the loss chart."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.line_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, line_chart, round_marks


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_round_marks_enclose_the_range_at_equal_distances(low: float, span: float) -> None:
    marks = round_marks(low, low + span)
    step = marks[1] - marks[0]
    dust = 1e-9 * max(abs(low), abs(low + span), 1e-6)
    assert marks[0] <= low + dust
    assert marks[-1] >= low + span - dust
    assert 2 <= len(marks) <= 8
    assert all(math.isclose(b - a, step, rel_tol=1e-3) for a, b in pairwise(marks))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 0.83, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (1.0, 80.0, (0.0, 20.0, 40.0, 60.0, 80.0)),
        (0.0, 0.0, (0.0, 0.2)),
        (0.0, 5e-324, (0.0, 0.2)),
        (1e6, 1e6 + 1e-9, (1e6, 1.5e6)),
    ],
)
def test_round_marks_of_known_ranges(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert round_marks(low, high)[: len(expected)] == expected


@given(st.lists(st.floats(-100, 100) | st.just(math.nan), min_size=1, max_size=40))
def test_every_point_lies_inside_the_axes(values: list[float]) -> None:
    chart = line_chart({"a": values})
    if chart is None:
        assert all(math.isnan(value) for value in values)
        return
    points = [point.split(",") for piece in chart.lines[0].pieces for point in piece.split()]
    assert len(points) == sum(not math.isnan(value) for value in values)
    assert all(LEFT <= float(x) <= WIDTH - RIGHT and TOP <= float(y) <= HEIGHT - BOTTOM for x, y in points)


def test_a_curve_without_values_is_no_line() -> None:
    chart = line_chart({"a": (1.0, 0.5), "b": ()})
    assert chart is not None
    assert [line.name for line in chart.lines] == ["a"]
    assert line_chart({"b": (math.nan,)}) is None
    assert line_chart({}) is None
