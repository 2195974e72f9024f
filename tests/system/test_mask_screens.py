"""An annotator and a checker at the real screens, and the masks, marks and turns that come of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.settings import Settings
from tasks.answer_log import VALID, read_log
from tasks.artifacts import ArtifactRef
from tasks.core.label_maps import LabelMap
from tasks.core.records import CHECKS, DRAWINGS, MASK_TURNS, MASKS
from tasks.errors import Waiting
from tasks.mask_plan import Sources
from tasks.masks import collect_masks, request_masks
from tasks.pictures import decode_mask_png
from tasks.rounds import Round
from tests.lib.labelling_browser import Labeller, Point
from tests.lib.street_rounds import mask_sources, street_round
from tests.lib.street_scenes import CAR, HEIGHT, NAMES, WIDTH, Scene

pytestmark = pytest.mark.services

CAR_KEY = str(NAMES.index("car") + 1)
FIRST_STROKE = ((300.0, 290.0), (390.0, 290.0))  # on the road and the car that the map misses
SECOND_STROKE = ((320.0, 270.0), (370.0, 270.0))
ERROR_AT = (345.0, 275.0)
BRUSH_PX = 12.0  # no stroke is wider; the editor's brush has 15 px of its screen, which shows pictures larger
CORE_PX = 2.0  # whatever the brush, this near to its line everything is painted


@dataclass(frozen=True)
class MaskRound:
    """A round with two failures, drawn by one person and checked by another."""

    round: Round
    settings: Settings
    scenes: dict[str, Scene]
    sources: Sources
    annotator: str
    checker: str

    def project(self, person: str) -> int:
        """What is open for somebody, after a look at what the others did."""
        waiting = self.collect()
        assert isinstance(waiting, Waiting)
        return dict(waiting.projects)[person]

    def collect(self) -> ArtifactRef | Waiting:
        """Look what they did."""
        return collect_masks.fn(self.round, self.settings, self.sources, "failure")

    def mask(self, row: dict[str, Any]) -> LabelMap:
        """The mask of a row of a log."""
        return decode_mask_png(self.round.open_store().blob(row["mask_digest"], ".png"))


@pytest.fixture
def masks(services: Settings, tmp_path: Path) -> MaskRound:
    """That round, just published."""
    name = f"t{uuid.uuid4().hex[:6]}"
    annotator, checker = f"{name}-zoe", f"{name}-yan"
    people = {"annotators": [annotator], "checkers": [checker], "double_share": 0}
    round_, scenes = street_round(tmp_path, name, 2, masks=people)
    sources = mask_sources(round_, list(scenes))
    request_masks.fn(round_, services, sources)
    return MaskRound(round_, services, scenes, sources, annotator, checker)


def _distance(stroke: tuple[Point, Point]) -> NDArray[np.float64]:
    """(H, W) distance of each pixel's centre from a horizontal stroke, px."""
    (left, row), (right, _) = stroke
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    return np.asarray(np.hypot(columns - np.clip(columns, left, right), rows - row))


def _assert_painted(before: LabelMap, after: LabelMap, stroke: tuple[Point, Point]) -> None:
    """The mask is the one before but for the stroke's pixels, all of them cars: on its line, none far off."""
    changed, distance = before != after, _distance(stroke)
    np.testing.assert_array_equal(np.where(changed, CAR, before), after)
    assert (after[distance < CORE_PX] == CAR).all()
    assert distance[changed].max() < BRUSH_PX / 2 + 1


def _draw(annotator: Labeller, masks: MaskRound, screenshot: Path | None) -> None:
    """Correct the first mask with one stroke, leave the second as it is."""
    assert "Give every pixel its true class" in annotator.start(masks.project(masks.annotator))
    annotator.see(1)
    annotator.see_regions(len(NAMES))
    annotator.press(CAR_KEY)
    annotator.stroke(*FIRST_STROKE)
    annotator.see_regions(len(NAMES) + 1)
    annotator.keep_screenshot(screenshot)
    annotator.submit()
    annotator.see(1)
    annotator.see_regions(len(NAMES))
    annotator.submit(is_last=True)


def _check(checker: Labeller, masks: MaskRound, screenshot: Path | None) -> None:
    """Send the first mask back with one mark, accept the second."""
    assert "Is this mask right?" in checker.start(masks.project(masks.checker))
    checker.see(2)
    checker.press("3")
    checker.click(ERROR_AT, picture=1)
    checker.see_regions(1)
    checker.press("r")
    checker.keep_screenshot(screenshot)
    checker.submit()
    checker.see(2)
    checker.press("a")
    checker.submit(is_last=True)


def _draw_again(annotator: Labeller, masks: MaskRound) -> None:
    """Correct what came back with another stroke."""
    annotator.start(masks.project(masks.annotator))
    annotator.see(1)
    annotator.see_regions(len(NAMES))
    assert "Came back from the check: 1 missed object" in annotator.text
    annotator.press(CAR_KEY)
    annotator.stroke(*SECOND_STROKE)
    annotator.see_regions(len(NAMES) + 1)
    annotator.submit(is_last=True)


def _accept(checker: Labeller, masks: MaskRound) -> None:
    """Accept what was drawn again."""
    checker.start(masks.project(masks.checker))
    checker.see(2)
    checker.press("a")
    checker.submit(is_last=True)


def test_a_mask_is_corrected_checked_sent_back_and_accepted_and_the_artefact_holds_exactly_that(
    masks: MaskRound, at_the_screen: Callable[[str], Labeller], screenshot: Callable[[str], Path | None]
) -> None:
    annotator = at_the_screen(masks.annotator)
    _draw(annotator, masks, screenshot("label-studio-dense"))
    masks.project(masks.checker)  # who was never asked for anything has no account
    checker = at_the_screen(masks.checker)
    _check(checker, masks, screenshot("label-studio-check"))
    _draw_again(annotator, masks)
    _accept(checker, masks)
    ref = masks.collect()
    assert isinstance(ref, ArtifactRef)

    drawn = read_log(masks.round, DRAWINGS)
    assert [(r["state"], r["uncovered_px"], r["conflict_px"]) for r in drawn] == [(VALID, 0, 0)] * 3
    corrected, untouched = drawn[0]["image_id"], drawn[1]["image_id"]
    assert [(corrected, 1), (untouched, 1), (corrected, 2)] == [(r["image_id"], r["turn"]) for r in drawn]
    first, as_it_was, second = map(masks.mask, drawn)
    _assert_painted(masks.scenes[corrected].shown, first, FIRST_STROKE)
    np.testing.assert_array_equal(masks.scenes[untouched].shown, as_it_was)
    _assert_painted(first, second, SECOND_STROKE)

    checks = read_log(masks.round, CHECKS)
    assert [row["state"] for row in checks] == [VALID] * 3
    assert [(corrected, False), (untouched, True), (corrected, True)] == [
        (row["image_id"], row["accepted"]) for row in checks
    ]
    (mark,), *others = [json.loads(row["marks"]) for row in checks]
    assert others == [[], []]
    assert mark["error_type"] == "missed object"
    assert (mark["x_px"], mark["y_px"]) == pytest.approx(ERROR_AT, abs=1)

    store = masks.round.open_store()
    final = {r["image_id"]: (r["verdict"], r["turn"], r["mask_digest"]) for r in store.rows(ref, MASKS)}
    assert final == {
        corrected: ("accepted", 2, drawn[2]["mask_digest"]),
        untouched: ("accepted", 1, drawn[1]["mask_digest"]),
    }
    for image_id, mask in ((corrected, second), (untouched, as_it_was)):
        np.testing.assert_array_equal(mask, decode_mask_png(store.path(ref, f"{image_id}.png").read_bytes()))
    turns = [row for row in store.rows(ref, MASK_TURNS) if row["image_id"] == corrected]
    assert [(1, False, [mark]), (2, True, [])] == [
        (row["turn"], row["accepted"], json.loads(row["marks"])) for row in turns
    ]
