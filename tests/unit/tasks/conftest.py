"""What tests of the stages share: the tiny campaign, mined once, and a Label Studio in memory."""

from __future__ import annotations

import pytest

from configs.load import load_campaign
from configs.schema import Campaign
from tests.lib.fake_label_studio import FakeLabelStudio
from tests.lib.tiny_campaign import make_tiny_campaign


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeLabelStudio:
    """A Label Studio in memory, in place of the real one, for the stages of rating."""
    fake = FakeLabelStudio()
    for module in ("tasks.ratings", "tasks.rating_answers"):
        monkeypatch.setattr(f"{module}.label_studio", fake.connect)
    return fake


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign with three small trained networks and data on disk, without the people's section."""
    made = make_tiny_campaign(tmp_path_factory.mktemp("tiny"), pool=24)
    return load_campaign(made.config).model_copy(update={"simulated_people": None})
