"""Predictions: every model's map of every pool image, computed once per (model digest, image) and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from configs.model_specs import ModelSpec
from models.zoo import load_model
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.records import IMAGES, PREDICTIONS, REJECTS
from tasks.pool_pass import PassModel, PassOrder, PoolImage, forget_models, graphs_of, run_shard
from tasks.prediction_cache import (
    HistogramCache,
    PredictionCache,
    StoredMap,
    cached_predictions,
    images_with_histograms,
)
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task
from tasks.worker_processes import share_out, usable_cores

VERSION = 2

Row = dict[str, Any]


@dataclass
class _Held:
    """What the caches have of one model for the images of a round."""

    maps: dict[str, StoredMap] = field(default_factory=dict)
    rejected: set[tuple[str, str]] = field(default_factory=set)  # (image_id, uri)


def pass_models(round_: Round, specs: Iterable[ModelSpec], engines: ArtifactRef) -> tuple[PassModel, ...]:
    """The models of a pass, each with its engine and its cache; in the order of `specs`."""
    graphs = graphs_of(round_.open_store(), engines)
    return tuple(
        PassModel(
            spec,
            graphs.get(spec.name),
            PredictionCache.of(round_.campaign, spec, by_onnx=spec.name in graphs),
        )
        for spec in specs
    )


def fill_caches(round_: Round, models: tuple[PassModel, ...], images: list[Row]) -> list[Row]:
    """Compute the maps and joint histograms that the caches lack, shard by shard, a process per core.

    Returns:
        Rejects of this time alone: files that are gone or have changed since they were listed.
    """
    campaign = round_.campaign
    work = missing_work(round_.open_store(), models, images, campaign.classes.count)
    size = campaign.predictions.shard_size
    processes = 1 if campaign.predictions.device != "cpu" else campaign.predictions.processes
    orders = [
        PassOrder(campaign, round_.store, models, tuple(work[start : start + size]))
        for start in range(0, len(work), size)
    ]
    passing: list[Row] = []
    if orders:
        with progress("predictions", len(work), "image") as shown:
            for n_images, rejects in share_out(_counted, orders, processes or usable_cores()):
                passing.extend(rejects)
                shown.advance(n_images)
        forget_models()
    return passing


def _counted(order: PassOrder) -> tuple[int, list[Row]]:
    return len(order.images), run_shard(order)


def missing_work(
    store: ArtifactStore, models: tuple[PassModel, ...], images: list[Row], n_classes: int
) -> list[PoolImage]:
    """The images that some model has no map of, or some pair no joint histogram; in the order of `images`."""
    held = {model.spec.name: _held(store, model.cache) for model in models}
    target, *competitors = models
    compared = {
        model.spec.name: images_with_histograms(
            store, HistogramCache.of(target.cache, model.cache, n_classes)
        )
        for model in competitors
    }
    work = []
    for row in images:
        image_id, place = row["image_id"], (row["image_id"], row["uri"])
        stored = {name: of.maps[image_id] for name, of in held.items() if image_id in of.maps}
        missing = frozenset(n for n, of in held.items() if n not in stored and place not in of.rejected)
        possible = missing | stored.keys()
        pairs = tuple(
            name
            for name, done in compared.items()
            if image_id not in done and {name, target.spec.name} <= possible
        )
        if missing or pairs:
            needed = {name: stored[name] for name in {*pairs, target.spec.name} & stored.keys() if pairs}
            work.append(PoolImage(image_id, row["uri"], missing, needed, pairs))
    return work


def _held(store: ArtifactStore, cache: PredictionCache) -> _Held:
    predicted, rejected = cached_predictions(store, cache)
    return _Held(
        {image_id: StoredMap.of(row) for image_id, row in predicted.items()},
        # The same image may be intact at another place, in another campaign.
        {(row["item"], row["uri"]) for row in rejected},
    )


@stage_task("check models")
def check_models(round_: Round, specs: list[ModelSpec]) -> None:
    """Load every model once, so that a wrong one is refused before any other has been run over the pool.

    Raises:
        DataError: a file is missing or damaged, has another digest, or the model has other classes.
    """
    for spec in specs:
        load_model(spec, round_.campaign.classes.names, round_.campaign.predictions.device)


@stage_task("predict pool")
def predict_pool(
    round_: Round, specs: list[ModelSpec], engines: ArtifactRef, pool: ArtifactRef
) -> dict[str, ArtifactRef]:
    """The maps of all models for the round's pool: what is cached is taken from there, the rest computed.

    An image that could not be used in this round stays a reject of this round, whatever becomes of its file.

    Args:
        round_: the round.
        specs: the models, the target first.
        engines: what runs each of them.
        pool: the round's images.

    Returns:
        Model -> its prediction set.
    """
    store = round_.open_store()
    images = [row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]
    models = pass_models(round_, specs, engines)
    keys = {model.spec.name: _set_key(round_, model, images) for model in models}
    rejected = _rejected_before(store, keys)
    passing = fill_caches(round_, models, [row for row in images if row["image_id"] not in rejected])
    sets = {}
    for model in models:
        fill = _set_filler(round_, model, images, passing)
        ref = store.make(keys[model.spec.name], fill)
        sets[model.spec.name] = remember(round_, f"predictions-{model.spec.name}", ref)
    return sets


def _set_key(round_: Round, model: PassModel, images: list[Row]) -> StageKey:
    places = digest_of(sorted((row["image_id"], row["uri"]) for row in images))
    return StageKey(
        "prediction_sets", VERSION, round_.labels, {"cache": model.cache.digest, "images": places}
    )


def _rejected_before(store: ArtifactStore, keys: dict[str, StageKey]) -> set[str]:
    """Images that this round has already given up for every model."""
    refs = [store.find(key) for key in keys.values()]
    given_up = [{row["item"] for row in store.rows(ref, REJECTS)} if ref else set() for ref in refs]
    return set.intersection(*given_up)


def _set_filler(
    round_: Round, model: PassModel, images: list[Row], passing: list[Row]
) -> Callable[[Draft], None]:
    """What writes the prediction set of one model."""
    store = round_.open_store()
    wanted = {row["image_id"] for row in images}
    places = {(row["image_id"], row["uri"]) for row in images}

    def fill(draft: Draft) -> None:
        held, rejected = cached_predictions(store, model.cache)
        # Where a map lies is asked of the cache again whenever it is read: a shard may have been made anew.
        nowhere = {"maps_folder": None, "offset": None, "size_bytes": None}
        rows = [row | nowhere for image_id, row in held.items() if image_id in wanted]
        draft.write_table(PREDICTIONS, rows)
        failed = {r["item"]: r for r in [*rejected, *passing] if (r["item"], r["uri"]) in places}
        draft.write_table(REJECTS, [row for image_id, row in failed.items() if image_id not in held])

    return fill
