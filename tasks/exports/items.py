"""What a campaign gives its user: the labelled images of S and T, each with all that is known of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from tasks.core.records import DRAWING_ORDER, FAILURES, IMAGES, MASKS, RATINGS, TEST_SETS, Record
from tasks.image_files import read_verified
from tasks.labelled_sets import DISPUTED
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round, recall

Role = Literal["failure", "test"]
ROLE_SETS: dict[Role, tuple[str, Record]] = {
    "failure": ("failures", FAILURES),
    "test": ("test_set", TEST_SETS),
}
LIST_NAMES: dict[Role, str] = {"failure": "failures", "test": "test"}  # of lists and files in an export
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


@dataclass(frozen=True)
class ExportItem:
    """One labelled image.

    Attributes:
        image_id: digest of the image's bytes.
        stem: name of its files in the export, without a suffix; unique there, whatever the case.
        suffix: suffix of the image file, with the dot, as the source has it.
        uri: where the image is.
        height: of the image, in pixels.
        width: of the image, in pixels.
        role: whether it is in S (`failure`) or in T (`test`).
        round_number: the round that chose it.
        model_version: the model version whose map of it was rated.
        mean_opinion_score: 1 bad .. 5 excellent; None if nobody rated it.
        main_class: largest foreground class in that map, None if it has none.
        group: its scene.
        annotator: pseudonym of who drew the mask.
        verdict: `accepted` by a checker, `unchecked`, or `disputed`.
        mask: bytes of the mask as drawn: PNG, one byte per pixel, value = class index, 255 = void.
    """

    image_id: str
    stem: str
    suffix: str
    uri: str
    height: int
    width: int
    role: Role
    round_number: int
    model_version: str
    mean_opinion_score: float | None
    main_class: str | None
    group: str
    annotator: str
    verdict: str
    mask: bytes

    def read_image(self) -> bytes:
        """The bytes of the image file, unchanged.

        Raises:
            DataError: the file is gone, or is not the one that was labelled.
        """
        return read_verified(self.uri, self.image_id)

    @property
    def image_file(self) -> str:
        """Name of the image file."""
        return f"{self.stem}{self.suffix}"

    @property
    def mask_file(self) -> str:
        """Name of the mask file."""
        return f"{self.stem}.png"


@dataclass(frozen=True)
class LabelledRows:
    """What there is to export, and what is not there yet, in words."""

    items: tuple[ExportItem, ...]
    missing: tuple[str, ...]


def labelled_rows(rounds: Sequence[Round], roles: Sequence[Role]) -> LabelledRows:
    """The images of S and T of some rounds whose masks are finished, by round, role and image id.

    Raises:
        DataError: a mask is missing in the store or damaged.
    """
    found, missing = [], []
    for round_ in rounds:
        for role in roles:
            stage, record = ROLE_SETS[role]
            chosen = recall(round_, stage)
            if chosen is None:
                continue
            if recall(round_, f"masks-{role}") is None:
                n = len(round_.open_store().rows(chosen, record))
                missing.append(f"round {round_.number}: masks of the {n} images of {stage} are not finished")
                continue
            items = list(_items_of(round_, role))
            found += [item for item in items if item.verdict != DISPUTED]
            if disputed := sum(item.verdict == DISPUTED for item in items):
                missing.append(f"round {round_.number}: {disputed} mask(s) of {stage} are in dispute")
    return LabelledRows(_named_apart(found), tuple(missing))


def _items_of(round_: Round, role: Role) -> Iterator[ExportItem]:
    store, (stage, record) = round_.open_store(), ROLE_SETS[role]
    people = Pseudonyms(store)

    def rows(stage: str, record: Record) -> dict[str, dict[str, Any]]:
        ref = recall(round_, stage)
        return {} if ref is None else {row["image_id"]: row for row in store.rows(ref, record)}

    images = recall(round_, "pool")
    pool = [] if images is None else store.rows(images, IMAGES)
    known = {row["image_id"]: row for row in pool if row["dataset"] == "pool"}
    chosen, ratings, order = rows(stage, record), rows("ratings", RATINGS), rows("candidates", DRAWING_ORDER)
    masks = recall(round_, f"masks-{role}")
    for row in [] if masks is None else store.rows(masks, MASKS):
        image_id, image = row["image_id"], known[row["image_id"]]
        place = PurePosixPath(image["uri"])
        yield ExportItem(
            image_id=image_id,
            stem=_UNSAFE.sub("_", place.stem),
            suffix=place.suffix,
            uri=image["uri"],
            height=image["height"],
            width=image["width"],
            role=role,
            round_number=round_.number,
            model_version=chosen[image_id]["model_version"],
            mean_opinion_score=ratings.get(image_id, {}).get("mean_opinion_score"),
            main_class=order.get(image_id, {}).get("main_class"),
            group=image["group"],
            annotator=people.of(row["annotator"]),
            verdict=row["verdict"],
            mask=store.blob(row["mask_digest"], ".png"),
        )


def _named_apart(items: Sequence[ExportItem]) -> tuple[ExportItem, ...]:
    """The items with stems that differ, whatever the case: who shares a stem gets a part of its digest."""
    counts = Counter(item.stem.casefold() for item in items)
    return tuple(
        item if counts[item.stem.casefold()] == 1 else replace(item, stem=f"{item.stem}-{item.image_id[:12]}")
        for item in items
    )
