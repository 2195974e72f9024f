"""Predictions: every model's map of every pool image, computed once per (model digest, image) and kept."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from configs.schema import Campaign, ModelSpec
from models.inference import predict, set_threads
from models.preprocess import comparison_shape, decode_image
from models.zoo import LoadedModel, load_model
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.label_maps import map_digest
from tasks.core.records import IMAGES, PREDICTIONS, REJECTS
from tasks.errors import DataError
from tasks.image_files import read_verified
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.prediction_cache import PredictionCache, cached_predictions
from tasks.progress import Progress, progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

Row = dict[str, Any]


def predict_shard(
    model: LoadedModel, campaign: Campaign, images: list[Row], shown: Progress, draft: Draft
) -> None:
    """Write the maps of some images, at comparison size, and their uncertainty; reject what is unusable."""
    predicted: list[Row] = []
    rejected: list[Row] = []
    with LabelMapWriter(draft.folder / MAPS_FILE) as maps:
        for row in images:
            shown.advance()
            try:
                image = decode_image(read_verified(row["uri"], row["image_id"]), where=row["uri"])
            except DataError as error:
                rejected.append(
                    {"stage": "predictions", "item": row["image_id"], "reason": str(error), "uri": row["uri"]}
                )
                continue
            height, width = comparison_shape(
                image.shape[0], image.shape[1], campaign.predictions.comparison_size
            )
            prediction = predict(model, image, height=height, width=width)
            predicted.append(
                {
                    "image_id": row["image_id"],
                    "map_digest": map_digest(prediction.label_map),
                    "entropy_mean": prediction.entropy_mean,
                    "entropy_p95": prediction.entropy_p95,
                    "uncertainty_mean": prediction.uncertainty_mean,
                    "uncertainty_p95": prediction.uncertainty_p95,
                }
                | maps.append(prediction.label_map)
            )
    draft.add_file(MAPS_FILE, identity=False)  # the digests of the maps are in the table
    draft.write_table(PREDICTIONS, predicted)
    draft.write_table(REJECTS, rejected)


def fill_cache(round_: Round, spec: ModelSpec, images: list[Row]) -> PredictionCache:
    """Predict the images that the cache does not hold, shard by shard; a crash costs one shard at most."""
    campaign, store = round_.campaign, round_.open_store()
    cache = PredictionCache.of(campaign, spec, VERSION)
    held, rejected = cached_predictions(store, cache)
    failed = {_place(row["item"], row["uri"]) for row in rejected}
    missing = [
        row
        for row in images
        if row["image_id"] not in held and _place(row["image_id"], row["uri"]) not in failed
    ]
    if not missing:
        return cache
    set_threads(campaign.predictions.threads)
    model = load_model(spec, campaign.classes.names, campaign.predictions.device)
    with progress(f"predictions of {spec.name}", len(missing), "image") as shown:
        for shard in _shards(missing, campaign.predictions.shard_size):
            shard_id = digest_of([_place(row["image_id"], row["uri"]) for row in shard])
            fill = partial(predict_shard, model, campaign, shard, shown)
            store.make(StageKey(cache.stage, VERSION, {}, {"images": shard_id}), fill)
    return cache


def _place(image_id: str, uri: str) -> tuple[str, str]:
    """What a rejection is about: the same image may be intact at another place, in another campaign."""
    return image_id, uri


def _shards(rows: list[Row], size: int) -> Iterable[list[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@stage_task("check models")
def check_models(round_: Round, specs: list[ModelSpec]) -> None:
    """Load every model once, so that a wrong one is refused before any other has been run over the pool.

    Raises:
        DataError: a file is missing or damaged, has another digest, or the model has other classes.
    """
    for spec in specs:
        load_model(spec, round_.campaign.classes.names, round_.campaign.predictions.device)


@stage_task("predict pool")
def predict_pool(round_: Round, spec: ModelSpec, pool: ArtifactRef) -> ArtifactRef:
    """The maps of one model for the round's pool: what is cached is taken from there, the rest computed."""
    store = round_.open_store()
    images = [row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]
    cache = fill_cache(round_, spec, images)
    wanted = {row["image_id"] for row in images}
    places = {_place(row["image_id"], row["uri"]) for row in images}
    key = StageKey(
        "prediction_sets", VERSION, {}, {"cache": cache.digest, "images": digest_of(sorted(places))}
    )

    def fill(draft: Draft) -> None:
        held, rejected = cached_predictions(store, cache)
        # Where a map lies is asked of the cache again whenever it is read: a shard may have been made anew.
        nowhere = {"maps_folder": None, "offset": None, "size_bytes": None}
        rows = [row | nowhere for image_id, row in held.items() if image_id in wanted]
        draft.write_table(PREDICTIONS, rows)
        failed = {row["item"]: row for row in rejected if _place(row["item"], row["uri"]) in places}
        draft.write_table(REJECTS, [row for image_id, row in failed.items() if image_id not in held])

    return remember(round_, f"predictions-{spec.name}", store.make(key, fill))
