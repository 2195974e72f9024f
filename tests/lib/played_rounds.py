"""A round played to its masks by hand: real images, answers and drawings, no network and no service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.answer_log import append_to_log
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.label_maps import VOID, LabelMap, map_digest
from tasks.core.mask_turns import Assignment
from tasks.core.records import (
    ANSWERS,
    CANDIDATES,
    CHECKS,
    DRAWING_ORDER,
    DRAWINGS,
    FAILURES,
    IMAGES,
    MAPS,
    MASKS,
    RATED_ANSWERS,
    RATING_PLAN,
    RATINGS,
    REJECTS,
    TEST_SETS,
    Record,
)
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.mask_answers import MaskLog
from tasks.mask_plan import PlannedMask, Role
from tasks.masks import mask_row
from tasks.pictures import encode_mask_png
from tasks.pool import list_images
from tasks.rating_answers import valid_answers
from tasks.rating_plan import plan_ratings
from tasks.ratings import rate, rated_answers
from tasks.rounds import Round, remember, require, save_campaign
from tests.lib.written_campaigns import HEIGHT, WIDTH, png, round_of, write_file, write_labelled

# Two images share their name, in two folders, one of them in capitals: an export must tell them apart.
FILES = ("north/street.png", "south/STREET.png", "alley.png", "bridge.png", "crossing.png", "dock.png")
TEST_FILES, FAILURE_FILES = FILES[:2], FILES[2:4]

Row = dict[str, Any]


def true_mask(seed: int) -> NDArray[np.uint8]:
    """A mask with all three classes and some void, another one for each seed."""
    mask = np.random.default_rng(seed).integers(0, 3, (HEIGHT, WIDTH), dtype=np.uint8)
    mask[:4] = 1
    mask[-2:, : 3 + seed] = VOID
    return mask


def made(
    round_: Round, stage: str, tables: dict[Record, Iterable[Row]], name: str | None = None, **inputs: str
) -> ArtifactRef:
    """An artefact of these tables, remembered as the round's `stage`."""

    def fill(draft: Draft) -> None:
        for record, rows in tables.items():
            draft.write_table(record, [row | round_.labels for row in rows])

    key = StageKey(name or stage, 1, {"round": round_.number, "stage": stage}, inputs)
    return remember(round_, stage, round_.open_store().make(key, fill))


def mined_round(root: Path, **changes: Any) -> Round:
    """Round 1 with six candidates and their maps; nobody was asked yet."""
    for number, file in enumerate(FILES):
        write_file(root / "pool" / file, png(number))
    write_labelled(root / "training", "t1", 100)
    write_labelled(root / "familiar", "f1", 200)
    write_labelled(root / "familiar", "f2", 201)
    masks = {"annotators": ["zoe", "yan"], "double_share": 0}
    people = {"ratings": {"raters": ["ann", "ben"]}, "masks": masks}
    round_ = round_of(root, **(people | changes))
    save_campaign(round_.open_store(), round_.campaign)
    pool = list_images.fn(round_)
    ids = image_ids(round_, pool)
    candidates = [
        {"image_id": i, "competitor": "rival", "side": "target", "class_name": "disc"} for i in ids.values()
    ]
    order = [{"position": n, "image_id": i, "main_class": "disc"} for n, i in enumerate(ids.values())]
    made(round_, "candidates", {CANDIDATES: candidates, DRAWING_ORDER: order})
    made_maps(round_, {image_id: true_mask(50 + number) for number, image_id in enumerate(ids.values())})
    return round_


def played_round(root: Path, *, has_masks: bool = True) -> Round:
    """That round with two test images, two failures, and their masks drawn."""
    round_ = mined_round(root, ratings={"raters": ["ann", "ben"], "repeat_share": 0, "gold_share": 0})
    ids = image_ids(round_, require(round_, "pool"))
    plan_ratings.fn(round_, require(round_, "pool"), require(round_, "maps"))
    _rated(round_, require(round_, "maps"))
    for stage, record, files in (("test_set", TEST_SETS, TEST_FILES), ("failures", FAILURES, FAILURE_FILES)):
        chosen = [{"image_id": ids[file], "model_version": "target"} for file in files]
        made(round_, stage, {record: chosen})
    _drawn(round_, {ids[file]: ("test", n) for n, file in enumerate(TEST_FILES)}, has_masks)
    _drawn(round_, {ids[file]: ("failure", n + 2) for n, file in enumerate(FAILURE_FILES)}, has_masks)
    return round_


def image_ids(round_: Round, pool: ArtifactRef) -> dict[str, str]:
    """File -> image id of the round's pool."""
    rows = [row for row in round_.open_store().rows(pool, IMAGES) if row["dataset"] == "pool"]
    return {file: row["image_id"] for row in rows for file in FILES if row["uri"].endswith(f"pool/{file}")}


def made_maps(round_: Round, shown: Mapping[str, LabelMap]) -> ArtifactRef:
    """The target's maps, by image id, remembered as the round's."""

    def fill(draft: Draft) -> None:
        rows = []
        with LabelMapWriter(draft.folder / MAPS_FILE) as maps:
            for image_id, label_map in shown.items():
                digest = {"image_id": image_id, "role": "target", "map_digest": map_digest(label_map)}
                rows.append(digest | maps.append(label_map) | round_.labels)
        draft.add_file(MAPS_FILE, identity=False)
        draft.write_table(MAPS, rows)
        draft.write_table(REJECTS, [])

    return remember(round_, "maps", round_.open_store().make(StageKey("maps", 1), fill))


def _rated(round_: Round, maps: ArtifactRef) -> None:
    answers = [
        {
            "image_id": row["image_id"], "map_digest": row["map_digest"], "rater": rater, "repeat": 0,
            "annotation_id": 10 * n + m, "score": 1 + n % 5, "out_of_domain": False, "seconds": 5.0,
            "submitted_at": f"2026-01-01T10:{n:02d}:{m:02d}+00:00", "state": "valid",
        }
        for n, row in enumerate(round_.open_store().rows(maps, MAPS))
        for m, rater in enumerate(round_.campaign.ratings.raters)
    ]  # fmt: skip
    append_to_log(round_, ANSWERS, [answer | round_.labels for answer in answers])
    planned = round_.open_store().rows(require(round_, "rating_plan"), RATING_PLAN)
    used = rated_answers(planned, valid_answers(answers))
    tables: dict[Record, Iterable[Row]] = {RATINGS: rate(used, "target"), RATED_ANSWERS: used}
    made(round_, "ratings", tables, maps=maps.digest)


def _drawn(round_: Round, images: dict[str, tuple[str, int]], has_masks: bool) -> None:
    """Draw masks of one role: image id -> role and seed of the mask."""
    store, rows = round_.open_store(), []
    for number, (image_id, (role, seed)) in enumerate(images.items()):
        digest = store.put_blob(encode_mask_png(true_mask(seed)), ".png")
        rows.append(
            {
                "image_id": image_id, "role": role, "copy": 0, "turn": 1, "start": "s",
                "mask_digest": digest, "annotator": "yan",
                "annotation_id": 100 + 10 * seed + number, "uncovered_px": 0, "conflict_px": 0,
                "seconds": 60.0, "submitted_at": f"2026-01-02T10:{seed:02d}:00+00:00", "state": "valid",
            }
        )  # fmt: skip
    append_to_log(round_, DRAWINGS, [row | round_.labels for row in rows])
    checks = [
        {
            "image_id": row["image_id"], "role": row["role"], "mask_digest": row["mask_digest"],
            "checker": "zoe", "annotation_id": 1000 + row["annotation_id"], "accepted": True, "marks": "[]",
            "seconds": 20.0, "submitted_at": row["submitted_at"], "state": "valid",
        }
        for row in rows
    ]  # fmt: skip
    append_to_log(round_, CHECKS, [row | round_.labels for row in checks])
    if has_masks:
        log = MaskLog.of(rows, checks)
        role: Role = "test" if rows[0]["role"] == "test" else "failure"
        masks = [
            mask_row(PlannedMask(row["image_id"], role, 0, Assignment("yan", ("zoe",), "s", 1)), log)
            for row in rows
        ]
        made(round_, f"masks-{role}", {MASKS: masks}, "masks", role=role)
