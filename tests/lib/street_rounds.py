"""Mined rounds of street scenes, for people at a real browser: pictures on which one sees what one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.core.records import CANDIDATES, DRAWING_ORDER, FAILURES, IMAGES, TEST_SETS
from tasks.mask_plan import Sources
from tasks.pool import list_images
from tasks.rounds import Round, require, save_campaign
from tests.lib.played_rounds import made, made_maps
from tests.lib.street_scenes import COLOURS, NAMES, Scene, scene
from tests.lib.written_campaigns import encoded, round_of, write_file, write_labelled


def street_round(root: Path, name: str, n_scenes: int, **changes: Any) -> tuple[Round, dict[str, Scene]]:
    """Round 1 with that many candidates and their maps, and its scenes by image id.

    Args:
        root: where everything lies.
        name: of the campaign.
        n_scenes: number of candidates.
        changes: sections of the campaign.
    """
    scenes = [scene(seed) for seed in range(1, n_scenes + 1)]
    for number, made_scene in enumerate(scenes):
        write_file(root / "pool" / f"street{number:02d}.png", encoded(made_scene.image))
    write_labelled(root / "training", "t1", 100)
    write_labelled(root / "familiar", "f1", 200)
    classes = {"names": list(NAMES), "colours": [list(c) for c in COLOURS], "background": "road"}
    round_ = round_of(root, name=name, classes=classes, **changes)
    save_campaign(round_.open_store(), round_.campaign)
    pool = list_images.fn(round_)
    rows = [row for row in round_.open_store().rows(pool, IMAGES) if row["dataset"] == "pool"]
    by_id = {row["image_id"]: scenes[int(Path(row["uri"]).stem.removeprefix("street"))] for row in rows}
    why = {"competitor": "rival", "side": "target", "class_name": "car"}
    order = [{"position": n, "image_id": i, "main_class": "car"} for n, i in enumerate(by_id)]
    made(round_, "candidates", {CANDIDATES: [{"image_id": i} | why for i in by_id], DRAWING_ORDER: order})
    made_maps(round_, {image_id: one.shown for image_id, one in by_id.items()})
    return round_, by_id


def mask_sources(round_: Round, failures: list[str]) -> Sources:
    """What the masks of a round are drawn on: these failures, and no test images."""
    rows = [{"image_id": image_id, "model_version": "target"} for image_id in failures]
    return Sources(
        pool=require(round_, "pool"),
        maps=require(round_, "maps"),
        failures=made(round_, "failures", {FAILURES: rows}),
        test_set=made(round_, "test_set", {TEST_SETS: []}),
    )
