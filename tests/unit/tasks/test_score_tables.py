"""Tables of scores: every number in its cell, a dash where there is none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Campaign
from tasks.score_tables import Scores, class_table, matrix_table, paper_table, text_table, version_names
from tests.lib.written_campaigns import campaign_of

VALUES = {
    ("target", "T(0)", "all"): 0.80, ("target", "T(0)", "tuning"): 0.79,
    ("target", "T(0)", "reporting"): 0.81,
    ("target-v1", "T(0)", "all"): 0.82, ("target-v1", "T(0)", "tuning"): 0.84,
    ("target-v1", "T(0)", "reporting"): 0.83,
    ("rival", "T(0)", "all"): 0.70, ("rival", "T(0)", "tuning"): 0.71, ("rival", "T(0)", "reporting"): 0.72,
    ("target", "T(1)", "all"): 0.20, ("target-v1", "T(1)", "all"): 0.40, ("rival", "T(1)", "all"): 0.30,
    ("target", "T(2)", "all"): 0.21, ("target-v1", "T(2)", "all"): 0.41, ("rival", "T(2)", "all"): math.nan,
}  # fmt: skip


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """One competitor, three classes."""
    return campaign_of(tmp_path)


def rows_of(values: dict[tuple[str, str, str], float]) -> list[dict[str, Any]]:
    """Rows of `scores`: the mean, and the class disc at half of it."""
    rows = []
    for (model, test_set, part), value in values.items():
        facts = {"model_version": model, "test_set": test_set, "part": part, "n_images": 7, "metric": "iou"}
        rows.append(facts | {"class_name": "mean", "value": value})
        rows.append(facts | {"class_name": "disc", "value": value / 2})
        rows.append(facts | {"class_name": "mean", "metric": "pixel_accuracy", "value": 0.99})
    return rows


SCORES = Scores(rows_of(VALUES))


def test_test_sets_come_in_the_order_of_their_rounds() -> None:
    shuffled = {("target", f"T({n})", "all"): 0.5 for n in (10, 2, 0, 1)}
    assert Scores(rows_of(shuffled)).test_sets == ["T(0)", "T(1)", "T(2)", "T(10)"]


def test_the_familiar_set_is_judged_by_its_reporting_half_unless_a_part_is_named() -> None:
    assert SCORES.miou("target", "T(0)") == 0.81
    assert SCORES.miou("target", "T(0)", "tuning") == 0.79
    assert SCORES.miou("target", "T(1)") == 0.20


def test_what_is_undefined_or_missing_is_none_and_never_zero() -> None:
    assert SCORES.miou("rival", "T(2)") is None
    assert SCORES.miou("target-v7", "T(0)") is None
    assert SCORES.value("target", "T(1)", "all", "iou", "square") is None


def test_version_0_is_the_target_itself(campaign: Campaign) -> None:
    assert version_names(campaign, 3) == ["target", "target-v1", "target-v2"]


def test_the_papers_table_judges_a_version_on_its_own_two_sets_only(campaign: Campaign) -> None:
    table = paper_table(campaign, SCORES, 2)
    assert table.column_headers == ("T(0) n=7", "T(1) n=7", "T(2) n=7")
    assert {row.name: row.cells for row in table.rows} == {
        "rival": (0.72, 0.30, None),
        "target": (0.81, 0.20, None),
        "target-v1": (0.83, None, 0.41),
    }


def test_the_matrix_has_every_version_on_every_set(campaign: Campaign) -> None:
    table = matrix_table(campaign, SCORES, 2)
    assert table.column_headers == ("T(0) tuning", "T(0) reporting", "T(1) n=7", "T(2) n=7")
    assert {row.name: row.cells for row in table.rows} == {
        "target": (0.79, 0.81, 0.20, 0.21),
        "target-v1": (0.84, 0.83, 0.40, 0.41),
        "rival": (0.71, 0.72, 0.30, None),
    }


def test_the_class_table_sets_the_newest_version_beside_the_first(campaign: Campaign) -> None:
    table = class_table(campaign, SCORES, 2)
    assert table.column_headers[:2] == ("T(0) target", "T(0) target-v1")
    cells = {row.name: row.cells for row in table.rows}
    assert cells["disc"] == pytest.approx((0.405, 0.415, 0.10, 0.20, 0.105, 0.205))
    assert cells["square"] == (None,) * 6
    alone = class_table(campaign, SCORES, 1)
    assert alone.column_headers == ("T(0) target", "T(1) target", "T(2) target")


def test_the_text_table_is_aligned_and_shows_a_dash_for_nothing(campaign: Campaign) -> None:
    header, *lines = text_table(paper_table(campaign, SCORES, 2)).splitlines()
    assert {len(header)} == {len(line) for line in lines}
    assert [line.split() for line in lines] == [
        ["rival", "0.720", "0.300", "-"],
        ["target", "0.810", "0.200", "-"],
        ["target-v1", "0.830", "-", "0.410"],
    ]
