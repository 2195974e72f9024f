"""Evaluation: every model version and every competitor on T(0) and on every T."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.model_specs import ModelSpec
from models.finished_maps import LabelMapError
from models.weights import model_digest
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.confusions import confusions_of, counts_of
from tasks.core.records import SCORES
from tasks.core.scores import set_iou
from tasks.labelled_sets import LabelledSet, finished_set, given_set, split_of
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

Row = dict[str, Any]


def score_rows(confusions: NDArray[np.int64], class_names: tuple[str, ...]) -> list[Row]:
    """Metrics of one model on one set as rows without the columns that name model and set.

    Args:
        confusions: true x predicted pixels, (N, C, C).
        class_names: C names.
    """
    scores = set_iou(confusions)
    rows = [
        {"metric": "iou", "class_name": "mean", "value": scores.mean_iou},
        {"metric": "pixel_accuracy", "class_name": "mean", "value": scores.pixel_accuracy},
    ]
    for index, name in enumerate(class_names):
        rows.append({"metric": "iou", "class_name": name, "value": float(scores.class_iou[index])})
        if np.isnan(scores.class_iou[index]):
            extra = float(scores.false_positive_px[index])
            rows.append({"metric": "false_positive_px", "class_name": name, "value": extra})
    return rows


def parts_of(round_: Round, labelled: LabelledSet) -> dict[str, Collection[str] | None]:
    """Parts a set is judged in: T(0) has a tuning and a reporting half, every set has `all`."""
    if labelled.name != "T(0)":
        return {"all": None}
    split = split_of(round_, labelled)
    return {"all": None, "tuning": frozenset(split.tuning), "reporting": frozenset(split.reporting)}


def test_sets_of(
    round_: Round, pools: dict[int, ArtifactRef], masks: dict[int, ArtifactRef]
) -> list[LabelledSet]:
    """T(0) and the test sets of all rounds so far, in order; an empty one is left out."""
    familiar = given_set(round_, pools[round_.number], "familiar", "T(0)")
    drawn = [finished_set(round_.at(n), pools[n], masks[n], f"T({n})") for n in sorted(masks)]
    return [familiar, *(labelled for labelled in drawn if labelled.images)]


@stage_task("evaluate")
def evaluate(
    round_: Round, models: list[ModelSpec], pools: dict[int, ArtifactRef], masks: dict[int, ArtifactRef]
) -> ArtifactRef:
    """Scores of all models on all test sets.

    A model of finished label maps is judged only on sets of which it has a usable map of every image.

    Args:
        round_: the round.
        models: all versions of the target, oldest first, then the competitors.
        pools: round number -> images.
        masks: round number -> finished masks of that round's test set.
    """
    store, names = round_.open_store(), round_.campaign.classes.names
    sets = test_sets_of(round_, pools, masks)
    key = StageKey(
        "scores",
        VERSION,
        {
            "evaluation": round_.campaign.evaluation.model_dump(mode="json"),
            "seed": round_.campaign.seed,
            "classes": list(names),
        },
        {**{f"model {m.name}": model_digest(m, names) for m in models}, **{s.name: s.digest for s in sets}},
    )

    def fill(draft: Draft) -> None:
        rows: list[Row] = []
        for labelled in sets:
            groups = {image.image_id: image.group for image in labelled.images}
            for model in models:
                try:
                    ref = confusions_of(round_, model, labelled)
                except LabelMapError:
                    continue  # a mean over fewer images would not compare; the report says who is not judged
                for part, only in parts_of(round_, labelled).items():
                    members = groups.keys() if only is None else set(only)
                    facts = {
                        "model_version": model.name,
                        "test_set": labelled.name,
                        "part": part,
                        "n_images": len(members),
                        "n_groups": len({groups[i] for i in members}),
                    } | round_.labels
                    rows += [row | facts for row in score_rows(counts_of(round_, ref, only), names)]
        draft.write_table(SCORES, rows)

    return remember(round_, "scores", store.make(key, fill))
