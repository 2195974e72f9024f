"""Label Studio's answers as plain records: what a rating or a set of brush regions says. Pure.

The server checks nothing of an answer: any member may send anything, through the browser or around it. What
is not exactly what our screens produce is refused here, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tasks.errors import DataError
from tasks.services.label_studio_screens import BRUSH, IMAGE, OUT_OF_DOMAIN, RATING

_SCORES = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
_RGBA = 4


@dataclass(frozen=True)
class Answer:
    """One annotation as the server has it now.

    Attributes:
        annotation_id: id that stays when the answer is edited.
        task_id: id of the task; changes when the task is imported anew.
        key: our own identity of the task, from its data.
        data: the task's data.
        completed_by: user id of who is named as the author; None if that account was deleted.
        updated_by: user id of who changed it last, None if the server does not say. Any member can name
            another as author or edit another's answer: differs from `completed_by` then.
        was_cancelled: whether the task was skipped; `result` is then no answer.
        result: the regions and choices.
        lead_time: seconds the author had the task open, None if not sent.
        created_at: when it was first sent, the server's clock.
        updated_at: when it was last changed, the server's clock.
    """

    annotation_id: int
    task_id: int
    key: str
    data: dict[str, Any]
    completed_by: int | None
    updated_by: int | None
    was_cancelled: bool
    result: list[dict[str, Any]]
    lead_time: float | None
    created_at: datetime
    updated_at: datetime

    def is_by(self, accounts: Collection[int]) -> bool:
        """Whether one of these users, all the same person's, gave the answer and nobody else changed it."""
        return self.completed_by in accounts and (self.updated_by is None or self.updated_by in accounts)

    @property
    def authors(self) -> str:
        """Who gave and who changed the answer, for messages."""
        return f"submitted by user {self.completed_by}, last changed by user {self.updated_by}"


@dataclass(frozen=True)
class ParsedRating:
    """A valid rating: a score of 1..5, or None for an image that is out of domain."""

    score: int | None
    out_of_domain: bool


@dataclass(frozen=True)
class NoRating:
    """Why an answer is no rating: it was skipped, is empty, or is not what the screen sends."""

    reason: str


@dataclass(frozen=True)
class Region:
    """One brush region.

    Attributes:
        label: class name.
        rle: brush stream as the server has it, of an image of the checked size.
        is_human: whether a person drew or changed it; an untouched pre-annotation is not human.
    """

    label: str
    rle: list[int]
    is_human: bool


def parse_rating(answer: Answer) -> ParsedRating | NoRating:
    """The rating in an answer, or why there is none.

    Counts only with exactly one choice of the control `rating`; nobody's answer is guessed.
    """
    if answer.was_cancelled:
        return NoRating("skipped")
    if not answer.result:
        return NoRating("empty")
    ratings = [item for item in answer.result if isinstance(item, dict) and item.get("from_name") == RATING]
    choices = [choice for item in ratings for choice in _list_in(_value_of(item), "choices")]
    if len(ratings) != 1 or len(choices) != 1:
        return NoRating(f"one `{RATING}` with one choice was required, got {len(ratings)} with {choices!r}")
    if choices[0] == OUT_OF_DOMAIN:
        return ParsedRating(score=None, out_of_domain=True)
    if not isinstance(choices[0], str) or choices[0] not in _SCORES:
        return NoRating(f"a choice of 1 to 5 or {OUT_OF_DOMAIN} was required, got {choices[0]!r}")
    return ParsedRating(score=_SCORES[choices[0]], out_of_domain=False)


def brush_result(
    regions: Sequence[tuple[str, list[int]]], *, width: int, height: int
) -> list[dict[str, Any]]:
    """The `result` of a prediction that shows a map as editable brush regions.

    Args:
        regions: class name and brush stream with alpha 255, from `tasks.core.brush_masks.regions_of`.
        width: of the image that is shown, px.
        height: of the image that is shown, px.
    """
    return [
        {
            "id": f"r{index:03d}",
            "from_name": BRUSH,
            "to_name": IMAGE,
            "type": "brushlabels",
            "origin": "prediction",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": rle, "brushlabels": [name]},
        }
        for index, (name, rle) in enumerate(regions)
    ]


def parse_regions(result: Sequence[dict[str, Any]], *, height: int, width: int, where: str) -> list[Region]:
    """The brush regions of an answer, in its order.

    Args:
        result: of the answer.
        height: of the image that was shown, px.
        width: of the image that was shown, px.
        where: names the answer in errors, for example "annotation 12 of image ab12".

    Raises:
        DataError: another control than the brush, not exactly one label, a rotated image, or a size other
            than the image's (Label Studio wraps such regions round silently).
    """
    return [_region(item, height, width, f"{where}, region {i + 1}") for i, item in enumerate(result)]


def _value_of(item: dict[str, Any]) -> dict[str, Any]:
    """What a control says; the server keeps whatever was posted, so it may be anything."""
    value = item.get("value")
    return value if isinstance(value, dict) else {}


def _list_in(value: dict[str, Any], name: str) -> list[Any]:
    entries = value.get(name)
    return entries if isinstance(entries, list) else []


def _region(item: Any, height: int, width: int, where: str) -> Region:
    if not isinstance(item, dict):
        raise DataError(f"{where}: a brush region was required, got {item!r}. Label the image again.")
    if item.get("type") != "brushlabels" or item.get("from_name") != BRUSH:
        kind = f"{item.get('type')!r} of {item.get('from_name')!r}"
        raise DataError(
            f"{where}: a brush region of `{BRUSH}` was required, got {kind}. Label the image again."
        )
    value = _value_of(item)
    labels = value.get("brushlabels")
    if not isinstance(labels, list) or len(labels) != 1:
        raise DataError(f"{where}: exactly one label was required, got {labels!r}. Give it one class.")
    if item.get("image_rotation", 0) != 0:
        raise DataError(
            f"{where}: an unrotated image was required, got a rotation of {item['image_rotation']} degrees. "
            "Label the image again without turning it."
        )
    rle = value.get("rle")
    if (
        value.get("format") != "rle"
        or not isinstance(rle, list)
        or not all(type(v) is int and 0 <= v <= 255 for v in rle)
    ):
        raise DataError(f"{where}: a brush stream of bytes was required, got {value.get('format')!r}.")
    size = (item.get("original_height"), item.get("original_width"))
    declared = int.from_bytes(bytes(rle[:4]), "big")  # of a shorter stream too: it fits no image then
    if size != (height, width) or declared != height * width * _RGBA:
        raise DataError(
            f"{where}: a region of {height} x {width} px was required, got {size[0]} x {size[1]} px with "
            f"{declared // _RGBA} pixels in its stream. The image was replaced or shown in another size; "
            "publish the task again."
        )
    return Region(label=str(labels[0]), rle=rle, is_human=item.get("origin") != "prediction")
