"""Engines: what runs each model over the pool. ONNX Runtime where it gives torch's maps, torch elsewhere."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from configs.model_specs import ModelSpec, can_be_trained
from configs.schema import Campaign
from models.decoding import decode_image
from models.inference import InputImage, predict
from models.onnx_export import export_onnx, with_onnx
from models.preprocess import comparison_shape
from models.weights import model_digest
from models.zoo import AnyModel, LoadedModel, load_model
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap, map_digest
from tasks.core.records import ENGINES, IMAGES, LABEL_AREAS, PARITY
from tasks.errors import DataError
from tasks.image_files import read_verified, stem_of
from tasks.label_map_files import MAPS_FILE, LabelMapWriter, read_label_map
from tasks.parity import ONNX, OWN, Parity, engine_rows
from tasks.pool_pass import ONNX_FILE
from tasks.prediction_cache import pool_engine_of
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task
from tasks.worker_processes import share_out, usable_cores

VERSION = 1  # of the maps of both engines
CHOICE_VERSION = 2  # of the verdict
FAILURE_FILE = "failure.txt"  # why there is no graph; empty where there is one

Row = dict[str, Any]


@dataclass(frozen=True)
class ParityOrder:
    """Which model is to be exported, and the images on which its engines are compared."""

    campaign: Campaign
    store: str
    spec: ModelSpec
    images: tuple[tuple[str, str], ...]  # (image_id, uri)


def measure_parity(order: ParityOrder) -> ArtifactRef:
    """The model's ONNX graph, and the maps of both engines on some pool images.

    Kept per campaign and model, whatever images the pool gains later: an engine that changed half-way would
    mean another set of maps.
    """
    campaign, store = order.campaign, ArtifactStore.at(order.store)
    engine = pool_engine_of(campaign, order.spec, by_onnx=True)
    engine |= {"exporter": [importlib.metadata.version(name) for name in ("torch", "onnx", "onnxscript")]}
    size = {"comparison_size": campaign.predictions.comparison_size}
    key = StageKey(
        "parity",
        VERSION,
        engine | size | {"campaign": campaign.name, "seed": campaign.seed},
        {"model": model_digest(order.spec, campaign.classes.names)},
    )
    return store.make(key, functools.partial(_compare_engines, order))


def _compare_engines(order: ParityOrder, draft: Draft) -> None:
    own = load_model(order.spec, order.campaign.classes.names, "cpu")
    models: dict[str, AnyModel] = {OWN: own}
    failure = ""
    if not isinstance(own, LoadedModel) or not can_be_trained(order.spec):
        failure = "not a torch network"
    else:
        try:
            content = export_onnx(own)
            models[ONNX] = with_onnx(own, content)
            draft.write_file(ONNX_FILE, content, identity=False)
        except DataError as error:
            failure = str(error)
    rows: list[Row] = []
    with LabelMapWriter(draft.folder / MAPS_FILE) as writer:
        for image_id, uri in order.images:
            for engine, label_map in _maps(order.campaign, models, image_id, uri).items():
                row = {"image_id": image_id, "engine": engine, "map_digest": map_digest(label_map)}
                rows.append(row | writer.append(label_map))
    draft.add_file(MAPS_FILE, identity=False)
    draft.write_table(PARITY, rows)
    draft.write_file(FAILURE_FILE, failure.encode(), identity=True)


def _maps(campaign: Campaign, models: Mapping[str, AnyModel], image_id: str, uri: str) -> dict[str, LabelMap]:
    """The map by every engine; empty for an image that cannot be used: the pass over the pool says why."""
    try:
        pixels = decode_image(read_verified(uri, image_id), where=uri)
        image = InputImage(pixels, image_id, stem_of(uri))
        height, width = pixels.shape[:2]
        height, width = comparison_shape(height, width, campaign.predictions.comparison_size)
        return {
            engine: predict(model, image, height=height, width=width).label_map
            for engine, model in models.items()
        }
    except DataError:
        return {}


def stored_parity(store: ArtifactStore, ref: ArtifactRef) -> Parity:
    """What `measure_parity` stored."""
    maps: dict[str, dict[str, LabelMap]] = {OWN: {}, ONNX: {}}
    for row in store.rows(ref, PARITY):
        maps[row["engine"]][row["image_id"]] = read_label_map(store.path(ref, MAPS_FILE), row)
    failure = store.path(ref, FAILURE_FILE).read_text(encoding="utf-8")
    return Parity(maps[OWN], maps[ONNX], failure)


def parity_images(campaign: Campaign, pool: list[Row]) -> tuple[tuple[str, str], ...]:
    """The pool images on which engines are compared, (image_id, uri): a seeded draw."""
    drawn = sorted((digest_of([campaign.seed, r["image_id"]]), r["image_id"], r["uri"]) for r in pool)
    return tuple((image_id, uri) for _, image_id, uri in drawn[: campaign.predictions.parity_images])


def compared_images(round_: Round, pool: list[Row]) -> tuple[tuple[str, str], ...]:
    """The images of the campaign's first draw that the pool still has, (image_id, uri); drawn once.

    A new version of the target is compared on the images that the competitors were compared on, whatever the
    pool has gained since.
    """
    campaign, store = round_.campaign, round_.open_store()
    n = campaign.predictions.parity_images
    key = StageKey("parity_images", 1, {"campaign": campaign.name, "seed": campaign.seed, "n": n})
    drawn = store.make(
        key,
        lambda draft: draft.write_table(
            IMAGES,
            [{"dataset": "pool", "image_id": i, "uri": uri} for i, uri in parity_images(campaign, pool)],
        ),
    )
    places = {row["image_id"]: row["uri"] for row in pool}
    listed = [row["image_id"] for row in store.rows(drawn, IMAGES)]
    return tuple((image_id, places[image_id]) for image_id in listed if image_id in places)


@stage_task("choose engines")
def choose_engines(round_: Round, specs: list[ModelSpec], pool: ArtifactRef) -> ArtifactRef:
    """Which engine runs each model over the pool; the graphs of ONNX Runtime are made where they are missing.

    Args:
        round_: the round.
        specs: the models, the target first.
        pool: the round's images.
    """
    store, campaign = round_.open_store(), round_.campaign
    settings = campaign.predictions
    wanted = settings.engine == ONNX and settings.device == "cpu"
    names = campaign.classes.names
    key = StageKey(
        "engines",
        CHOICE_VERSION,
        {
            "predictions": settings.model_dump(mode="json", exclude={"processes", "shard_size", "threads"}),
            "discrepancies": campaign.discrepancies.model_dump(mode="json"),
            "candidates": campaign.candidates.model_dump(mode="json"),
            "campaign": campaign.name,
            "seed": campaign.seed,
        },
        {f"model {spec.name}": model_digest(spec, names) for spec in specs},
    )

    def fill(draft: Draft) -> None:
        if not wanted:
            reason = f"as configured: engine {settings.engine}, device {settings.device}"
            rows = [{"model": spec.name, "engine": OWN, "n_images": 0, "reason": reason} for spec in specs]
            draft.write_table(ENGINES, [row | round_.labels for row in rows])
            return
        images = [row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]
        refs = _parities(round_, specs, images)
        parities = {name: stored_parity(store, ref) for name, ref in refs.items()}
        rows = engine_rows(campaign, parities, store.rows(pool, LABEL_AREAS), len(images))
        for row in rows:
            if row["engine"] == ONNX:
                row["graph"] = json.dumps(asdict(refs[str(row["model"])]))
        draft.write_table(ENGINES, [row | round_.labels for row in rows])

    return remember(round_, "engines", store.make(key, fill))


def _parities(round_: Round, specs: list[ModelSpec], images: list[Row]) -> dict[str, ArtifactRef]:
    """By model, in the order of `specs`: both engines' maps of some pool images."""
    campaign = round_.campaign
    drawn = compared_images(round_, images)
    orders = {spec.name: ParityOrder(campaign, round_.store, spec, drawn) for spec in specs}
    found: dict[str, ArtifactRef] = {}
    processes = campaign.predictions.processes or usable_cores()
    with progress("engines", len(orders), "model") as shown:
        for name, ref in share_out(_named_parity, orders.values(), processes):
            found[name] = ref
            shown.advance()
    return {name: found[name] for name in orders}


def _named_parity(order: ParityOrder) -> tuple[str, ArtifactRef]:
    return order.spec.name, measure_parity(order)
