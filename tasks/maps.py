"""Maps at original size of the chosen images: what people see, rate and start from."""

from __future__ import annotations

from typing import Any

from configs.model_specs import ModelSpec
from configs.schema import Campaign
from models.decoding import decode_image
from models.inference import InputImage, predict, set_threads
from models.weights import model_digest
from models.zoo import load_model
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.label_maps import map_digest
from tasks.core.records import DRAWING_ORDER, IMAGES, MAPS, REJECTS
from tasks.errors import DataError
from tasks.image_files import read_verified, stem_of
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.prediction_cache import engine_of
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 2

Row = dict[str, Any]


def map_plan(
    campaign: Campaign, target: ModelSpec, order: list[Row]
) -> list[tuple[str, ModelSpec, list[str]]]:
    """Which model draws which images: (role, model, image_ids).

    The target draws every candidate; the competitor with the largest discrepancy draws it too, for the report
    and, if the config says so, as the start of a test image's mask.
    """
    plan = [("target", target, sorted(row["image_id"] for row in order))]
    for spec in campaign.competitors:
        chosen = sorted(row["image_id"] for row in order if row["competitor"] == spec.name)
        if chosen:
            plan.append(("competitor", spec, chosen))
    return plan


def write_maps(
    campaign: Campaign, plan: list[tuple[str, ModelSpec, list[str]]], uris: dict[str, str], draft: Draft
) -> None:
    """Predict the planned maps at each image's own size and write them.

    An image whose file has vanished or changed since it was predicted has a reject instead of its maps.
    """
    rows: list[Row] = []
    rejects: dict[str, Row] = {}
    total = sum(len(image_ids) for _, _, image_ids in plan)
    with (
        LabelMapWriter(draft.folder / MAPS_FILE) as maps,
        progress("maps at full size", total, "map") as shown,
    ):
        for role, spec, image_ids in plan:
            settings = campaign.predictions
            model = load_model(spec, campaign.classes.names, settings.device, settings.threads)
            for image_id in image_ids:
                shown.advance()
                uri = uris[image_id]
                try:
                    pixels = decode_image(read_verified(uri, image_id), where=uri)
                    image = InputImage(pixels, image_id, stem_of(uri))
                    prediction = predict(model, image, height=pixels.shape[0], width=pixels.shape[1])
                except DataError as error:
                    rejects[image_id] = {"stage": "maps", "item": image_id, "reason": str(error), "uri": uri}
                    continue
                row = {"image_id": image_id, "role": role, "model": spec.name}
                row["map_digest"] = map_digest(prediction.label_map)
                rows.append(row | maps.append(prediction.label_map))
    draft.add_file(MAPS_FILE, identity=False)  # the digests of the maps are in the table
    draft.write_table(MAPS, [row for row in rows if row["image_id"] not in rejects])
    draft.write_table(REJECTS, rejects.values())


@stage_task("draw maps")
def draw_maps(round_: Round, target: ModelSpec, pool: ArtifactRef, candidates: ArtifactRef) -> ArtifactRef:
    """The target's map of every candidate at original size, and that of the competitor that chose it."""
    store, campaign = round_.open_store(), round_.campaign
    settings = campaign.predictions
    models = {
        spec.name: model_digest(spec, campaign.classes.names) for spec in (target, *campaign.competitors)
    }
    key = StageKey(
        "maps",
        VERSION,
        engine_of(campaign),
        {"candidates": candidates.digest, **{f"model {name}": digest for name, digest in models.items()}},
    )

    def fill(draft: Draft) -> None:
        set_threads(settings.threads)
        uris = {row["image_id"]: row["uri"] for row in store.rows(pool, IMAGES)}
        write_maps(campaign, map_plan(campaign, target, store.rows(candidates, DRAWING_ORDER)), uris, draft)

    return remember(round_, "maps", store.make(key, fill))
