"""Counts of true x predicted pixels of one model on one labelled set, made once for all who judge."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.model_specs import ModelSpec
from models.inference import predict, set_threads
from models.weights import model_digest
from models.zoo import load_model
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.confusion import confusion, joint_histogram
from tasks.core.records import CONFUSIONS
from tasks.labelled_sets import LabelledSet
from tasks.prediction_cache import engine_of
from tasks.progress import progress
from tasks.rounds import Round

VERSION = 1


def confusions_of(round_: Round, spec: ModelSpec, labelled: LabelledSet) -> ArtifactRef:
    """The confusion of `spec` with the truth on every image of `labelled`, at the images' own size."""
    store, campaign = round_.open_store(), round_.campaign
    settings = campaign.predictions
    key = StageKey(
        "confusions",
        VERSION,
        engine_of(campaign) | {"n_classes": campaign.classes.count},
        {"model": model_digest(spec, campaign.classes.names), "set": labelled.digest},
    )

    def fill(draft: Draft) -> None:
        set_threads(settings.threads)
        model = load_model(spec, campaign.classes.names, settings.device, settings.threads)
        rows: list[dict[str, Any]] = []
        with progress(f"{spec.name} on {labelled.name}", len(labelled.images), "image") as shown:
            for image in labelled.images:
                truth = image.read_mask(campaign.classes)
                predicted = predict(model, image.as_input(), height=truth.shape[0], width=truth.shape[1])
                joint = joint_histogram(truth, predicted.label_map, campaign.classes.count)
                rows.append(
                    {"image_id": image.image_id, "group": image.group, "joint_px": joint.ravel().tolist()}
                )
                shown.advance()
        draft.write_table(CONFUSIONS, rows)

    return store.make(key, fill)


def counts_of(round_: Round, ref: ArtifactRef, only: Collection[str] | None = None) -> NDArray[np.int64]:
    """The confusions (N, C, C), true x predicted, of all images or of those in `only`; void left out."""
    n = round_.campaign.classes.count + 1
    rows = [
        row for row in round_.open_store().rows(ref, CONFUSIONS) if only is None or row["image_id"] in only
    ]
    return confusion(np.array([row["joint_px"] for row in rows], np.int64).reshape(-1, n, n))
