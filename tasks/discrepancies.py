"""Discrepancies: the joint histogram of target and competitor on every pool image.

From one histogram follow both discrepancies, both directions, the class areas and the confused pairs, so that
choosing candidates again under other settings touches no pixels.
"""

from __future__ import annotations

from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.confusion import joint_histogram
from tasks.core.records import HISTOGRAMS
from tasks.prediction_cache import (
    HistogramCache,
    PredictionCache,
    StoredMap,
    cached_histograms,
    maps_of,
)
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1


def joint_histograms(
    store: ArtifactStore, target: ArtifactRef, competitor: ArtifactRef, n_classes: int
) -> dict[str, list[int]]:
    """The flat joint histogram of every image that both models predicted, by image_id.

    Most were counted in the pass over the pool, while the maps were in memory; what is missing is counted
    from the stored maps.
    """
    ours, theirs = maps_of(store, target), maps_of(store, competitor)
    shared = ours.keys() & theirs.keys()
    caches = [PredictionCache(store.marker(ref)["inputs"]["cache"]) for ref in (target, competitor)]
    counted = cached_histograms(store, HistogramCache.of(caches[0], caches[1], n_classes), shared)
    for image_id in shared - counted.keys():
        a, b = (StoredMap.of(rows[image_id]).read(store) for rows in (ours, theirs))
        counted[image_id] = joint_histogram(a, b, n_classes).ravel().tolist()
    return counted


@stage_task("compute discrepancies")
def compute_discrepancies(
    round_: Round, competitor: str, target_maps: ArtifactRef, competitor_maps: ArtifactRef
) -> ArtifactRef:
    """The joint histograms of the target (rows) and one competitor (columns) over the pool."""
    store, n_classes = round_.open_store(), round_.campaign.classes.count
    key = StageKey(
        "histograms",
        VERSION,
        {"n_classes": n_classes},
        {"target": target_maps.digest, "competitor": competitor_maps.digest},
    )

    def fill(draft: Draft) -> None:
        counted = joint_histograms(store, target_maps, competitor_maps, n_classes)
        rows = [{"image_id": i, "joint_px": joint} | round_.labels for i, joint in counted.items()]
        draft.write_table(HISTOGRAMS, rows)

    return remember(round_, f"discrepancies-{competitor}", store.make(key, fill))
