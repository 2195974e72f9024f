"""The cache of predictions: shards of maps by model and engine, read by whoever needs a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from configs.schema import Campaign, ModelSpec
from models.weights import model_digest
from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.core.digests import digest_of
from tasks.core.records import PREDICTIONS, REJECTS

Row = dict[str, Any]


def engine_of(campaign: Campaign) -> dict[str, Any]:
    """What computes: part of the key of every stage that runs or trains a network."""
    settings = campaign.predictions
    return {
        "engine": "torch",
        "engine_version": torch.__version__,
        "device": settings.device,
        "threads": settings.threads,
    }


@dataclass(frozen=True)
class PredictionCache:
    """Where one model's maps under one engine are kept; shards of it are shared by rounds and campaigns."""

    digest: str

    @classmethod
    def of(cls, campaign: Campaign, spec: ModelSpec, version: int) -> PredictionCache:
        """The cache of `spec` under the campaign's settings: everything that may change a pixel.

        Args:
            campaign: for the classes and the engine.
            spec: the model.
            version: version of the code that predicts.
        """
        how = {"comparison_size": campaign.predictions.comparison_size, "version": version}
        return cls(digest_of([model_digest(spec, campaign.classes.names), engine_of(campaign) | how]))

    @property
    def stage(self) -> str:
        """Folder of its shards."""
        return f"predictions/{self.digest[:24]}"


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


def maps_of(store: ArtifactStore, predictions: ArtifactRef) -> dict[str, Row]:
    """Rows of a prediction set by image_id, each with the place of its map as it is now."""
    cache = PredictionCache(store.marker(predictions)["inputs"]["cache"])
    held, _ = cached_predictions(store, cache)
    return {row["image_id"]: held[row["image_id"]] for row in store.rows(predictions, PREDICTIONS)}
