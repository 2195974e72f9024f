"""Objects by their URI, and what goes wrong with an S3 server: said in our words, with the way out."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from urllib.parse import unquote

import pytest

from infra.processes import choose_ports
from infra.seaweedfs import BUCKET
from tasks.errors import ConfigError, DataError, TerminalServiceError, TransientServiceError
from tasks.services.object_store import list_objects, open_client, read_object, write_object
from tasks.services.storage import open_storage
from tests.lib.cutting_proxy import Cuts, cutting_proxy
from tests.lib.object_store import ObjectStore, object_store, reachable

__all__ = ["object_store", "reachable"]

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def _pauses_of_botocore() -> Iterator[None]:
    """Botocore draws the pause before a retry from the global generator; no test is to blame for that."""
    state = random.getstate()
    yield
    random.setstate(state)


@pytest.fixture
def folder() -> str:
    """URI of a new, empty folder of the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def _set(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_objects_are_listed_below_their_folder_and_read_back(reachable: ObjectStore, folder: str) -> None:
    names = ["b/2 ü.png", "b-1.png", "b/1.png", "a+%.png"]
    for name in names:
        write_object(f"{folder}/pool/{name}", name.encode())
    write_object(f"{folder}/pool2/other.png", b"")
    listed = [f"{folder}/pool/{name}" for name in ("a+%.png", "b/1.png", "b/2 ü.png", "b-1.png")]
    assert list(list_objects(f"{folder}/pool")) == listed
    assert list(list_objects(f"{folder}/pool/")) == listed
    assert [read_object(uri).decode() for uri in listed] == [uri.split("/pool/")[1] for uri in listed]
    assert list(list_objects(f"{folder}/nothing")) == []


def test_an_object_that_is_not_there_is_wrong_data(reachable: ObjectStore, folder: str) -> None:
    with pytest.raises(DataError, match=f"An object was required at {folder}/a.png, but there is none"):
        read_object(f"{folder}/a.png")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://x", "must be `s3://bucket/key`"),
        ("s3:/bucket/key", "must be `s3://bucket/key`"),
        ("s3://key:hush-hush@bucket/a", "must not hold a user or a password"),
    ],
)
def test_a_malformed_uri_is_a_wrong_setting_and_no_password_is_repeated(
    reachable: ObjectStore, uri: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_object(uri)
    assert "hush" not in str(caught.value)


def test_a_wrong_key_is_refused(reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    _set(monkeypatch, reachable.environment(secret="wrong"))
    for call in (
        lambda: read_object(f"{folder}/a"),
        lambda: list(list_objects(folder)),
        lambda: open_storage(folder).put("a", b""),
    ):
        with pytest.raises(TerminalServiceError, match=r"answered 403 .*Check the keys"):
            call()


def test_no_key_at_all_is_a_wrong_setting(
    reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigError, match=r"Unable to locate credentials.*AWS_ACCESS_KEY_ID"):
        read_object(f"{folder}/a")


def test_a_bucket_that_is_not_there_is_named(reachable: ObjectStore) -> None:
    for call in (
        lambda: read_object("s3://no-such-bucket/a"),
        lambda: list(list_objects("s3://no-such-bucket/a")),
        lambda: open_storage("s3://no-such-bucket/store").get("a"),
        lambda: open_storage("s3://no-such-bucket/store").put("a", b""),
    ):
        with pytest.raises(
            TerminalServiceError, match=r"s3://no-such-bucket/.*NoSuchBucket. Make the bucket"
        ):
            call()


def test_an_endpoint_that_is_down_is_worth_another_try(
    reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    port = choose_ports({"nobody": [0]})["nobody"]
    _set(monkeypatch, reachable.environment(url=f"http://127.0.0.1:{port}"))
    with pytest.raises(TransientServiceError, match=r"connection failed.*services up --object-store"):
        read_object(f"{folder}/a")


@contextmanager
def _forgetful(reachable: ObjectStore, cuts: Cuts) -> Iterator[str]:
    """A server in front of which every object is gone before it is put: as one that ignores the condition."""
    client = open_client(reachable.access)

    def forget(method: str, path: str) -> None:
        if method == "PUT":
            bucket, _, key = unquote(path.partition("?")[0]).lstrip("/").partition("/")
            client.delete_object(Bucket=bucket, Key=key)

    with cutting_proxy(str(reachable.access.url), cuts, before=forget, keeps_host=True) as url:
        yield url


def test_an_endpoint_that_ignores_the_condition_is_refused_and_nothing_is_left_there(
    reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    with _forgetful(reachable, Cuts("", 0)) as url:
        _set(monkeypatch, reachable.environment(url=url))
        storage = open_storage(folder)
        for _ in range(2):  # and is refused every time
            with pytest.raises(TerminalServiceError, match=r"required to heed `If-None-Match: \*`"):
                storage.put_if_absent("a", b"1")
            with pytest.raises(TerminalServiceError, match=r"required to heed `If-None-Match: \*`"):
                storage.put("a", b"1")
        assert list(list_objects(folder)) == []


def test_a_write_whose_answer_is_lost_is_in_the_store_once_and_no_error(
    reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    cuts = Cuts("/cut", 1, method="PUT")
    with cutting_proxy(str(reachable.access.url), cuts, keeps_host=True) as url:
        _set(monkeypatch, reachable.environment(url=url))
        storage = open_storage(folder)
        assert not storage.put_if_absent("blobs/cut", b"ours")  # the repeated request finds our own object
        assert storage.get("blobs/cut") == b"ours"
        cuts.left = 1
        storage.put("reports/cut", b"new")
        assert storage.get("reports/cut") == b"new"
    assert cuts.done == 2


def test_a_read_that_breaks_off_is_begun_again(
    reachable: ObjectStore, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    write_object(f"{folder}/cut", b"content")
    cuts = Cuts("/cut", 2, method="GET")
    with cutting_proxy(str(reachable.access.url), cuts, keeps_host=True) as url:
        _set(monkeypatch, reachable.environment(url=url))
        assert read_object(f"{folder}/cut") == b"content"
    assert cuts.done == 2


def test_worker_processes_reach_it_as_their_parent_does(reachable: ObjectStore, folder: str) -> None:
    write_object(f"{folder}/a", b"content")
    with get_context("spawn").Pool(2) as pool:
        assert pool.map(read_object, [f"{folder}/a"] * 4) == [b"content"] * 4
        pool.close()
        pool.join()


def test_no_key_stands_in_what_is_printed_or_stored(reachable: ObjectStore, folder: str) -> None:
    secrets = [
        secret.get_secret_value()
        for secret in (reachable.access.access_key, reachable.access.secret_key)
        if secret is not None
    ]
    storage = open_storage(folder)
    storage.put("a", b"1")
    said = repr(storage) + repr(reachable.access) + str(reachable.access.model_dump_json())
    assert len(secrets) == 2
    assert not any(secret in said for secret in secrets)
