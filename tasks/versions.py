"""Model versions: 0 is the customer's target, n is what round n made of it."""

from __future__ import annotations

from configs.model_specs import ModelSpec
from models.zoo import version_spec
from tasks.errors import ConfigError
from tasks.rounds import Round, has_ended, recall, require


def version_name(round_: Round, version: int) -> str:
    """Name of a model version in records and reports."""
    target = round_.campaign.target.name
    return target if version == 0 or not round_.campaign.repair else f"{target}-v{version}"


def spec_of_version(round_: Round, version: int) -> ModelSpec:
    """The model spec of a version; in a campaign without repair, the target whatever the version.

    Raises:
        ConfigError: `repair` was changed after the first round had ended.
        NotReadyError: the round that makes it has not finished.
    """
    if version == 0:
        return round_.campaign.target
    is_repaired = recall(round_.at(version), "version") is not None
    if has_ended(round_.at(version), closing=False) and is_repaired != round_.campaign.repair:
        raise ConfigError(
            f"`repair: {str(is_repaired).lower()}` was required, because round {version} of "
            f"{round_.campaign.name} ended under it, got {str(not is_repaired).lower()}. Change it back, or "
            f"begin a new campaign with the model you want as its target."
        )
    if not round_.campaign.repair:
        return round_.campaign.target
    ref = require(round_.at(version), "version")
    folder = round_.open_store().folder(ref, "network")
    return version_spec(round_.campaign.target, folder, version_name(round_, version))
