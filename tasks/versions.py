"""Model versions: 0 is the customer's target, n is what round n made of it."""

from __future__ import annotations

from configs.schema import ModelSpec
from models.zoo import version_spec
from tasks.rounds import Round, require


def version_name(round_: Round, version: int) -> str:
    """Name of a model version in records and reports."""
    target = round_.campaign.target.name
    return target if version == 0 else f"{target}-v{version}"


def spec_of_version(round_: Round, version: int) -> ModelSpec:
    """The model spec of a version.

    Raises:
        NotReadyError: the round that makes it has not finished.
    """
    if version == 0:
        return round_.campaign.target
    ref = require(round_.at(version), "version")
    folder = round_.open_store().path(ref, "network/config.json").parent
    return version_spec(round_.campaign.target, folder, version_name(round_, version))
