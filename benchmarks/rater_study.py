"""What the numbers on raters are worth, on simulated panels: writes docs/results/raters.md.

Each part of the page is a function of its own module.
"""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.adaptive_rating import adaptive_part
from benchmarks.common import Table, markdown
from benchmarks.rater_screening import screening_part
from configs.settings import CHECKOUT
from tasks.machine import machine_facts

RESULTS = CHECKOUT / "docs" / "results"
PARTS = (screening_part, adaptive_part)


@click.command()
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the page.")
def main(folder: Path) -> None:
    """Run every part and write the page."""
    machine = Table("Measured on", ("what", ""), tuple(machine_facts(CHECKOUT).items()))
    head = "# Results: raters\n\nWritten by `python -m benchmarks.rater_study`; all raters are simulated."
    page = "\n\n".join([head, *(part() for part in PARTS), markdown(machine)]) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "raters.md").write_text(page, encoding="utf-8")
    click.echo(page)


if __name__ == "__main__":
    main()
