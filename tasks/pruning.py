"""What may go from a store without anything being lost that people did or a round refers to.

Prunable is only what a machine makes again, and only when it was written more than a day ago: a run that is
going on adds to what is younger. Answers, drawings, masks, chosen versions, records of images, campaigns,
indices and reports never go.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.core.records import TRIALS
from tasks.errors import DataError
from tasks.rounds import campaign_names, index_entries
from tasks.services.local_storage import StoredObject
from tasks.services.storage import Storage

LEAST_AGE_S = 24 * 3600.0
NEVER = (
    "answers, drawings and masks; chosen versions; records of images, candidates, ratings, test sets, "
    "failures and scores; campaigns and indices of rounds; reports"
)
_LOST = "networks of trials that lost, in rounds that have ended"
_CACHES = {
    "predictions": "maps that no round needs: of other models, engines or sizes",
    "joint_histograms": "counted pairs; the rounds have their own copies",
}
_ENDS = ("report", "closing_report")  # index entries of a round that is never entered again
_MARKER = "complete.json"


@dataclass(frozen=True)
class Prunable:
    """Some files that may go together.

    Attributes:
        what: the kind, for people.
        storage: where they are: the store, or this machine's folder of it.
        names: their names, in the order in which they must go: what refers to others first.
        size_bytes: of all of them.
    """

    what: str
    storage: Storage
    names: tuple[str, ...]
    size_bytes: int


def prunable(store: ArtifactStore, campaign: str | None, now: float) -> list[Prunable]:
    """Everything that may go.

    Args:
        store: the store.
        campaign: only what belongs to this campaign; None: all.
        now: seconds since 1970.
    """
    indices = {name: index_entries(store, name) for name in campaign_names(store)}
    lost = _lost_trials(store, indices)
    if campaign is not None:
        own = {name: entries for name, entries in lost.items() if _is_of(entries, campaign)}
        return list(_trials(store, own, now))
    needed = _Needed(store, [ref for entries in indices.values() for ref in entries.values()])
    caches = [] if _has_open_pass(indices) else _caches(store, needed, now)
    return [
        *caches,
        *_artefacts(store, "histograms", "histograms that no round refers to", needed, now),
        *_artefacts(store, "trials", "trials that no round refers to", needed, now),
        *_trials(store, lost, now),
        *_local(store, now),
    ]


def remove(group: Prunable) -> None:
    """Remove the files of a group; interrupted, it leaves nothing that refers to what is gone."""
    for name in group.names:
        group.storage.delete(name)


class _Needed:
    """What the indices of all rounds refer to, directly or through inputs."""

    def __init__(self, store: ArtifactStore, roots: Iterable[ArtifactRef]) -> None:
        by_digest: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for marker in _markers(store):
            by_digest[marker["digest"]].append(marker)
        self.keys: set[str] = set()
        self.inputs: set[str] = set()
        # An index names an artefact by its key; inputs name one by what it says, whoever made it.
        waiting = [m for ref in roots for m in by_digest.get(ref.digest, ())]
        self.keys |= {ref.key for ref in roots}
        while waiting:
            marker = waiting.pop()
            values = {str(value) for value in marker["inputs"].values()}
            self.keys.add(marker["key"])
            waiting += [m for value in values - self.inputs for m in by_digest.get(value, ())]
            self.inputs |= values

    def has_cache(self, folder: str) -> bool:
        """Whether a round's prediction set is of the cache in `folder`, the beginning of its digest."""
        return any(value.startswith(folder) for value in self.inputs)


def _markers(store: ArtifactStore) -> Iterator[dict[str, Any]]:
    """Completion markers of all artefacts but the shards of caches, which nothing names by their digest."""
    for name in store.storage.names("artefacts"):
        if name.endswith(f"/{_MARKER}") and name.split("/")[1] not in _CACHES:
            content = store.storage.get(name)
            if content is not None:
                yield json.loads(content)


def _caches(store: ArtifactStore, needed: _Needed, now: float) -> Iterator[Prunable]:
    for stage, what in _CACHES.items():
        for folder, objects in _grouped(store.storage.entries(f"artefacts/{stage}"), 2).items():
            if stage == "joint_histograms" or not needed.has_cache(folder):
                yield from _old(what, store.storage, objects, now)


def _has_open_pass(indices: dict[str, dict[str, ArtifactRef]]) -> bool:
    """Whether a round has begun and has no candidates yet: nothing names what it has predicted so far."""
    stages: dict[str, set[str]] = defaultdict(set)
    for entries in indices.values():
        for name in entries:
            folder, _, stage = name.removesuffix(".json").rpartition("/")
            stages[folder].add(stage)
    return any("pool" in done and "candidates" not in done for done in stages.values())


def _artefacts(
    store: ArtifactStore, stage: str, what: str, needed: _Needed, now: float
) -> Iterator[Prunable]:
    for key, objects in _grouped(store.storage.entries(f"artefacts/{stage}"), 2).items():
        if key not in needed.keys:
            yield from _old(what, store.storage, objects, now)


def _lost_trials(store: ArtifactStore, indices: dict[str, dict[str, ArtifactRef]]) -> dict[str, list[str]]:
    """Key of a trial -> its index entries, where all rounds that name it have ended and chose another."""
    lost: dict[str, list[str]] = defaultdict(list)
    kept: set[str] = set()
    for entries in indices.values():
        for name, ref in entries.items():
            folder, _, stage = name.removesuffix(".json").rpartition("/")
            if ref.stage != "trials":
                continue
            lost[ref.key].append(name)
            version = entries.get(f"{folder}/version.json")
            is_over = any(f"{folder}/{end}.json" in entries for end in _ENDS)
            if not is_over or version is None or stage == _chosen(store, version):
                kept.add(ref.key)
    return {key: names for key, names in lost.items() if key not in kept}


def _chosen(store: ArtifactStore, version: ArtifactRef) -> str | None:
    """Name of the index entry of the trial that became the version; None if it cannot be told."""
    try:
        rates = [row["learning_rate"] for row in store.rows(version, TRIALS) if row["chosen"]]
    except DataError:
        return None
    return f"trial-{rates[0]:g}" if rates else None


def _trials(store: ArtifactStore, lost: dict[str, list[str]], now: float) -> Iterator[Prunable]:
    for key, entries in lost.items():
        objects = list(store.storage.entries(f"artefacts/trials/{key}"))
        for group in _old(_LOST, store.storage, objects, now):
            yield Prunable(group.what, group.storage, (*entries, *group.names), group.size_bytes)


def _is_of(entries: list[str], campaign: str) -> bool:
    return all(name.split("/")[1] == campaign for name in entries)


def _local(store: ArtifactStore, now: float) -> Iterator[Prunable]:
    """Unfinished work, and the read cache of an object store."""
    local = store.storage.local
    for objects in _grouped(local.entries("attempts"), 1).values():
        yield from _old("unfinished work", local, objects, now)
    if local is not store.storage:
        for folder in ("artefacts", "blobs"):
            for copy in local.entries(folder):
                if now - copy.used_at > LEAST_AGE_S:  # a run that is going on may be reading it
                    yield from _old("copies of the object store on this machine", local, [copy], now)


def _grouped(objects: Iterable[StoredObject], depth: int) -> dict[str, list[StoredObject]]:
    """Objects by the part of their names at `depth`."""
    groups: dict[str, list[StoredObject]] = defaultdict(list)
    for stored in objects:
        groups[stored.name.split("/")[depth]].append(stored)
    return groups


def _old(what: str, storage: Storage, objects: list[StoredObject], now: float) -> Iterator[Prunable]:
    """The objects as one group, unless one of them was written within a day."""
    if objects and all(now - stored.written_at > LEAST_AGE_S for stored in objects):
        # Markers first: without one nobody looks for the rest.
        names = sorted((o.name for o in objects), key=lambda name: (not name.endswith(_MARKER), name))
        yield Prunable(what, storage, tuple(names), sum(stored.size_bytes for stored in objects))
