"""S is cut from images that all raters rated; the others still count for how large it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.failures import failure_rows
from tests.lib.written_campaigns import round_of


def rated(image_id: str, score: float, **changes: Any) -> dict[str, Any]:
    """A row of `ratings`."""
    row = {
        "image_id": image_id, "model_version": "target", "map_digest": "m", "mean_opinion_score": score,
        "out_of_domain": False, "stopped_early": False,
    }  # fmt: skip
    return row | changes


@pytest.mark.parametrize(("n_stopped", "expected"), [(0, ["a"]), (2, ["a", "b"])])
def test_images_that_were_not_rated_on_are_no_failures_but_make_room_for_some(
    tmp_path: Path, n_stopped: int, expected: list[str]
) -> None:
    """At most half of what remains: of three images one, of five two."""
    round_ = round_of(tmp_path, failures={"size": 9, "max_share": 0.5})
    rows = [rated("a", 1.0), rated("b", 1.5), rated("c", 2.0)]
    rows += [rated(f"s{n}", 1.0, stopped_early=True) for n in range(n_stopped)]
    rows += [rated("t", 1.0), rated("o", 1.0, out_of_domain=True, mean_opinion_score=None)]
    order = [{"image_id": row["image_id"], "discrepancy": 0.5} for row in rows]
    cut = failure_rows(round_, order, rows, in_test_set={"t"})
    assert [row["image_id"] for row in cut] == expected
