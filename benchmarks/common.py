"""What all benchmarks share. The convention: one module, one command, `python -m benchmarks.NAME`.

A benchmark checks that what it compares gives the same result and fails otherwise. Its table goes to
benchmarks/results/NAME.md, with versions, hardware and commit; the last line it prints is
`ratios name=number name=number ...`, larger is better for us. No test asserts a time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from configs.settings import CHECKOUT
from tasks.machine import machine_facts

RESULTS = CHECKOUT / "benchmarks" / "results"


@dataclass(frozen=True)
class Table:
    """A table of a benchmark: a caption, column headers and rows of text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def interleaved_medians(
    measures: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median seconds of each measure; they take turns, so that a slow moment meets all of them.

    Args:
        measures: name -> what is timed; each is run once before, to warm up.
        rounds: how often each is timed.
        clock: seconds; default: CPU time of this process.
    """
    for measure in measures.values():
        measure()
    seconds: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            start = clock()
            measure()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(
    name: str, title: str, tables: Sequence[Table], ratios: Mapping[str, float], folder: Path = RESULTS
) -> None:
    """Print the tables, write them to `folder`/NAME.md with the machine's facts, print the ratios last.

    Args:
        name: of the benchmark's module.
        title: what is compared, in a sentence or two.
        tables: what was measured.
        ratios: name -> how many times better than what it is compared with.
        folder: where the page goes.
    """
    machine = Table("Measured on", ("what", ""), tuple(machine_facts(CHECKOUT).items()))
    line = "ratios " + " ".join(f"{key}={value:.2f}" for key, value in ratios.items())
    parts = [f"# benchmarks.{name}", title, *map(markdown, (*tables, machine)), f"`{line}`"]
    page = "\n\n".join(parts) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    click.echo(page.rsplit("\n\n", 1)[0])
    click.echo(line)


def markdown(table: Table) -> str:
    """The caption and the table."""
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return table.caption + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
