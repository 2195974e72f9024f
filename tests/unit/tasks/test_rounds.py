"""A round's index and the stored campaign: what another version of madloop wrote is said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.artifacts import ArtifactRef
from tasks.errors import DataError
from tasks.rounds import load_campaign_by_name, recall, remember, save_campaign, stages_of
from tests.lib.written_campaigns import round_of


def test_a_campaign_that_a_newer_version_wrote_is_refused_with_the_way_out(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    store = round_.open_store()
    save_campaign(store, round_.campaign)
    assert load_campaign_by_name(store, "small") == round_.campaign
    path = tmp_path / "store/campaigns/small/campaign.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"telepathy": True}))
    with pytest.raises(DataError, match="A newer madloop wrote it"):
        load_campaign_by_name(store, "small")
    path.write_bytes(b"")
    with pytest.raises(DataError, match="or it is damaged"):
        load_campaign_by_name(store, "small")


@pytest.mark.parametrize("content", [b'{"stage": "pool", "colour": 1}', b"", b"[1]"])
def test_an_index_entry_of_another_version_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    round_ = round_of(tmp_path)
    remember(round_, "pool", ArtifactRef("pool", "k", "d", "f"))
    (tmp_path / "store/campaigns/small/rounds/0001/pool.json").write_bytes(content)
    for read in (lambda: recall(round_, "pool"), lambda: stages_of(round_)):
        with pytest.raises(DataError, match=r"rounds/0001/pool\.json must name one artefact"):
            read()
