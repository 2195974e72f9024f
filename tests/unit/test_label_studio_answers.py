"""What counts as an answer, and what the screens say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tasks.core.brush_masks import regions_of
from tasks.core.rle import decode_brush
from tasks.errors import DataError
from tasks.services.label_studio_answers import (
    Answer,
    NoRating,
    ParsedRating,
    brush_result,
    parse_rating,
    parse_regions,
)
from tasks.services.label_studio_records import chunks
from tasks.services.label_studio_screens import CLASS_KEYS, dense_screen, local_file_url, rating_screen

NAMES = ("sky", "road")


def _answer(result: list[dict[str, Any]], *, skipped: bool = False) -> Answer:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Answer(1, 2, "k", {"key": "k"}, 3, 3, skipped, result, 1.5, moment, moment)


def _rating(*choices: str, name: str = "rating") -> dict[str, Any]:
    return {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": list(choices)}}


def _regions() -> list[dict[str, Any]]:
    label_map = np.array([[0, 0, 1], [1, 255, 1]], dtype=np.uint8)
    return brush_result(regions_of(label_map, NAMES), width=3, height=2)


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_a_score_counts(score: int) -> None:
    assert parse_rating(_answer([_rating(str(score))])) == ParsedRating(score, out_of_domain=False)


def test_out_of_domain_has_no_score() -> None:
    assert parse_rating(_answer([_rating("ood")])) == ParsedRating(None, out_of_domain=True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_answer([_rating("4")], skipped=True), "skipped"),
        (_answer([]), "empty"),
        (_answer([_rating("4", name="acr")]), "got 0"),
        (_answer([_rating("4"), _rating("4")]), "got 2"),
        (_answer([_rating("4", "5")]), "one choice was required"),
        (_answer([_rating()]), "one choice was required"),
        (_answer([{"from_name": "rating"}]), "one choice was required"),
        (_answer([_rating("6")]), "got '6'"),
        (_answer([_rating("4 good")]), "got '4 good'"),
    ],
)
def test_anything_else_is_no_rating(answer: Answer, reason: str) -> None:
    parsed = parse_rating(answer)

    assert isinstance(parsed, NoRating)
    assert reason in parsed.reason


def test_regions_survive_the_round_trip_and_say_who_drew_them() -> None:
    result = _regions()
    result[1] = {**result[1], "origin": "prediction-changed"}

    sky, road = parse_regions(result, height=2, width=3, where="w")

    assert (sky.label, sky.is_human, road.label, road.is_human) == ("sky", False, "road", True)
    np.testing.assert_array_equal([[0, 0, 255], [255, 0, 255]], decode_brush(road.rle, height=2, width=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "polygonlabels"}, "brush region of `seg` was required"),
        ({"from_name": "other"}, "got 'brushlabels' of 'other'"),
        ({"image_rotation": 90}, "rotation of 90 degrees"),
        ({"original_width": 4}, "2 x 3 px was required, got 2 x 4 px"),
        ({"value": {"format": "rle", "rle": [0, 0, 0, 24], "brushlabels": []}}, r"one label.*got \[\]"),
        ({"value": {"format": "rle", "rle": [0, 0, 0, 24], "brushlabels": ["a", "b"]}}, "exactly one label"),
        (
            {"value": {"format": "rle", "rle": [0, 0, 0, 96], "brushlabels": ["sky"]}},
            "24 pixels in its stream",
        ),
        ({"value": {"format": "rle", "rle": [], "brushlabels": ["sky"]}}, "0 pixels in its stream"),
        ({"value": {"format": "rle", "rle": [0, 0, 0, 256], "brushlabels": ["sky"]}}, "stream of bytes"),
        ({"value": {"format": "png", "rle": None, "brushlabels": ["sky"]}}, "got 'png'"),
    ],
)
def test_a_region_of_another_kind_or_size_is_refused(change: dict[str, Any], message: str) -> None:
    result = [_regions()[0], {**_regions()[1], **change}]

    with pytest.raises(DataError, match=f"the answer, region 2: .*{message}"):
        parse_regions(result, height=2, width=3, where="the answer")


def test_screens_hold_any_class_name_in_its_colour() -> None:
    classes = [(f'<{i}> & "x"', f"#{i:06x}") for i in range(30)]

    dense = ET.fromstring(dense_screen(classes))  # noqa: S314 - our own text
    rating = ET.fromstring(rating_screen(classes))  # noqa: S314 - our own text

    labels = dense.findall("BrushLabels/Label")
    assert [(label.get("value"), label.get("background")) for label in labels] == classes
    keys = [label.get("hotkey") for label in labels]
    assert keys == [*CLASS_KEYS, *[None] * (30 - len(CLASS_KEYS))]
    legend = rating.findall("View[@className='madloop-legend']/View/Header")
    assert [entry.get("value") for entry in legend] == [name for name, _ in classes]
    assert [image.get("value") for image in rating.iter("Image")] == ["$image", "$map", "$overlay"]
    assert [c.get("alias") for c in rating.iter("Choice")] == ["1", "2", "3", "4", "5", "ood"]


def test_a_colour_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        rating_screen([("sky", "red; } body { display: none")])


def test_addresses_of_files_stay_below_the_document_root() -> None:
    assert local_file_url("a b/ü&.png") == "/data/local-files/?d=a%20b/%C3%BC%26.png"
    for path in ("", "/etc/passwd", "../x", "a/../../x"):
        with pytest.raises(ValueError, match="below the document root"):
            local_file_url(path)


def test_chunks_keep_the_order_and_bound_count_and_size() -> None:
    small = [{"data": {"key": i}} for i in range(1001)]
    large = [{"data": {"key": i, "x": "y" * 9_000_000}} for i in range(5)]

    assert [len(chunk) for chunk in chunks(small)] == [500, 500, 1]
    assert [task for chunk in chunks(small) for task in chunk] == small
    assert [len(chunk) for chunk in chunks(large)] == [2, 2, 1]
    assert list(chunks([])) == []


@pytest.mark.parametrize(
    "item",
    [
        None, 3, "rating", [], {"from_name": "rating", "value": []},
        {"from_name": "rating", "value": {"choices": 5}}, {"from_name": "rating", "value": {"choices": [{}]}},
        {"from_name": "rating", "value": {"choices": [["3"]]}},
    ],
)  # fmt: skip
def test_whatever_was_posted_as_a_rating_is_no_more_than_no_rating(item: Any) -> None:
    assert isinstance(parse_rating(_answer([item])), NoRating)


@pytest.mark.parametrize(
    "change", [None, 3, [], {"value": []}, {"value": 7}, {"value": {"format": "rle", "rle": [[1]]}}]
)
def test_whatever_was_posted_as_a_region_is_refused_by_name(change: Any) -> None:
    item = _regions()[0] | change if isinstance(change, dict) else change
    with pytest.raises(DataError, match="annotation 12, region 1"):
        parse_regions([item], height=2, width=3, where="annotation 12")
