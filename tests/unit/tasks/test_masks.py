"""Masks: who draws what, and what a drawing becomes in the log."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tasks.artifacts import ArtifactStore
from tasks.core.brush_masks import regions_of
from tasks.core.label_maps import VOID
from tasks.core.records import DRAWINGS
from tasks.masks import Canvas, drawing_row, needs_of, usable_answers, valid_drawings
from tasks.services.label_studio_answers import Answer, brush_result
from tests.lib.written_campaigns import CLASSES

HEIGHT, WIDTH = 6, 9
TRUTH = np.zeros((HEIGHT, WIDTH), np.uint8)
TRUTH[1:4, 2:7] = 1
TRUTH[4:, 5:] = 2
EMPTY = Canvas(CLASSES, None, (HEIGHT, WIDTH))


def drawing(result: list[dict[str, Any]] | None = None, **changes: Any) -> Answer:
    """A drawing of `TRUTH`, all of it by hand."""
    moment = datetime.datetime(2026, 1, 1, 10, tzinfo=datetime.UTC)
    if result is None:
        result = brush_result(regions_of(TRUTH, CLASSES), width=WIDTH, height=HEIGHT)
        result = [region | {"origin": "manual"} for region in result]
    answer = Answer(
        annotation_id=11,
        task_id=5,
        key="k",
        data={"image_id": "a", "role": "test", "start": "e"},
        completed_by=7,
        updated_by=7,
        was_cancelled=False,
        result=result,
        lead_time=100.0,
        created_at=moment,
        updated_at=moment,
    )
    return replace(answer, **changes)


def test_a_drawing_becomes_a_row_and_its_mask_a_blob(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    row = drawing_row(store, drawing(), "annotator-1", EMPTY)
    assert (row["state"], row["uncovered_px"], row["conflict_px"]) == ("valid", 0, 0)
    assert row.keys() | {"campaign", "round"} == {column.name for column in DRAWINGS.columns}
    content = np.frombuffer(store.blob(row["mask_digest"], ".png"), np.uint8)
    np.testing.assert_array_equal(TRUTH, cv2.imdecode(content, cv2.IMREAD_UNCHANGED))


def test_pixels_that_nobody_painted_are_void_and_counted(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    only_disc = [r for r in drawing().result if r["value"]["brushlabels"] == ["disc"]]
    row = drawing_row(store, drawing(only_disc), "annotator-1", EMPTY)
    content = np.frombuffer(store.blob(row["mask_digest"], ".png"), np.uint8)
    np.testing.assert_array_equal(
        np.where(TRUTH == 1, TRUTH, VOID), cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    )
    assert row["uncovered_px"] == int((TRUTH != 1).sum())


def _turned() -> list[dict[str, Any]]:
    return [region | {"image_rotation": 90} for region in drawing().result]


def _other_class() -> list[dict[str, Any]]:
    return [region | {"value": region["value"] | {"brushlabels": ["dog"]}} for region in drawing().result]


def _cut_short() -> list[dict[str, Any]]:
    value = drawing().result[0]["value"]
    return [drawing().result[0] | {"value": value | {"rle": value["rle"][:8]}}]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (drawing(was_cancelled=True), "skipped"),
        (drawing([]), "empty"),
        (drawing(_turned()), "malformed: annotation 11 by annotator-1, region 1: an unrotated image"),
        (drawing(_other_class()), "malformed: "),
        (drawing(_cut_short()), "malformed: "),
        (drawing([{"type": "choices", "from_name": "rating"}]), "malformed: annotation 11 by annotator-1"),
    ],
)
def test_a_drawing_that_cannot_be_used_keeps_its_place_with_the_reason(
    tmp_path: Path, answer: Answer, state: str
) -> None:
    row = drawing_row(ArtifactStore.at(tmp_path), answer, "annotator-1", EMPTY)
    assert row["state"].startswith(state)
    assert "mask_digest" not in row
    assert valid_drawings([row]) == {}


def test_a_drawing_of_an_image_of_another_size_is_malformed(tmp_path: Path) -> None:
    canvas = Canvas(CLASSES, None, (HEIGHT, WIDTH + 1))
    row = drawing_row(ArtifactStore.at(tmp_path), drawing(), "annotator-1", canvas)
    assert "a region of 6 x 10 px was required, got 6 x 9" in row["state"]


def test_the_newest_valid_drawing_of_an_image_in_a_role_counts() -> None:
    def row(at: str, **changes: Any) -> dict[str, Any]:
        given = {"image_id": "a", "role": "test", "start": "e", "annotator": "x", "annotation_id": 1}
        return given | {"state": "valid", "submitted_at": f"2026-01-0{at}"} | changes

    rows = [row("1"), row("2", seconds=2.0), row("3", role="failure", annotation_id=2)]
    drawn = valid_drawings(rows)
    assert drawn.keys() == {("a", "test", "e"), ("a", "failure", "e")}
    assert drawn[("a", "test", "e")]["seconds"] == 2.0
    assert valid_drawings([*rows, row("4", state="skipped")]).keys() == drawn.keys(), (
        "a skip takes nothing away"
    )


def test_images_are_dealt_out_evenly_and_the_same_in_every_run() -> None:
    ids = [f"{n:02d}" for n in range(11)]
    starts = dict.fromkeys(ids, "e")
    needs = needs_of(["x", "y", "z"], starts, "failure")
    counts = sorted(sum(need.annotator == name for need in needs) for name in "xyz")
    assert counts == [3, 4, 4]
    assert needs_of(["x", "y", "z"], dict.fromkeys(ids[::-1], "e"), "failure") == needs
    assert sorted(need.image_id for need in needs) == ids
    assert len({need.key for need in needs + needs_of(["x", "y", "z"], starts, "test")}) == 22


def test_a_drawing_on_another_start_is_of_something_else() -> None:
    same = needs_of(["x"], {"a": "map-1"}, "failure")
    other = needs_of(["x"], {"a": "map-2"}, "failure")

    assert same[0].key != other[0].key
    assert same[0].subject != other[0].subject


def test_tasks_that_are_not_ours_are_left_alone() -> None:
    ours = drawing()
    by_hand = replace(ours, data={"image": "/data/upload/x.png"})
    of_another_pool = replace(ours, data=ours.data | {"image_id": "b"})

    assert list(usable_answers([by_hand, ours, of_another_pool], {"a"})) == [ours]
