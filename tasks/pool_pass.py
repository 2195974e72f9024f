"""One pass over pool images: every model's map and the joint histograms, an image decoded once.

This is what the processes that share a pool do. Target and competitors are compared while their maps are in
memory, before anything is written; what an earlier round left in the caches is read, not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from configs.model_specs import ModelSpec
from configs.schema import Campaign
from models.decoding import decode_image
from models.inference import InputImage, Prediction, predict
from models.onnx_export import with_onnx
from models.preprocess import comparison_shape
from models.zoo import AnyModel, LoadedModel, load_model
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.confusion import joint_histogram
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap, map_digest
from tasks.core.records import ENGINES, HISTOGRAMS, PREDICTIONS, REJECTS
from tasks.errors import DataError
from tasks.image_files import read_verified, stem_of
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.prediction_cache import (
    HISTOGRAMS_VERSION,
    MAPS_VERSION,
    HistogramCache,
    PredictionCache,
    StoredMap,
)

ONNX_FILE = "model.onnx"

Row = dict[str, Any]
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class PassModel:
    """A model of a pass.

    Attributes:
        spec: the model.
        onnx: the artefact with its ONNX graph, where ONNX Runtime runs it.
        cache: where its maps are kept.
    """

    spec: ModelSpec
    onnx: ArtifactRef | None
    cache: PredictionCache


@dataclass(frozen=True)
class PoolImage:
    """One image of a pass.

    Attributes:
        image_id: SHA-256 of its bytes.
        uri: where it is.
        missing: models that have no map of it yet.
        stored: maps that are needed and in the store, by model.
        pairs: competitors whose joint histogram with the target is missing.
    """

    image_id: str
    uri: str
    missing: frozenset[str]
    stored: Mapping[str, StoredMap]
    pairs: tuple[str, ...]


@dataclass(frozen=True)
class PassOrder:
    """What a process is told to do: a shard of images, and all that decides their maps.

    Attributes:
        campaign: for the classes, the device and the comparison size.
        store: where the artefact store is.
        models: the target first.
        images: the shard.
    """

    campaign: Campaign
    store: str
    models: tuple[PassModel, ...]
    images: tuple[PoolImage, ...]


@dataclass(frozen=True)
class _Unusable:
    """Why an image has no pixels; `is_lasting` says that the reason lies in its bytes, not in its place."""

    error: DataError
    is_lasting: bool


@dataclass
class _Collected:
    """What a shard has made for one model."""

    maps: list[tuple[Row, LabelMap]] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)


_loaded: dict[tuple[str, str], AnyModel] = {}  # of this process: (name, cache) -> model


def run_shard(order: PassOrder) -> list[Row]:
    """Compute and store what a shard lacks; a crash costs one shard at most.

    Returns:
        Rejects for a reason that lies in the file's place and not in its bytes: it is gone, or has changed.
        They are not kept in a cache, for the next round may find the image in order.
    """
    store = ArtifactStore.at(order.store)
    collected = {model.spec.name: _Collected() for model in order.models}
    histograms: dict[str, list[Row]] = {model.spec.name: [] for model in order.models[1:]}
    passing: list[Row] = []
    for image, decoded in prefetched(_decoded, order.images):
        if isinstance(decoded, _Unusable) and not decoded.is_lasting:
            passing.append(_reject(image, decoded.error))
            continue
        maps = {name: stored.read(store) for name, stored in image.stored.items()}
        for model in order.models:
            name = model.spec.name
            if name in image.missing:
                label_map = _predict(order, model, image, decoded, collected[name])
                maps |= {} if label_map is None else {name: label_map}
        target = maps.get(order.models[0].spec.name)
        for name in image.pairs:
            if target is not None and name in maps:
                joint = joint_histogram(target, maps[name], order.campaign.classes.count)
                histograms[name].append({"image_id": image.image_id, "joint_px": joint.ravel().tolist()})
    for model in order.models:
        _store_maps(store, model, order.images, collected[model.spec.name])
    for model in order.models[1:]:
        pair = HistogramCache.of(order.models[0].cache, model.cache, order.campaign.classes.count)
        _store_histograms(store, pair, histograms[model.spec.name])
    return passing


def _decoded(image: PoolImage) -> InputImage | _Unusable | None:
    """The image's pixels, or why there are none; None where nobody needs them."""
    if not image.missing:
        return None
    try:
        content = read_verified(image.uri, image.image_id)
    except DataError as error:
        return _Unusable(error, is_lasting=False)
    try:
        return InputImage(decode_image(content, where=image.uri), image.image_id, stem_of(image.uri))
    except DataError as error:
        return _Unusable(error, is_lasting=True)


def _predict(
    order: PassOrder,
    model: PassModel,
    image: PoolImage,
    decoded: InputImage | _Unusable | None,
    collected: _Collected,
) -> LabelMap | None:
    """A model's map of the image, noted in `collected`; or None and a reject."""
    try:
        if isinstance(decoded, _Unusable):
            raise decoded.error
        if decoded is None:
            raise ValueError(f"image {image.image_id} was to be predicted but not decoded")
        loaded = loaded_model(order.campaign, order.store, model)
        height, width = decoded.pixels.shape[:2]
        height, width = comparison_shape(height, width, order.campaign.predictions.comparison_size)
        prediction = predict(loaded, decoded, height=height, width=width)
    except DataError as error:
        collected.rejects.append(_reject(image, error))
        return None
    collected.maps.append((_row(image, prediction), prediction.label_map))
    return prediction.label_map


def loaded_model(campaign: Campaign, store: str, model: PassModel) -> AnyModel:
    """The model, ready to run with one thread; loaded once per process."""
    key = model.spec.name, model.cache.digest
    if key not in _loaded:
        loaded = load_model(model.spec, campaign.classes.names, campaign.predictions.device)
        if model.onnx is not None and isinstance(loaded, LoadedModel):
            content = ArtifactStore.at(store).path(model.onnx, ONNX_FILE).read_bytes()
            loaded = with_onnx(loaded, content)
        for name, digest in list(_loaded):  # another version of a model takes the place of the last one
            if name == key[0] and digest != key[1]:
                del _loaded[name, digest]
        _loaded[key] = loaded
    return _loaded[key]


def _row(image: PoolImage, prediction: Prediction) -> Row:
    return {
        "image_id": image.image_id,
        "map_digest": map_digest(prediction.label_map),
        "entropy_mean": prediction.entropy_mean,
        "entropy_p95": prediction.entropy_p95,
        "uncertainty_mean": prediction.uncertainty_mean,
        "uncertainty_p95": prediction.uncertainty_p95,
    }


def _reject(image: PoolImage, error: DataError) -> Row:
    return {"stage": "predictions", "item": image.image_id, "reason": str(error), "uri": image.uri}


def _store_maps(
    store: ArtifactStore, model: PassModel, images: Iterable[PoolImage], collected: _Collected
) -> None:
    """Commit a model's part of the shard."""
    asked = sorted((i.image_id, i.uri) for i in images if model.spec.name in i.missing)
    if not (collected.maps or collected.rejects):
        return

    def fill(draft: Draft) -> None:
        with LabelMapWriter(draft.folder / MAPS_FILE) as writer:
            rows = [row | writer.append(label_map) for row, label_map in collected.maps]
        draft.add_file(MAPS_FILE, identity=False)  # the digests of the maps are in the table
        draft.write_table(PREDICTIONS, rows)
        draft.write_table(REJECTS, collected.rejects)

    done = sorted(row["image_id"] for row, _ in collected.maps)
    store.make(StageKey(model.cache.stage, MAPS_VERSION, {}, {"images": digest_of([asked, done])}), fill)


def _store_histograms(store: ArtifactStore, cache: HistogramCache, rows: list[Row]) -> None:
    """Commit a pair's part of the shard."""
    if rows:
        images = digest_of(sorted(row["image_id"] for row in rows))
        store.make(
            StageKey(cache.stage, HISTOGRAMS_VERSION, {}, {"images": images}),
            lambda draft: draft.write_table(HISTOGRAMS, rows),
        )


def graphs_of(store: ArtifactStore, engines: ArtifactRef) -> dict[str, ArtifactRef]:
    """By model: the artefact with its ONNX graph, for the models that ONNX Runtime runs."""
    rows = store.rows(engines, ENGINES)
    return {r["model"]: ArtifactRef(**json.loads(r["graph"])) for r in rows if r["graph"] is not None}


def forget_models() -> None:
    """Let go of the models that this process has loaded."""
    _loaded.clear()


def prefetched(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[tuple[Item, Made]]:
    """Each item with what `make` gives for it, the next one being made while the caller uses this one."""
    with ThreadPoolExecutor(1) as thread:
        waiting: list[tuple[Item, Any]] = []
        for item in items:
            waiting.append((item, thread.submit(make, item)))
            if len(waiting) > 1:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
