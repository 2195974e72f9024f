"""Notes of the runs of a campaign: when each began, whether its people are simulated, and on what machine."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tasks.artifacts import ArtifactStore
from tasks.core.digests import digest_of_bytes


@dataclass(frozen=True)
class RunNote:
    """One `madloop run`.

    Attributes:
        started_at: ISO date and time, UTC.
        annotators: `human` or `simulated`.
        machine: what it ran on, see `machine_facts`.
    """

    started_at: str
    annotators: str
    machine: dict[str, str]


def note_run(store: ArtifactStore, campaign: str, *, simulated: bool, machine: Mapping[str, str]) -> None:
    """Write down that a run of a stored campaign begins now."""
    now = datetime.datetime.now(datetime.UTC)
    note = RunNote(
        now.isoformat(timespec="milliseconds"), "simulated" if simulated else "human", dict(machine)
    )
    content = json.dumps(asdict(note), indent=1).encode()
    name = f"{now.strftime('%Y%m%dT%H%M%S')}-{digest_of_bytes(content)[:16]}"
    store.storage.put_if_absent(f"campaigns/{campaign}/runs/{name}.json", content)


def runs_of(store: ArtifactStore, campaign: str) -> list[RunNote]:
    """All runs of a campaign, oldest first."""
    names = store.storage.names(f"campaigns/{campaign}/runs")
    notes = [RunNote(**json.loads(store.storage.get(name) or b"")) for name in names]
    return sorted(notes, key=lambda note: note.started_at)
