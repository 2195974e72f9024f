"""What every flow does first: find its settings and the campaign it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import prefect

from configs.settings import Settings, load_settings
from tasks.artifacts import ArtifactStore
from tasks.rounds import Round, load_campaign_by_name


def open_round(campaign: str, number: int) -> tuple[Settings, Round]:
    """The settings of this installation and a round of a stored campaign."""
    settings = load_settings()
    stored = load_campaign_by_name(ArtifactStore.at(settings.store), campaign)
    return settings, Round(stored, number, settings.store)


@contextmanager
def tagged(campaign: str, number: int | None = None) -> Iterator[None]:
    """Runs made inside carry the campaign and the round as tags."""
    tags = [f"campaign:{campaign}"] + ([] if number is None else [f"round:{number}"])
    with prefect.tags(*tags):
        yield
