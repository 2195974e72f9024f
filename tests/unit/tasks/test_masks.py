"""Masks: what a drawing and a check become in the logs."""

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
from tasks.core.check_marks import CheckMark
from tasks.core.label_maps import VOID
from tasks.core.records import CHECKS, DRAWINGS
from tasks.mask_answers import Canvas, MaskLog, check_row, drawing_row
from tasks.services.label_studio_answers import Answer, brush_result
from tasks.services.label_studio_checks import ParsedCheck, check_result
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
        data={"image_id": "a", "role": "test", "start": "e", "copy": 0, "turn": 1},
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
    assert MaskLog.of([row], []).drawn(("a", "test", 0)) == []


def test_a_drawing_of_an_image_of_another_size_is_malformed(tmp_path: Path) -> None:
    canvas = Canvas(CLASSES, None, (HEIGHT, WIDTH + 1))
    row = drawing_row(ArtifactStore.at(tmp_path), drawing(), "annotator-1", canvas)
    assert "a region of 6 x 10 px was required, got 6 x 9" in row["state"]


def checked(accepted: bool, marks: tuple[CheckMark, ...] = (), **changes: Any) -> Answer:
    """A check of an image of 6 x 9 px."""
    result = check_result(ParsedCheck(accepted, marks), height=HEIGHT, width=WIDTH)
    return drawing(result, data={"image_id": "a", "role": "test", "mask_digest": "m"}, **changes)


def test_a_check_becomes_a_row_and_is_read_back_with_its_marks() -> None:
    marks = (CheckMark("boundary", 2.5, 3.5), CheckMark("missed object", 8.0, 0.25))
    row = check_row(checked(False, marks), "checker-1", (HEIGHT, WIDTH))
    assert row.keys() | {"campaign", "round"} == {column.name for column in CHECKS.columns}
    (check,) = MaskLog.of([], [row]).checked(("a", "test", 0))
    assert (check.mask_digest, check.checker, check.accepted) == ("m", "checker-1", False)
    assert [mark.error_type for mark in check.marks] == ["boundary", "missed object"]
    np.testing.assert_allclose([(m.x_px, m.y_px) for m in check.marks], [(2.5, 3.5), (8.0, 0.25)])


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (checked(True, was_cancelled=True), "skipped"),
        (replace(checked(True), result=[]), "empty"),
        (checked(False), "malformed: a mask that is sent back must carry a mark"),
        (checked(True, (CheckMark("boundary", 1, 1),)), "malformed: an accepted mask"),
        (drawing(data=checked(True).data), "malformed: mark 1"),
    ],
)
def test_what_is_no_check_keeps_its_place_with_the_reason(answer: Answer, state: str) -> None:
    row = check_row(answer, "checker-1", (HEIGHT, WIDTH))
    assert row["state"].startswith(state)
    assert MaskLog.of([], [row]).checked(("a", "test", 0)) == []
