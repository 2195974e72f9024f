"""Discrepancies: the joint histogram of target and competitor on every pool image.

From one histogram follow both discrepancies, both directions, the class areas and the confused pairs, so that
choosing candidates again under other settings touches no pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.confusion import joint_histogram
from tasks.core.label_maps import LabelMap
from tasks.core.records import HISTOGRAMS
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.prediction_cache import maps_of
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1


def paired_maps(
    store: ArtifactStore, target: ArtifactRef, competitor: ArtifactRef
) -> Iterator[tuple[str, LabelMap, LabelMap]]:
    """(image_id, map of the target, map of the competitor) for every image that both predicted."""
    theirs = maps_of(store, competitor)
    for image_id, row in maps_of(store, target).items():
        if image_id in theirs:
            yield image_id, _map_of(store, row), _map_of(store, theirs[image_id])


def _map_of(store: ArtifactStore, row: dict[str, Any]) -> LabelMap:
    return read_label_map(store.storage.local_path(f"{row['maps_folder']}/{MAPS_FILE}"), row)


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
        rows = []
        total = store.marker(target_maps)["tables"]["predictions"]["rows"]
        with progress(f"discrepancies with {competitor}", total, "image") as shown:
            for image_id, ours, theirs in paired_maps(store, target_maps, competitor_maps):
                joint = joint_histogram(ours, theirs, n_classes)
                rows.append({"image_id": image_id, "joint_px": joint.ravel().tolist()} | round_.labels)
                shown.advance()
        draft.write_table(HISTOGRAMS, rows)

    return remember(round_, f"discrepancies-{competitor}", store.make(key, fill))
