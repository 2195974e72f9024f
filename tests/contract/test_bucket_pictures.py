"""Pictures in a bucket, on the real servers: seen by who is logged in, and no key where it should not be."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from configs.settings import Settings, load_settings
from infra.local import services_up
from infra.seaweedfs import BUCKET
from infra.simulated_people import _picture
from tasks.core.digests import digest_of_bytes
from tasks.errors import TerminalServiceError
from tasks.labelling import Screen, label_studio, open_project, picture_folder
from tasks.rounds import Round
from tasks.services.browser_access import allow_pages
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import dense_screen, picture_url
from tasks.services.label_studio_session import log_in, open_client
from tasks.services.object_store import list_objects, read_object
from tasks.services.object_store import open_client as open_client_of_s3
from tests.lib.written_campaigns import campaign_of, png, write_file

pytestmark = pytest.mark.services

SCREEN = Screen("masks", dense_screen([("ground", "#808080")]), "A test", "<p>Draw.</p>")


@pytest.fixture
def settings(services: Settings, monkeypatch: pytest.MonkeyPatch, label_studio_bin: Path) -> Settings:
    """The session's services with the S3 server beside them, as a command finds them."""
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    services_up(services, on_event=lambda _: None, object_store=True, parent_pid=os.getpid())
    return load_settings()


@pytest.fixture
def round_(settings: Settings, tmp_path: Path) -> Round:
    name = f"t-{uuid.uuid4().hex[:8]}"
    return Round(campaign_of(tmp_path, name=name), 1, f"s3://{BUCKET}/{name}/store")


@pytest.fixture
def published(round_: Round, settings: Settings, tmp_path: Path) -> tuple[int, str]:
    """Project of an annotator with one task, and the address of its picture."""
    content = png(1)
    uri = str(write_file(tmp_path / "a.png", content))
    with label_studio(settings) as service:
        project_id = open_project(service, round_, settings, "ann", SCREEN).project_id
        address = picture_folder(round_, settings).put_image(uri, digest_of_bytes(content))
        service.publish_tasks(project_id, [Task("k", {"image": address, "note": ""})])
    return project_id, address


@pytest.fixture
def browser(published: tuple[int, str], settings: Settings) -> Iterator[httpx.Client]:
    """The annotator's session."""
    login = json.loads(settings.people_file.read_text())["ann"]
    with open_client(settings.require("label_studio"), timeout_s=60.0) as client:
        assert log_in(client, email=login["email"], password=login["password"])
        yield client


def _task_id(browser: httpx.Client, project_id: int) -> int:
    answer = browser.get("/api/tasks", params={"project": project_id, "fields": "all"})
    task_id: int = answer.json()["tasks"][0]["id"]
    return task_id


def test_a_session_is_sent_on_to_a_link_that_expires_and_nobody_else_is(
    settings: Settings, published: tuple[int, str], browser: httpx.Client
) -> None:
    project_id, address = published
    task_id = _task_id(browser, project_id)
    place = picture_url(address, task_id)
    shown = browser.get(f"/api/tasks/{task_id}/").json()["data"]["image"]

    assert shown == f"{settings.label_studio_url}{place}"
    link = browser.get(place).headers["location"]
    assert link.startswith(f"{settings.object_store.url}/{BUCKET}/")
    assert "X-Amz-Expires=300" in link
    picture = httpx.get(link, headers={"Origin": str(settings.label_studio_url)}, trust_env=False)
    assert picture.content == read_object(address)
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["access-control-allow-origin"] in ("*", settings.label_studio_url)
    bare = httpx.get(link.split("?")[0], trust_env=False)
    nobody = httpx.get(f"{settings.label_studio_url}{place}", trust_env=False)
    assert (bare.status_code, nobody.status_code) == (403, 401)
    task = {"id": task_id, "data": {"image": address}}
    assert _picture(browser, task, "image").shape == (24, 32, 3)


def test_members_reach_pictures_and_nothing_else_of_the_bucket(
    round_: Round, published: tuple[int, str], browser: httpx.Client
) -> None:
    """Any member may ask for any URI of the bucket; the keys decide."""
    round_.open_store().storage.put("campaigns/secret.json", b"{}")
    place = picture_url(f"{round_.store}/campaigns/secret.json", _task_id(browser, published[0]))
    link = browser.get(place).headers["location"]
    assert httpx.get(link, trust_env=False).status_code == 403


def test_opening_again_makes_no_second_storage_and_sends_the_keys_anew(
    round_: Round, settings: Settings, published: tuple[int, str], browser: httpx.Client
) -> None:
    def storages() -> list[dict[str, object]]:
        answer = browser.get("/api/storages/s3", params={"project": published[0]})
        found: list[dict[str, object]] = answer.json()
        return found

    before = storages()
    keys = settings.require_picture_keys()
    wrong = settings.model_copy(
        update={"picture_keys": keys.model_copy(update={"secret_key": keys.access_key})}
    )
    with label_studio(settings) as service:
        open_project(service, round_, settings, "ann", SCREEN)
        with pytest.raises(TerminalServiceError, match="a link made with them was answered 403"):
            open_project(service, round_, wrong, "ann", SCREEN)
    assert [s["id"] for s in storages()] == [s["id"] for s in before]
    assert len(before) == 1
    place = picture_url(published[1], _task_id(browser, published[0]))
    assert httpx.get(browser.get(place).headers["location"], trust_env=False).status_code == 200


@pytest.fixture
def elsewhere(settings: Settings) -> Iterator[str]:
    """A rule of the bucket that lets pages of another site alone read it."""
    client, site = open_client_of_s3(), "https://elsewhere.example.org"
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": [site]}
    client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    yield site
    client.delete_bucket_cors(Bucket=BUCKET)


def test_label_studios_pages_are_allowed_beside_those_of_others(
    settings: Settings, elsewhere: str, published: tuple[int, str], browser: httpx.Client
) -> None:
    rules = open_client_of_s3().get_bucket_cors(Bucket=BUCKET)["CORSRules"]
    site = settings.require("label_studio")
    assert [rule["AllowedOrigins"] for rule in rules] == [[elsewhere], [site]]

    link = browser.get(picture_url(published[1], _task_id(browser, published[0]))).headers["location"]
    allowed = {
        origin: httpx.get(link, headers={"Origin": origin}, trust_env=False).headers.get(
            "access-control-allow-origin"
        )
        for origin in (site, elsewhere, "https://stranger.example.org")
    }
    assert allowed == {site: site, elsewhere: elsewhere, "https://stranger.example.org": None}

    allow_pages(published[1], site, settings.require_picture_keys())
    assert len(open_client_of_s3().get_bucket_cors(Bucket=BUCKET)["CORSRules"]) == 2


def test_keys_that_do_not_open_the_pictures_are_refused_before_anybody_is_asked(
    settings: Settings, published: tuple[int, str]
) -> None:
    keys = settings.require_picture_keys()
    wrong = keys.model_copy(update={"secret_key": keys.access_key})
    with pytest.raises(TerminalServiceError, match=r"answered 403\. Check MADLOOP_PICTURE_ACCESS_KEY_ID"):
        allow_pages(published[1], settings.require("label_studio"), wrong)


def test_no_key_stands_in_tasks_logs_or_the_store(
    round_: Round, settings: Settings, published: tuple[int, str], browser: httpx.Client
) -> None:
    project_id, _ = published
    link = browser.get(picture_url(published[1], _task_id(browser, project_id))).headers["location"]
    httpx.get(link, trust_env=False)
    reader, owner = settings.require_picture_keys(), settings.object_store
    assert owner.secret_key is not None
    secrets = [key.get_secret_value().encode() for key in (reader.secret_key, owner.secret_key)]
    seen = [browser.get(path).content for path in (
        f"/api/tasks?project={project_id}&fields=all", f"/api/projects/{project_id}/export?exportType=JSON",
        f"/api/storages/s3?project={project_id}",
    )]  # fmt: skip
    seen += [path.read_bytes() for path in settings.services.rglob("log*.txt")]
    seen += [read_object(uri) for uri in list_objects(round_.store)]

    assert not any(secret in content for secret in secrets for content in seen)
    signature = link.split("X-Amz-Signature=")[1].split("&")[0].encode()
    assert not any(signature in content for content in seen)
    database = b"".join(
        path.read_bytes() for path in (settings.services / "label_studio" / "data").glob("*.sqlite3*")
    )
    assert [secret in database for secret in secrets] == [True, False]
