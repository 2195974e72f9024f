"""A whole round with store and pool on a real S3 server finds what it finds in folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from configs.settings import Settings, load_settings
from infra.local import services_up
from infra.seaweedfs import BUCKET
from tasks.services.object_store import list_objects, read_object, write_object
from tests.lib.campaign_runs import (
    CampaignRun,
    finish,
    people_at_work,
    prepare_run,
    tasks_in_label_studio,
    twice_asked_or_answered,
)
from tests.lib.forked_runs import ForkedRuns
from tests.lib.object_store import ObjectStore, object_store, reachable
from tests.lib.tiny_campaign import TinyCampaign

__all__ = ["object_store", "reachable"]

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

STORE = f"s3://{BUCKET}/tiny/store"
POOL = f"s3://{BUCKET}/tiny/pool"


@pytest.fixture
def settings(
    services: Settings, reachable: ObjectStore, label_studio_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Those of the services, with the object store of the environment, which Label Studio is told of."""
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    services_up(load_settings(), on_event=lambda _: None, parent_pid=os.getpid())
    return load_settings()


def _run_in_folders(
    tiny_campaign: TinyCampaign, services: Settings, runs: ForkedRuns, folder: Path
) -> dict[str, str]:
    run = prepare_run(tiny_campaign.config, "tiny-folder", services, folder)
    with people_at_work(run, folder / "people.txt"):
        finish(run, runs)
    return run.digests()


def _run_in_the_bucket(
    tiny_campaign: TinyCampaign, services: Settings, runs: ForkedRuns, folder: Path
) -> CampaignRun:
    run = prepare_run(tiny_campaign.config, "tiny-bucket", services, folder, store=STORE)
    values = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    pool = tiny_campaign.config.parent / values["pool"]["images"]
    for path in pool.iterdir():
        write_object(f"{POOL}/{path.name}", path.read_bytes())
    run.config.write_text(yaml.safe_dump(values | {"pool": {"images": POOL}}), encoding="utf-8")
    with people_at_work(run, folder / "people.txt"):
        finish(run, runs)
    return run


def test_a_round_in_a_bucket_has_the_digests_of_a_round_in_folders_and_keeps_no_key(
    tiny_campaign: TinyCampaign,
    settings: Settings,
    reachable: ObjectStore,
    tmp_path: Path,
) -> None:
    runs = ForkedRuns(settings)
    try:
        expected = _run_in_folders(tiny_campaign, settings, runs, tmp_path)
        run = _run_in_the_bucket(tiny_campaign, settings, runs, tmp_path)
    finally:
        runs.close()

    assert expected == run.digests()
    assert {"1/report", "2/closing_report", "1/version"} <= expected.keys()
    assert twice_asked_or_answered(run) == []
    reports = [uri for uri in list_objects(f"{STORE}/reports") if uri.endswith("tiny-bucket-round-1.html")]
    assert len(reports) == 1
    _assert_no_key_is_kept(reachable, run, tmp_path)


def _assert_no_key_is_kept(server: ObjectStore, run: CampaignRun, folder: Path) -> None:
    """No key stands in an object of the store, a log, a file of the services, or a task of Label Studio."""
    keys = [server.environment()[name].encode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    contents = {uri: read_object(uri) for uri in list_objects(STORE)}
    for root in (folder, run.settings.services):
        contents |= {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    contents["Label Studio"] = repr(tasks_in_label_studio(run)).encode()
    assert len(contents) > 50
    assert [place for place, content in contents.items() if any(key in content for key in keys)] == []
