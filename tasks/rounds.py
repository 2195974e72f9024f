"""A round of a campaign, and the index that says which artefact each of its stages led to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.errors import DataError, NotReadyError, TroubleshootError, Waiting


@dataclass(frozen=True)
class Round:
    """What every stage of a round is told: the campaign's config, the round's number and where the store is.

    Attributes:
        campaign: the resolved config, without the section on simulated people.
        number: 1-based round number; round n mines with model version n - 1 and makes version n.
        store: place of the artefact store: a folder or `s3://bucket/prefix`.
    """

    campaign: Campaign
    number: int
    store: str

    def open_store(self) -> ArtifactStore:
        """The artefact store."""
        return ArtifactStore.at(self.store)

    def at(self, number: int) -> Round:
        """Another round of the same campaign."""
        return Round(self.campaign, number, self.store)

    @property
    def labels(self) -> dict[str, Any]:
        """The two columns that every record carries."""
        return {"campaign": self.campaign.name, "round": self.number}


def remember(round_: Round, stage: str, ref: ArtifactRef) -> ArtifactRef:
    """Note in the round's index that `stage` led to `ref`; returns `ref`. Repeating it changes nothing."""
    content = json.dumps(asdict(ref), indent=1).encode()
    storage = round_.open_store().storage
    if storage.get(_index_name(round_, stage)) != content:
        storage.put(_index_name(round_, stage), content)
    return ref


def recall(round_: Round, stage: str) -> ArtifactRef | None:
    """The artefact that `stage` of this round led to, or None while it has none."""
    content = round_.open_store().storage.get(_index_name(round_, stage))
    return None if content is None else _ref_in(content, _index_name(round_, stage))


def require(round_: Round, stage: str) -> ArtifactRef:
    """The artefact that `stage` of this round led to.

    Raises:
        NotReadyError: the stage has not completed.
    """
    ref = recall(round_, stage)
    if ref is None:
        raise NotReadyError(Waiting(f"{stage} of round {round_.number} (run the campaign to make it)", 0, 1))
    return ref


def finish_round(round_: Round, report: ArtifactRef, closing: bool) -> None:
    """Mark the round as ended: its report is there, and everything outside knows of it."""
    remember(round_, end_stage(closing), report)


def has_ended(round_: Round, closing: bool) -> bool:
    """Whether the round has ended."""
    return recall(round_, end_stage(closing)) is not None


def end_stage(closing: bool) -> str:
    """Name in the index of what ends a round."""
    return "closing_report" if closing else "report"


def stages_of(round_: Round) -> dict[str, ArtifactRef]:
    """All completed stages of the round, by name."""
    storage = round_.open_store().storage
    names = storage.names(f"campaigns/{round_.campaign.name}/rounds/{round_.number:04d}")
    refs = {Path(name).stem: _ref_in(storage.get(name) or b"", name) for name in names}
    return dict(sorted(refs.items()))


def save_campaign(store: ArtifactStore, campaign: Campaign) -> None:
    """Store the resolved config; the flows read it from there by the campaign's name.

    The section on simulated people stays outside: the pipeline must not learn where the truth is.
    """
    resolved = campaign.model_copy(update={"simulated_people": None})
    content = resolved.model_dump_json(indent=1).encode()
    name = _campaign_name(campaign.name)
    if store.storage.get(name) != content:
        store.storage.put(name, content)


def campaign_names(store: ArtifactStore) -> list[str]:
    """Names of all campaigns of the store."""
    return sorted({name.split("/")[1] for name in store.storage.names("campaigns")})


def index_entries(store: ArtifactStore, campaign: str) -> dict[str, ArtifactRef]:
    """Name in the store -> artefact, of every entry in the indices of all rounds of a campaign."""
    names = store.storage.names(f"campaigns/{campaign}/rounds")
    return {name: _ref_in(store.storage.get(name) or b"", name) for name in names}


def load_campaign_by_name(store: ArtifactStore, name: str) -> Campaign:
    """The stored config of a campaign.

    Raises:
        TroubleshootError: no campaign of that name is in the store.
        DataError: a newer madloop wrote it, or it is damaged.
    """
    known = campaign_names(store)
    content = store.storage.get(_campaign_name(name)) if name in known else None
    if content is None:
        raise TroubleshootError(
            f"A campaign {name!r} was asked for, but the store has {known or 'none'}; "
            "start one with `madloop run CONFIG`."
        )
    try:
        return Campaign.model_validate_json(content)
    except ValidationError as error:
        raise DataError(
            f"The stored campaign {_campaign_name(name)} must have the fields that this madloop knows, but: "
            f"{error.error_count()} do not fit. A newer madloop wrote it, or it is damaged: update the "
            "checkout, or run `madloop run CONFIG` to write it again."
        ) from error


def _ref_in(content: bytes, name: str) -> ArtifactRef:
    try:
        return ArtifactRef(**json.loads(content))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The index entry {name} must name one artefact, but: {error}. A newer madloop wrote it, or it "
            "is damaged: update the checkout, or remove the entry and run again."
        ) from error


def _campaign_name(name: str) -> str:
    return f"campaigns/{name}/campaign.json"


def _index_name(round_: Round, stage: str) -> str:
    return f"campaigns/{round_.campaign.name}/rounds/{round_.number:04d}/{stage}.json"
