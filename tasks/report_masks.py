"""The report on how the masks came about: checks, what came back and why, how far annotators agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.artifacts import ArtifactStore
from tasks.core.mask_quality import annotator_agreement, returns_by_error, returns_by_turn
from tasks.core.mask_turns import Checked, Turn
from tasks.core.records import DOUBLE_MASKS, MASK_TURNS, MASKS
from tasks.labelled_sets import DISPUTED
from tasks.mask_answers import marks_in
from tasks.report_page import PlainTable
from tasks.rounds import Round, require

Row = dict[str, Any]


@dataclass(frozen=True)
class MaskRows:
    """The records on the masks of a round."""

    masks: list[Row] = field(default_factory=list)
    turns: list[Row] = field(default_factory=list)
    doubles: list[Row] = field(default_factory=list)


def mask_rows(round_: Round, closing: bool) -> MaskRows:
    """The records of both sets; a closing round has no failures."""
    store: ArtifactStore = round_.open_store()
    refs = [require(round_, f"masks-{role}") for role in (("test",) if closing else ("test", "failure"))]
    return MaskRows(*([row for ref in refs for row in store.rows(ref, r)] for r in _RECORDS))


_RECORDS = (MASKS, MASK_TURNS, DOUBLE_MASKS)


def turns_of(rows: Iterable[Row]) -> list[tuple[Turn, ...]]:
    """The turns of each mask, from rows of `mask_turns`."""
    by_mask: dict[tuple[str, str], list[Turn]] = {}
    for row in sorted(rows, key=lambda row: row["turn"]):
        check = None
        if row["accepted"] is not None:
            marks = marks_in(row["marks"])
            check = Checked(row["mask_digest"], row["checker"], row["accepted"], marks)
        turn = Turn(row["turn"], row["mask_digest"], check)
        by_mask.setdefault((row["image_id"], row["role"]), []).append(turn)
    return [tuple(turns) for turns in by_mask.values()]


def mask_tables(rows: MaskRows) -> tuple[PlainTable, ...]:
    """Verdicts, what came back, and agreement."""
    turns = turns_of(rows.turns)
    return (_verdicts(rows.masks), _returns(turns), _errors(turns), _agreement(rows.doubles), _disputed(rows))


def _verdicts(masks: Sequence[Row]) -> PlainTable:
    verdicts = Counter((row["role"], row["verdict"]) for row in masks)
    return PlainTable(
        "Masks",
        "How they ended. What is in dispute is used for nothing.",
        ("set", "verdict", "masks"),
        tuple((role, verdict, str(n)) for (role, verdict), n in sorted(verdicts.items())),
        "No mask was asked for.",
    )


def _returns(turns: Iterable[Sequence[Turn]]) -> PlainTable:
    return PlainTable(
        "Masks that came back",
        "Of the masks that were checked in a turn, how many the checker sent back to their author.",
        ("turn", "checked", "came back", "share"),
        tuple(
            (str(r.turn), str(r.n_checked), str(r.n_returned), f"{r.share:.0%}")
            for r in returns_by_turn(turns)
        ),
        "No mask was checked.",
    )


def _errors(turns: Iterable[Sequence[Turn]]) -> PlainTable:
    found = {name: n for name, n in returns_by_error(turns).items() if n}
    return PlainTable(
        "Why masks came back",
        "Masks that carried at least one mark of the kind; a mask may count under several.",
        ("kind of error", "masks"),
        tuple((name, str(n)) for name, n in found.items()),
        "No mask came back.",
    )


def _agreement(doubles: Sequence[Row]) -> PlainTable:
    agreed = annotator_agreement([row["miou"] for row in doubles])
    cells = (f"{agreed.mean:.3f}", f"{agreed.least:.3f}", str(agreed.n_images), str(agreed.n_undefined))
    return PlainTable(
        "Agreement of annotators",
        "mIoU of two people's first drawings of the same images, before any check.",
        ("mean mIoU", "least", "images", "undefined"),
        (cells,) if agreed.n_images else (),
        "No image was drawn twice.",
    )


def _disputed(rows: MaskRows) -> PlainTable:
    disputed = [row for row in rows.masks if row["verdict"] == DISPUTED]
    return PlainTable(
        "For discussion",
        "Masks that were sent back in their last turn, too; author and checker should talk.",
        ("set", "image", "turns"),
        tuple((row["role"], row["image_id"], str(row["turn"])) for row in disputed),
        "No mask is in dispute.",
    )
