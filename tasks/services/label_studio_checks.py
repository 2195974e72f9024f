"""Label Studio's answers of the cross-check as plain records. Pure.

As everywhere, the server checks nothing of an answer: what is not exactly what the screen produces is no
check, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.core.check_marks import AMBIGUOUS, ERROR_TYPES, CheckMark
from tasks.errors import DataError
from tasks.services.label_studio_answers import Answer
from tasks.services.label_studio_screens import ACCEPT, CORRECT, ERROR, OVERLAY, VERDICT


@dataclass(frozen=True)
class ParsedCheck:
    """A valid check.

    Attributes:
        accepted: whether the mask is taken as it is; otherwise its author gets it back.
        marks: in the order of the answer.
    """

    accepted: bool
    marks: tuple[CheckMark, ...]


@dataclass(frozen=True)
class NoCheck:
    """Why an answer is no check: it was skipped, is empty, or is not what the screen sends."""

    reason: str


def parse_check(answer: Answer, *, height: int, width: int) -> ParsedCheck | NoCheck:
    """The check in an answer, or why there is none.

    Counts only with exactly one verdict. A mask that is sent back must carry at least one mark, or its author
    would not know what to correct. An accepted mask may carry marks of type ambiguous alone: they are kept;
    any other mark contradicts the verdict, and the checker has to say which of the two is meant.

    Args:
        answer: from a task of the check screen.
        height: of the image that was shown, px.
        width: of the image that was shown, px.
    """
    if answer.was_cancelled:
        return NoCheck("skipped")
    if not answer.result:
        return NoCheck("empty")
    try:
        return _check(answer.result, height, width)
    except DataError as error:
        return NoCheck(str(error))


def check_result(check: ParsedCheck, *, height: int, width: int) -> list[dict[str, Any]]:
    """The `result` that the check screen sends for a check.

    Args:
        check: verdict and marks.
        height: of the image that is shown, px.
        width: of the image that is shown, px.
    """
    marks = [
        {
            "id": f"m{index:03d}",
            "from_name": ERROR,
            "to_name": OVERLAY,
            "type": "keypointlabels",
            "origin": "manual",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": 100 * mark.x_px / width,
                "y": 100 * mark.y_px / height,
                "width": 1.0,
                "keypointlabels": [mark.error_type],
            },
        }
        for index, mark in enumerate(check.marks)
    ]
    verdict = {
        "from_name": VERDICT,
        "to_name": OVERLAY,
        "type": "choices",
        "value": {"choices": [ACCEPT if check.accepted else CORRECT]},
    }
    return [*marks, verdict]


def _control(item: Any) -> object:
    return item.get("from_name") if isinstance(item, dict) else None


def _check(result: list[dict[str, Any]], height: int, width: int) -> ParsedCheck:
    verdicts = [_verdict(item) for item in result if _control(item) == VERDICT]
    others = [item for item in result if _control(item) != VERDICT]
    marks = tuple(_mark(item, height, width, f"mark {i + 1}") for i, item in enumerate(others))
    if len(verdicts) != 1:
        raise DataError(f"one `{VERDICT}` was required, got {len(verdicts)}")
    if verdicts[0] == CORRECT and not marks:
        raise DataError("a mask that is sent back must carry a mark for each error, got none")
    if verdicts[0] == ACCEPT and any(mark.error_type != AMBIGUOUS for mark in marks):
        types = sorted({mark.error_type for mark in marks})
        raise DataError(f"an accepted mask may carry marks of type {AMBIGUOUS} alone, got {types}")
    return ParsedCheck(verdicts[0] == ACCEPT, marks)


def _verdict(item: dict[str, Any]) -> str:
    value = item.get("value")
    choices = value.get("choices") if isinstance(value, dict) else None
    if item.get("to_name") != OVERLAY or choices not in ([ACCEPT], [CORRECT]):
        raise DataError(
            f"one choice of `{VERDICT}` on `{OVERLAY}`, {ACCEPT!r} or {CORRECT!r}, was required, "
            f"got {choices!r} on {item.get('to_name')!r}"
        )
    return str(choices[0])


def _mark(item: Any, height: int, width: int, where: str) -> CheckMark:
    kind = ("type", "keypointlabels"), ("from_name", ERROR), ("to_name", OVERLAY)
    if not isinstance(item, dict) or any(item.get(name) != wanted for name, wanted in kind):
        got = [item.get(name) for name, _ in kind] if isinstance(item, dict) else item
        raise DataError(f"{where}: a key point of `{ERROR}` on `{OVERLAY}` was required, got {got!r}")
    size, turned = (item.get("original_height"), item.get("original_width")), item.get("image_rotation", 0)
    if size != (height, width) or turned != 0:
        raise DataError(
            f"{where}: an image of {height} x {width} px, not turned, was required, "
            f"got {size[0]} x {size[1]} px turned by {turned} degrees"
        )
    value = item.get("value")
    if not isinstance(value, dict):
        raise DataError(f"{where}: a position and a type were required, got {value!r}")
    labels = value.get("keypointlabels")
    if not isinstance(labels, list) or len(labels) != 1 or labels[0] not in list(ERROR_TYPES):
        raise DataError(f"{where}: one type of {list(ERROR_TYPES)} was required, got {labels!r}")
    return CheckMark(
        labels[0], _percent(value, "x", where) / 100 * width, _percent(value, "y", where) / 100 * height
    )


def _percent(value: dict[str, Any], name: str, where: str) -> float:
    number = value.get(name)
    if (
        isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 100
    ):  # a NaN is in no range
        raise DataError(f"{where}: a position {name} of 0 to 100 % was required, got {number!r}")
    return float(number)
