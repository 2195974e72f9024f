"""Drawings and checks of Label Studio as rows of their logs, and the logs as what was drawn and checked."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.answer_log import VALID, read_log
from tasks.artifacts import ArtifactStore
from tasks.core.brush_masks import BrushRegion, compose_mask
from tasks.core.check_marks import CheckMark
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap
from tasks.core.mask_turns import Checked, Drawn
from tasks.core.records import CHECKS, DRAWINGS
from tasks.core.rle import decode_brush
from tasks.errors import DataError
from tasks.pictures import encode_mask_png
from tasks.rounds import Round
from tasks.services.label_studio_answers import Answer, parse_regions
from tasks.services.label_studio_checks import NoCheck, parse_check

DRAWING_FIELDS = ("image_id", "role", "copy", "turn", "start")  # of the data of a task to draw
CHECK_FIELDS = ("image_id", "role", "mask_digest")  # of the data of a task to check

Row = dict[str, Any]
Subject = tuple[str, str, int]  # image_id, role, copy


def drawing_key(data: Mapping[str, Any], author: str) -> str:
    """Our own key of a task to draw: the same is never published twice, and a task that was changed is known.

    Args:
        data: of the task; `DRAWING_FIELDS` are read.
        author: whose project it is in.
    """
    return digest_of(["mask", *(data.get(name) for name in DRAWING_FIELDS), author])[:32]


def check_key(data: Mapping[str, Any], checker: str) -> str:
    """Our own key of a task to check, as for `drawing_key`; only copy 0 of a mask is checked."""
    image_id, role, mask_digest = (data.get(name) for name in CHECK_FIELDS)
    return digest_of(["check", image_id, role, 0, mask_digest, checker])[:32]


@dataclass(frozen=True)
class Canvas:
    """What a mask is drawn on.

    Attributes:
        names: class names, index 0 first.
        base: the map the annotator started from, None for an empty one.
        shape: height and width of the image in pixels.
    """

    names: Sequence[str]
    base: LabelMap | None
    shape: tuple[int, int]


def drawing_row(store: ArtifactStore, answer: Answer, annotator: str, canvas: Canvas) -> Row:
    """A drawing of Label Studio as a row of the log, its mask kept as a blob.

    A drawing that cannot be used keeps its place in the log with the reason as its state.
    """
    row: Row = {name: answer.data[name] for name in DRAWING_FIELDS}
    row |= {
        "annotator": annotator,
        "annotation_id": answer.annotation_id,
        "seconds": answer.lead_time,
        "submitted_at": answer.updated_at.isoformat(),
        "state": VALID,
    }
    if answer.was_cancelled:
        return row | {"state": "skipped"}
    if not answer.result:
        return row | {"state": "empty"}
    height, width = canvas.shape
    try:
        where = f"annotation {answer.annotation_id} by {annotator}"
        regions = [
            BrushRegion(r.label, decode_brush(r.rle, height=height, width=width), r.is_human)
            for r in parse_regions(answer.result, height=height, width=width, where=where)
        ]
        mask = compose_mask(regions, names=canvas.names, base=canvas.base, height=height, width=width)
    except (DataError, ValueError) as error:
        return row | {"state": f"malformed: {error}"}
    digest = store.put_blob(encode_mask_png(mask.label_map), ".png")
    return row | {"mask_digest": digest, "uncovered_px": mask.uncovered_px, "conflict_px": mask.conflict_px}


def check_row(answer: Answer, checker: str, shape: tuple[int, int]) -> Row:
    """A check of Label Studio as a row of the log; what is no check says so in its state."""
    parsed = parse_check(answer, height=shape[0], width=shape[1])
    row: Row = {name: answer.data[name] for name in CHECK_FIELDS}
    row |= {
        "checker": checker,
        "annotation_id": answer.annotation_id,
        "seconds": answer.lead_time,
        "submitted_at": answer.updated_at.isoformat(),
    }
    if isinstance(parsed, NoCheck):
        skipped = parsed.reason in ("skipped", "empty")
        return row | {"state": parsed.reason if skipped else f"malformed: {parsed.reason}"}
    return row | {"state": VALID, "accepted": parsed.accepted, "marks": marks_text(parsed.marks)}


def marks_text(marks: Iterable[CheckMark]) -> str:
    """Marks as they stand in a log."""
    return json.dumps([asdict(mark) for mark in marks])


def marks_in(text: str) -> tuple[CheckMark, ...]:
    """The marks behind `marks_text`."""
    return tuple(CheckMark(**mark) for mark in json.loads(text))


@dataclass(frozen=True)
class MaskLog:
    """All drawings and checks of a campaign, oldest first, by what they are of.

    A check is of a mask, and a mask of the subjects it was drawn for: the same pixels need no second check.
    """

    drawings: dict[Subject, list[Row]] = field(default_factory=dict)
    checks: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    @classmethod
    def of(cls, drawings: Iterable[Row], checks: Iterable[Row]) -> MaskLog:
        """From rows of the two logs, oldest first."""
        by_subject, by_image = defaultdict(list), defaultdict(list)
        for row in drawings:
            # Drawings from before masks were checked had one turn and one copy.
            by_subject[(row["image_id"], row["role"], row.get("copy") or 0)].append(row)
        for row in checks:
            by_image[(row["image_id"], row["role"])].append(row)
        return cls(dict(by_subject), dict(by_image))

    @classmethod
    def read(cls, round_: Round) -> MaskLog:
        """From the campaign's store."""
        return cls.of(read_log(round_, DRAWINGS), read_log(round_, CHECKS))

    def drawn(self, subject: Subject) -> list[Drawn]:
        """The valid drawings of a mask."""
        return [
            Drawn(row.get("turn") or 1, row["start"], row["mask_digest"], row["annotator"])
            for row in self.drawings.get(subject, ())
            if row["state"] == VALID
        ]

    def checked(self, subject: Subject) -> list[Checked]:
        """The valid checks of an image in a role."""
        return [
            Checked(row["mask_digest"], row["checker"], row["accepted"], marks_in(row["marks"]))
            for row in self.checks.get(subject[:2], ())
            if row["state"] == VALID
        ]

    def author(self, subject: Subject, start: str) -> str | None:
        """Who first drew a valid mask on this start; None if nobody has."""
        return next((d.author for d in self.drawn(subject) if (d.turn, d.start) == (1, start)), None)

    def checkers(self, subject: Subject) -> set[str]:
        """Everybody who has checked a mask of an image in a role."""
        return {check.checker for check in self.checked(subject)}

    def drawing(self, subject: Subject, mask_digest: str) -> Row:
        """The newest valid drawing that gave this mask."""
        valid = [
            row
            for row in self.drawings[subject]
            if row["state"] == VALID and row["mask_digest"] == mask_digest
        ]
        return valid[-1]

    @property
    def n_valid(self) -> int:
        """Valid answers of both kinds."""
        rows = (row for of in (self.drawings, self.checks) for listed in of.values() for row in listed)
        return sum(row["state"] == VALID for row in rows)
