"""The tiny campaign, mined once and shared by the tests of the stages."""

from __future__ import annotations

import pytest

from configs.load import load_campaign
from configs.schema import Campaign
from tests.lib.tiny_campaign import make_tiny_campaign


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign with three small trained networks and data on disk, without the people's section."""
    made = make_tiny_campaign(tmp_path_factory.mktemp("tiny"), pool=24)
    return load_campaign(made.config).model_copy(update={"simulated_people": None})
