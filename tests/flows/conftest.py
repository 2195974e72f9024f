"""Flows run on real servers, on a campaign small enough to be run many times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from configs.settings import Settings
from tests.lib.forked_runs import ForkedRuns
from tests.lib.services import label_studio_bin, services
from tests.lib.tiny_campaign import TinyCampaign, make_tiny_campaign

__all__ = ["label_studio_bin", "services"]


@pytest.fixture(scope="session")
def tiny_campaign(tmp_path_factory: pytest.TempPathFactory) -> TinyCampaign:
    """Data, models and config of the tiny campaign."""
    return make_tiny_campaign(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def forked_runs(services: Settings) -> Iterator[ForkedRuns]:
    """Where `madloop` commands are started."""
    runs = ForkedRuns(services)
    yield runs
    runs.close()
