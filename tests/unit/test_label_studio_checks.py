"""What counts as a check, and what the check screen asks."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.core.check_marks import ERROR_TYPES, CheckMark
from tasks.services.label_studio_answers import Answer
from tasks.services.label_studio_checks import NoCheck, ParsedCheck, check_result, parse_check
from tasks.services.label_studio_screens import check_screen

HEIGHT, WIDTH = 200, 400


def _answer(result: list[Any], *, skipped: bool = False) -> Answer:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Answer(1, 2, "k", {"key": "k"}, 3, 3, skipped, result, 1.5, moment, moment)


def _verdict(*choices: Any, **changes: Any) -> dict[str, Any]:
    item = {"from_name": "verdict", "to_name": "overlay", "type": "choices"}
    return item | {"value": {"choices": list(choices)}} | changes


def _mark(kind: Any = "boundary", x: Any = 25, y: Any = 50.0, **changes: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 1.13, "keypointlabels": [kind]}
    item = {"from_name": "error", "to_name": "overlay", "type": "keypointlabels", "value": value}
    return item | {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0} | changes


def _parsed(*items: Any, skipped: bool = False) -> ParsedCheck | NoCheck:
    return parse_check(_answer(list(items), skipped=skipped), height=HEIGHT, width=WIDTH)


ACCEPT, CORRECT = _verdict("accept"), _verdict("needs correction")


def test_positions_are_percent_of_the_image_and_keep_their_order() -> None:
    parsed = _parsed(_mark(), CORRECT, _mark("missed object", 0, 100))

    marks = (CheckMark("boundary", 100.0, 100.0), CheckMark("missed object", 0.0, 200.0))
    assert parsed == ParsedCheck(accepted=False, marks=marks)


def test_a_mask_is_accepted_without_marks_or_with_ambiguous_ones() -> None:
    assert _parsed(ACCEPT) == ParsedCheck(accepted=True, marks=())
    ambiguous = CheckMark("ambiguous", 100.0, 100.0)
    assert _parsed(ACCEPT, _mark("ambiguous")) == ParsedCheck(accepted=True, marks=(ambiguous,))


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "empty"),
        ([_mark()], "one `verdict` was required, got 0"),
        ([CORRECT, CORRECT, _mark()], "one `verdict` was required, got 2"),
        ([ACCEPT, CORRECT, _mark()], "one `verdict` was required, got 2"),
        ([CORRECT], "must carry a mark for each error, got none"),
        ([ACCEPT, _mark("ambiguous"), _mark("boundary")], r"alone, got ['ambiguous', 'boundary']"),
        ([_verdict("accept", "needs correction")], "got ['accept', 'needs correction']"),
        ([_verdict()], "got []"),
        ([_verdict("fine")], "got ['fine']"),
        ([_verdict("accept", to_name="image")], "on 'image'"),
        ([_verdict(value=None)], "got None"),
        ([CORRECT, _mark("typo")], "one type of"),
        ([CORRECT, _mark(["boundary"])], "one type of"),
        (
            [CORRECT, _mark(value={"x": 1, "y": 1, "keypointlabels": ["boundary", "ambiguous"]})],
            "one type of",
        ),
        ([CORRECT, _mark(value={"x": 1, "y": 1})], "got None"),
        ([CORRECT, _mark(value=7)], "a position and a type were required, got 7"),
        ([CORRECT, _mark(x=100.001)], "mark 1: a position x of 0 to 100 % was required, got 100.001"),
        ([CORRECT, _mark(), _mark(y=-0.1)], "mark 2: a position y of 0 to 100 %"),
        ([CORRECT, _mark(x=float("nan"))], "got nan"),
        ([CORRECT, _mark(x=10**400)], "a position x of 0 to 100 %"),
        ([CORRECT, _mark(x="25")], "got '25'"),
        ([CORRECT, _mark(x=True)], "got True"),
        ([CORRECT, _mark(x=None)], "got None"),
        ([CORRECT, _mark(to_name="image")], "a key point of `error` on `overlay` was required"),
        ([CORRECT, _mark(from_name="err")], "a key point of `error` on `overlay` was required"),
        ([CORRECT, _mark(type="brushlabels")], "a key point of `error` on `overlay` was required"),
        ([CORRECT, None], "got None"),
        ([CORRECT, "verdict"], "got 'verdict'"),
        ([CORRECT, _mark(original_width=401)], "200 x 400 px, not turned, was required, got 200 x 401 px"),
        ([CORRECT, _mark(original_height=None)], "got None x 400 px"),
        ([CORRECT, _mark(image_rotation=90)], "turned by 90 degrees"),
    ],
)
def test_anything_else_is_no_check(items: list[Any], reason: str) -> None:
    parsed = _parsed(*items)

    assert isinstance(parsed, NoCheck)
    assert reason in parsed.reason


def test_a_skipped_check_is_none() -> None:
    assert _parsed(ACCEPT, skipped=True) == NoCheck("skipped")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_check_survives_the_round_trip_through_the_server(accepted: bool) -> None:
    kinds = ["ambiguous"] if accepted else [*ERROR_TYPES]
    check = ParsedCheck(accepted, tuple(CheckMark(k, 4.0 * i, 400 / 3) for i, k in enumerate(kinds)))
    result = json.loads(json.dumps(check_result(check, height=HEIGHT, width=WIDTH)))

    parsed = parse_check(_answer(result), height=HEIGHT, width=WIDTH)

    assert isinstance(parsed, ParsedCheck)
    assert parsed.accepted == accepted
    assert [mark.error_type for mark in parsed.marks] == kinds
    for before, after in zip(check.marks, parsed.marks, strict=True):
        assert (after.x_px, after.y_px) == pytest.approx((before.x_px, before.y_px))


def test_the_screen_has_a_key_and_a_colour_for_each_error_and_a_legend_of_the_classes() -> None:
    classes = [("sky & sea", "#112233"), ("road", "#ffffff")]

    screen = ET.fromstring(check_screen(classes))  # noqa: S314 - our own text

    labels = [(e.get("hotkey"), e.get("value"), e.get("background")) for e in screen.iter("Label")]
    assert labels == [
        ("1", "wrong class", "#e6194b"),
        ("2", "boundary", "#f58231"),
        ("3", "missed object", "#911eb4"),
        ("4", "extra region", "#4363d8"),
        ("5", "ambiguous", "#808000"),
    ]
    assert [(e.get("hotkey"), e.get("value")) for e in screen.iter("Choice")] == [
        ("a", "accept"),
        ("r", "needs correction"),
    ]
    verdict, error = screen.find(".//Choices"), screen.find(".//KeyPointLabels")
    assert verdict is not None
    assert error is not None
    assert verdict.get("required") == "true"
    assert (verdict.get("name"), verdict.get("toName")) == ("verdict", "overlay")
    assert (error.get("name"), error.get("toName")) == ("error", "overlay")
    legend = screen.findall("View[@className='madloop-legend']/View/Header")
    assert [entry.get("value") for entry in legend] == ["sky & sea", "road"]
    assert [image.get("value") for image in screen.iter("Image")] == ["$image", "$overlay"]
