"""Geometry of a small line chart, in the units of an SVG drawing; standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 12.0, 36.0  # room for the axes' labels


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in the drawing and its text."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve: `pieces` are lists of "x,y" points, interrupted where a value is undefined."""

    name: str
    pieces: tuple[str, ...]
    end: tuple[float, float]


@dataclass(frozen=True)
class LineChart:
    """Curves over steps 1, 2, ..., with their axes."""

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def line_chart(curves: Mapping[str, Sequence[float]]) -> LineChart | None:
    """The chart of some curves, the vertical axis starting at 0 where no value is below.

    Args:
        curves: name -> values of steps 1, 2, ...; NaN and infinite values leave gaps.

    Returns:
        The chart, or None if no curve has a finite value.
    """
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    if not finite:
        return None
    y_marks = round_marks(min(0.0, *finite), max(finite))
    steps = max(len(values) for values in curves.values())
    x_marks = sorted({max(1, round(mark)) for mark in round_marks(1, steps) if mark <= steps})

    def x(step: float) -> float:
        share = 0.5 if steps == 1 else (step - 1) / (steps - 1)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        share = (value - y_marks[0]) / (y_marks[-1] - y_marks[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    lines = []
    for name, values in curves.items():
        points = [(x(i), y(value)) if math.isfinite(value) else None for i, value in enumerate(values, 1)]
        known = [point for point in points if point is not None]
        if known:
            lines.append(Line(name, _pieces(points), known[-1]))
    return LineChart(
        tuple(lines),
        tuple(Tick(x(mark), str(mark)) for mark in x_marks),
        tuple(Tick(y(mark), f"{mark:.6g}") for mark in y_marks),
    )


def round_marks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Round numbers at equal distances that enclose [low, high], about `count` of them, at least two.

    >>> round_marks(0, 0.83)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    largest = max(abs(low), abs(high))
    # What twelve digits cannot tell apart is one value, and what a float can hardly hold is zero.
    span = high - low if high - low > 1e-9 * largest else largest
    span = span if span > 1e-300 else 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= count)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    # Twelve digits hide the binary dust of i * step, such as 0.30000000000000004.
    return tuple(float(f"{i * step:.12g}") for i in range(first, last + 1))


def _pieces(points: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    for point in points:
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{point[0]},{point[1]}")
    return tuple(" ".join(piece) for piece in pieces if piece)
