"""The rater study in its quick form: the parts of the page, and what the screening is required to find."""

from __future__ import annotations

from benchmarks.rater_screening import PANELS, flagged, screening_part


def test_careless_and_biased_raters_are_flagged_and_good_ones_are_not() -> None:
    """A few seeds of what docs/results/raters.md shows for a hundred."""
    found = flagged(PANELS[0], 1750, range(3))
    assert (found.all_bad, found.each_bad) == (3, (3, 3))
    assert (found.any_good, found.good_flagged, found.good_raters) == (0, 0, 9)


def test_the_part_has_a_row_for_every_panel_and_its_seeds() -> None:
    part = screening_part(n_seeds=2, sizes=(60, 40))
    rows = [line for line in part.splitlines() if line.startswith(("| 3,", "| 5,"))]
    assert len(rows) == 3 * 3 + 2 * 2
    assert sum("1000..1001" in row for row in rows) == 10
    assert "inconsistency 1.25" in part
