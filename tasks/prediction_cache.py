"""The caches of a pass over the pool: maps by model and engine, joint histograms by pair of models.

Both are kept in shards, for all rounds and campaigns of a store.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from configs.model_specs import ModelSpec, Onnx, can_be_trained
from configs.schema import Campaign
from models.weights import model_digest
from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap
from tasks.core.records import HISTOGRAMS, PREDICTIONS, REJECTS
from tasks.label_map_files import MAPS_FILE, read_label_map

MAPS_VERSION = 2  # of the code that predicts over the pool
HISTOGRAMS_VERSION = 1

Row = dict[str, Any]


def engine_of(campaign: Campaign) -> dict[str, Any]:
    """What computes outside of the pool: part of the key of every stage that trains or judges a network."""
    settings = campaign.predictions
    return {
        "engine": "torch",
        "engine_version": torch.__version__,
        "device": settings.device,
        "threads": settings.threads,
    }


def pool_engine_of(campaign: Campaign, spec: ModelSpec, *, by_onnx: bool) -> dict[str, Any]:
    """What computes a model's maps over the pool, one thread each.

    Args:
        campaign: for the device.
        spec: the model.
        by_onnx: whether a torch network runs in ONNX Runtime.
    """
    if by_onnx or isinstance(spec, Onnx):
        version = importlib.metadata.version("onnxruntime")
        return {"engine": "onnxruntime", "engine_version": version, "device": "cpu", "threads": 1}
    if can_be_trained(spec):
        return engine_of(campaign) | {"threads": 1}
    return {"engine": "files"}


@dataclass(frozen=True)
class PredictionCache:
    """Where one model's maps under one engine are kept."""

    digest: str

    @classmethod
    def of(cls, campaign: Campaign, spec: ModelSpec, *, by_onnx: bool) -> PredictionCache:
        """The cache of `spec` under the campaign's settings: everything that may change a pixel."""
        how = pool_engine_of(campaign, spec, by_onnx=by_onnx)
        how |= {"comparison_size": campaign.predictions.comparison_size, "version": MAPS_VERSION}
        return cls(digest_of([model_digest(spec, campaign.classes.names), how]))

    @property
    def stage(self) -> str:
        """Folder of its shards."""
        return f"predictions/{self.digest[:24]}"


@dataclass(frozen=True)
class HistogramCache:
    """Where the joint histograms of one pair of models are kept, the target's classes as rows."""

    digest: str

    @classmethod
    def of(cls, target: PredictionCache, competitor: PredictionCache, n_classes: int) -> HistogramCache:
        """The cache of a pair, for a campaign of `n_classes` classes."""
        return cls(digest_of([target.digest, competitor.digest, n_classes, HISTOGRAMS_VERSION]))

    @property
    def stage(self) -> str:
        """Folder of its shards."""
        return f"joint_histograms/{self.digest[:24]}"


@dataclass(frozen=True, slots=True)
class StoredMap:
    """Where a map lies in the store: `folder` of the shard, and the place in its file."""

    folder: str
    offset: int
    size_bytes: int
    height: int
    width: int

    @classmethod
    def of(cls, row: Row) -> StoredMap:
        """The place that a row of `cached_predictions` names."""
        return cls(row["maps_folder"], row["offset"], row["size_bytes"], row["height"], row["width"])

    def read(self, store: ArtifactStore) -> LabelMap:
        """The map, (height, width) uint8.

        Raises:
            DataError: the file is gone, or damaged there.
        """
        return read_label_map(
            store.storage.local_path(f"{self.folder}/{MAPS_FILE}"),
            {name: getattr(self, name) for name in ("offset", "size_bytes", "height", "width")},
        )


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


def cached_histograms(
    store: ArtifactStore, cache: HistogramCache, only: Iterable[str]
) -> dict[str, list[int]]:
    """The joint histograms of a cache, flat, by image_id; those of the images in `only`."""
    wanted, held = set(only), {}
    for ref in store.found_under(cache.stage):
        table = store.table(ref, HISTOGRAMS)
        for position, image_id in enumerate(table["image_id"].to_pylist()):
            if image_id in wanted and image_id not in held:
                held[image_id] = table["joint_px"][position].as_py()
    return held


def images_with_histograms(store: ArtifactStore, cache: HistogramCache) -> set[str]:
    """The images whose joint histogram is in the cache."""
    found: set[str] = set()
    for ref in store.found_under(cache.stage):
        found.update(store.table(ref, HISTOGRAMS)["image_id"].to_pylist())
    return found


def maps_of(store: ArtifactStore, predictions: ArtifactRef) -> dict[str, Row]:
    """Rows of a prediction set by image_id, each with the place of its map as it is now."""
    cache = PredictionCache(store.marker(predictions)["inputs"]["cache"])
    held, _ = cached_predictions(store, cache)
    return {row["image_id"]: held[row["image_id"]] for row in store.rows(predictions, PREDICTIONS)}
