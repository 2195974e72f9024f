"""What `Storage` promises, on a folder and on a real S3 server: complete or absent, the first write wins."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from infra.seaweedfs import BUCKET
from tasks.artifacts import ArtifactStore, Draft, StageKey
from tasks.errors import DataError
from tasks.services.storage import Storage, open_storage
from tests.lib.object_store import ObjectStore, object_store, reachable

__all__ = ["object_store", "reachable"]

ODD_NAMES = (
    "artefacts/a b/ü–漢字.txt",
    "artefacts/a+b/50%25 #1?.txt",
    "artefacts/a&b/=quoted='x'\";,:@$.txt",
    "artefacts/~x/(1)[2]{3}|^`<>.txt",
)


def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store")


def _bucket(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    request.getfixturevalue("reachable")
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/store"


Places = Callable[[pytest.FixtureRequest, Path], str]


@pytest.fixture(
    params=[pytest.param(_folder, id="folder"), pytest.param(_bucket, id="s3", marks=pytest.mark.services)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty place."""
    choose: Places = request.param
    return choose(request, tmp_path)


@pytest.fixture
def storage(place: str) -> Storage:
    """The storage there."""
    return open_storage(place)


def test_of_sixteen_writers_one_wins_and_all_read_its_bytes(storage: Storage) -> None:
    start = Barrier(16)

    def write(number: int) -> tuple[bool, bytes | None]:
        start.wait()
        won = storage.put_if_absent("a/name", bytes([number]) * 10_000)
        return won, storage.get("a/name")

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(write, range(16)))
    winner = [number for number, (won, _) in enumerate(results) if won]
    assert len(winner) == 1
    assert {content for _, content in results} == {bytes(winner) * 10_000}
    assert list(storage.names("a")) == ["a/name"]


def test_what_is_there_stays_when_it_is_put_if_absent(storage: Storage) -> None:
    assert storage.put_if_absent("blobs/x", b"first")
    assert not storage.put_if_absent("blobs/x", b"second")
    assert storage.get("blobs/x") == b"first"


def test_put_replaces_and_put_file_moves(storage: Storage, tmp_path: Path) -> None:
    storage.put("name", b"old")
    storage.put("name", b"new")
    (tmp_path / "made").write_bytes(b"file")
    storage.put_file("deep/er/file", tmp_path / "made")
    assert (storage.get("name"), storage.get("deep/er/file")) == (b"new", b"file")
    assert not (tmp_path / "made").exists()
    assert list(storage.names("deep")) == ["deep/er/file"]


def test_a_file_larger_than_a_part_comes_back_whole(storage: Storage, tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes((20 << 20) + 7)
    (tmp_path / "large").write_bytes(content)
    storage.put_file("artefacts/large", tmp_path / "large")
    assert storage.local_path("artefacts/large").read_bytes() == content
    assert storage.get("artefacts/large") == content


def test_an_empty_content_is_not_nothing(storage: Storage) -> None:
    storage.put("artefacts/empty", b"")
    assert storage.get("artefacts/empty") == b""
    assert storage.local_path("artefacts/empty").read_bytes() == b""


def test_more_names_than_one_page_holds_are_all_listed(storage: Storage) -> None:
    names = [f"many/{number:04d}" for number in range(1003)]
    storage.put("many-not/0000", b"")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: storage.put(name, b"x"), names))
    assert list(storage.names("many")) == names


def test_names_are_sorted_part_by_part(storage: Storage) -> None:
    names = ["a/a-b", "a/a/b", "a/a/c/d", "a/ab", "a/Z", "a/é"]
    for name in names:
        storage.put(name, b"")
    assert list(storage.names("a")) == ["a/Z", "a/a/b", "a/a/c/d", "a/a-b", "a/ab", "a/é"]
    assert list(storage.names("a/a")) == ["a/a/b", "a/a/c/d"]
    assert list(storage.names("nowhere")) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept_letter_by_letter(storage: Storage, name: str) -> None:
    assert storage.put_if_absent(name, name.encode())
    assert list(storage.names("artefacts")) == [name]
    assert storage.get(name) == name.encode()
    assert storage.local_path(name).read_bytes() == name.encode()


@pytest.mark.parametrize("name", ["../x", "a/../x", "/x", "a//b", "./a", "", "a/", "a\\b"])
def test_names_that_could_leave_the_store_are_refused(storage: Storage, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for call in (
        storage.get,
        storage.local_path,
        lambda n: storage.put(n, b""),
        lambda n: storage.put_if_absent(n, b""),
        lambda n: storage.put_file(n, tmp_path / "file"),
        lambda n: list(storage.names(n)),
    ):
        with pytest.raises(ValueError, match="`name` must be a relative name"):
            call(name)


def test_a_missing_file_is_none_to_get_and_an_error_as_a_path(storage: Storage, place: str) -> None:
    assert storage.get("blobs/a") is None
    with pytest.raises(DataError, match="should hold blobs/a, but it does not"):
        storage.local_path("blobs/a")


def test_a_path_shows_what_is_stored_now(storage: Storage) -> None:
    storage.put("campaigns/x/campaign.json", b"old")
    assert storage.local_path("campaigns/x/campaign.json").read_bytes() == b"old"
    storage.put("campaigns/x/campaign.json", b"new")
    assert storage.local_path("campaigns/x/campaign.json").read_bytes() == b"new"


def test_readers_at_once_all_get_the_whole_file(storage: Storage) -> None:
    content = np.random.default_rng(1).bytes(1 << 20)
    storage.put("artefacts/a/file", content)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: storage.local_path("artefacts/a/file"), range(8)))
    assert {path.read_bytes() for path in paths} == {content}


def test_scratch_is_removed_and_an_attempt_stays(storage: Storage) -> None:
    with storage.scratch() as folder:
        (folder / "half").write_bytes(b"1")
    assert not folder.exists()
    attempt = storage.attempt_folder("key")
    attempt.mkdir(parents=True)
    (attempt / "checkpoint").write_bytes(b"1")
    assert (storage.attempt_folder("key") / "checkpoint").read_bytes() == b"1"
    assert list(storage.names("artefacts")) == []


def test_an_artefact_is_made_once_and_its_folders_are_whole(place: str) -> None:
    store, runs = ArtifactStore.at(place), []

    def fill(draft: Draft) -> None:
        runs.append(1)
        for name in ("network/config.json", "network/deep/weights", "other"):
            draft.write_file(name, name.encode(), identity=True)

    key = StageKey("stage", 1, {"a": 1})
    ref = store.make(key, fill)
    again = ArtifactStore.at(place).make(key, fill)
    folder = store.folder(ref, "network")
    assert again == ref
    assert runs == [1]
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "config.json",
        "deep/weights",
    ]
    with pytest.raises(DataError, match="should have files below nothing/"):
        store.folder(ref, "nothing")


@pytest.mark.services
def test_the_read_cache_serves_again_and_may_be_deleted(reachable: ObjectStore, tmp_path: Path) -> None:
    storage = open_storage(f"s3://{BUCKET}/{uuid.uuid4().hex}")
    storage.put("artefacts/a/file", b"content")
    path = storage.local_path("artefacts/a/file")
    fetched = path.stat().st_mtime_ns
    time.sleep(0.01)
    assert storage.local_path("artefacts/a/file").stat().st_mtime_ns == fetched
    assert path.is_relative_to(tmp_path / "home" / "cache")
    shutil.rmtree(tmp_path / "home" / "cache")
    assert storage.local_path("artefacts/a/file").read_bytes() == b"content"


@pytest.mark.services
def test_two_prefixes_of_a_bucket_are_two_stores(reachable: ObjectStore) -> None:
    root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    one, other = open_storage(f"{root}/store"), open_storage(f"{root}/store2")
    one.put("artefacts/x", b"one")
    other.put("artefacts/x", b"other")
    assert one.local_path("artefacts/x").read_bytes() == b"one"
    assert other.local_path("artefacts/x").read_bytes() == b"other"
    assert list(one.names("artefacts")) == ["artefacts/x"]
