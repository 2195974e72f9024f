"""Predictions: every model's map of every pool image, computed once per (model digest, image) and kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from configs.schema import Campaign, ModelSpec
from models.inference import predict, set_threads
from models.preprocess import comparison_shape, decode_image
from models.weights import model_digest
from models.zoo import LoadedModel, load_model
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.label_maps import map_digest
from tasks.core.records import IMAGES, PREDICTIONS, REJECTS
from tasks.errors import DataError
from tasks.image_files import read_verified
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.progress import Progress, progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

Row = dict[str, Any]


@dataclass(frozen=True)
class PredictionCache:
    """Where one model's maps under one engine are kept; shards of it are shared by rounds and campaigns."""

    digest: str

    @classmethod
    def of(cls, campaign: Campaign, spec: ModelSpec) -> PredictionCache:
        """The cache of `spec` under the campaign's settings: everything that may change a pixel of a map."""
        settings = campaign.predictions
        engine = {
            "engine": "torch",
            "engine_version": torch.__version__,
            "device": settings.device,
            "threads": settings.threads,
            "comparison_size": settings.comparison_size,
            "version": VERSION,
        }
        return cls(digest_of([model_digest(spec, campaign.classes.names), engine]))

    @property
    def stage(self) -> str:
        """Folder of its shards."""
        return f"predictions/{self.digest[:24]}"


def predict_shard(
    model: LoadedModel, campaign: Campaign, images: list[Row], shown: Progress, draft: Draft
) -> None:
    """Write the maps of some images, at comparison size, and their uncertainty; unusable images are rejected."""
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


def cached_predictions(store: ArtifactStore, cache: PredictionCache) -> tuple[dict[str, Row], list[Row]]:
    """All predictions of a cache by image_id, each with the folder its map is in; and all rejects."""
    predicted: dict[str, Row] = {}
    rejected: list[Row] = []
    for ref in store.found_under(cache.stage):
        for row in store.rows(ref, PREDICTIONS):
            # Two runners may both have predicted an image: the maps are equal, one of them serves.
            predicted.setdefault(row["image_id"], row | {"maps_folder": ref.folder})
        rejected.extend(store.rows(ref, REJECTS))
    return predicted, rejected


def fill_cache(round_: Round, spec: ModelSpec, images: list[Row]) -> PredictionCache:
    """Predict whatever images the cache does not hold yet, shard by shard; a crash costs one shard at most."""
    campaign, store = round_.campaign, round_.open_store()
    cache = PredictionCache.of(campaign, spec)
    held, rejected = cached_predictions(store, cache)
    done = held.keys() | {row["item"] for row in rejected}
    missing = [row for row in images if row["image_id"] not in done]
    if not missing:
        return cache
    set_threads(campaign.predictions.threads)
    model = load_model(spec, campaign.classes.names, campaign.predictions.device)
    with progress(f"predictions of {spec.name}", len(missing), "image") as shown:
        for shard in _shards(missing, campaign.predictions.shard_size):
            shard_id = digest_of([row["image_id"] for row in shard])
            fill = partial(predict_shard, model, campaign, shard, shown)
            store.make(StageKey(cache.stage, VERSION, {}, {"images": shard_id}), fill)
    return cache


def _shards(rows: list[Row], size: int) -> Iterable[list[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@stage_task("predict pool")
def predict_pool(round_: Round, spec: ModelSpec, pool: ArtifactRef) -> ArtifactRef:
    """The maps of one model for the round's pool: what is cached is taken from there, the rest computed."""
    store = round_.open_store()
    images = [row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]
    cache = fill_cache(round_, spec, images)
    wanted = {row["image_id"] for row in images}
    key = StageKey(
        "prediction_sets", VERSION, {}, {"cache": cache.digest, "images": digest_of(sorted(wanted))}
    )

    def fill(draft: Draft) -> None:
        held, rejected = cached_predictions(store, cache)
        draft.write_table(PREDICTIONS, [row for image_id, row in held.items() if image_id in wanted])
        draft.write_table(REJECTS, [row for row in rejected if row["item"] in wanted])

    return remember(round_, f"predictions-{spec.name}", store.make(key, fill))
