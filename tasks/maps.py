"""Maps at original size of the chosen images: what people see, rate and start from."""

from __future__ import annotations

from typing import Any

from configs.schema import Campaign, ModelSpec
from models.inference import predict, set_threads
from models.preprocess import decode_image
from models.weights import model_digest
from models.zoo import load_model
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.label_maps import map_digest
from tasks.core.records import DRAWING_ORDER, IMAGES, MAPS
from tasks.image_files import read_verified
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.prediction_cache import engine_of
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

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
    """Predict the planned maps at each image's own size and write them."""
    rows: list[Row] = []
    total = sum(len(image_ids) for _, _, image_ids in plan)
    with (
        LabelMapWriter(draft.folder / MAPS_FILE) as maps,
        progress("maps at full size", total, "map") as shown,
    ):
        for role, spec, image_ids in plan:
            model = load_model(spec, campaign.classes.names, campaign.predictions.device)
            for image_id in image_ids:
                image = decode_image(read_verified(uris[image_id], image_id), where=uris[image_id])
                prediction = predict(model, image, height=image.shape[0], width=image.shape[1])
                row = {"image_id": image_id, "role": role, "model": spec.name}
                row["map_digest"] = map_digest(prediction.label_map)
                rows.append(row | maps.append(prediction.label_map))
                shown.advance()
    draft.add_file(MAPS_FILE, identity=False)  # the digests of the maps are in the table
    draft.write_table(MAPS, rows)


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
