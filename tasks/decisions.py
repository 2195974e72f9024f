"""What the owner decided where the pipeline must not decide alone: an append-only record."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass
from typing import Literal

from tasks.core.digests import digest_of_bytes
from tasks.errors import DataError
from tasks.rounds import Round

Word = Literal["accept", "disregard"]


@dataclass(frozen=True)
class Decision:
    """A word on a rater who declared far more images out of domain than the others.

    Attributes:
        round_number: 1-based.
        rater: whom it is about.
        out_of_domain: "accept": the declarations count as everybody's; "disregard": those of this round do
            not, and the images are judged by the others.
        decided_by: account name on the machine.
        decided_at: ISO date and time.
    """

    round_number: int
    rater: str
    out_of_domain: Word
    decided_by: str
    decided_at: str


def note_decision(round_: Round, decision: Decision) -> None:
    """Add a decision to the record."""
    content = json.dumps(asdict(decision), indent=1).encode()
    moment = datetime.datetime.fromisoformat(decision.decided_at).strftime("%Y%m%dT%H%M%S%f")
    name = f"{_folder(round_)}/{moment}-{digest_of_bytes(content)[:16]}.json"
    round_.open_store().storage.put_if_absent(name, content)


def decisions_of(round_: Round) -> dict[str, Word]:
    """The newest word on each rater of this round, by the rater's name.

    Raises:
        DataError: an entry is damaged.
    """
    storage = round_.open_store().storage
    found = [_decision(storage.get(name) or b"", name) for name in storage.names(_folder(round_))]
    own = [decision for decision in found if decision.round_number == round_.number]
    return {d.rater: d.out_of_domain for d in sorted(own, key=lambda d: d.decided_at)}


def _decision(content: bytes, name: str) -> Decision:
    try:
        return Decision(**json.loads(content))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The decision {name} must say round, rater and word, but: {error}. A newer madloop wrote it, or "
            "it is damaged: update the checkout, or remove it and decide again."
        ) from error


def _folder(round_: Round) -> str:
    return f"campaigns/{round_.campaign.name}/decisions"
