"""The storage: complete or absent, the first write wins, a full disk is said so."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from configs.settings import CHECKOUT
from tasks.errors import DataError, TerminalServiceError
from tasks.services.storage import LocalStorage

FULL = """
import resource, signal, sys
from pathlib import Path
from tasks.errors import TerminalServiceError
from tasks.services.storage import LocalStorage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])
(root / "source").write_bytes(bytes(5000))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
storage = LocalStorage(root / "store")
calls = [
    lambda: storage.put("a/big", bytes(5000)),
    lambda: storage.put_if_absent("a/big", bytes(5000)),
]
for call in calls:
    try:
        call()
    except TerminalServiceError as error:
        print(error)
print(sorted(path.name for path in (root / "store").rglob("*")), list(storage.names("a")))
"""


def test_of_eight_writers_one_wins_and_all_read_its_bytes(tmp_path: Path) -> None:
    storage, start = LocalStorage(tmp_path), Barrier(8)

    def write(number: int) -> tuple[bool, bytes | None]:
        start.wait()
        won = storage.put_if_absent("a/name", bytes([number]) * 10_000)
        return won, storage.get("a/name")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, range(8)))
    winner = [number for number, (won, _) in enumerate(results) if won]
    assert len(winner) == 1
    assert {content for _, content in results} == {bytes(winner) * 10_000}
    assert list(storage.names("a")) == ["a/name"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["name"]


def test_put_replaces_and_put_file_moves(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "store")
    storage.put("name", b"old")
    storage.put("name", b"new")
    (tmp_path / "made").write_bytes(b"file")
    storage.put_file("deep/er/file", tmp_path / "made")
    assert (storage.get("name"), storage.get("deep/er/file")) == (b"new", b"file")
    assert not (tmp_path / "made").exists()
    assert list(storage.names("deep")) == ["deep/er/file"]


def test_unfinished_writes_are_not_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("a/b", b"1")
    (tmp_path / "a" / ".unfinished-0123").write_bytes(b"half")
    assert list(storage.names("a")) == ["a/b"]
    assert list(storage.names("nowhere")) == []


@pytest.mark.parametrize("name", ["../x", "a/../x", "/x", "a//b", "./a", "", "a/"])
def test_names_that_could_leave_the_store_are_refused(tmp_path: Path, name: str) -> None:
    storage = LocalStorage(tmp_path / "store")
    for call in (
        storage.get,
        storage.local_path,
        lambda n: storage.put(n, b""),
        lambda n: list(storage.names(n)),
    ):
        with pytest.raises(ValueError, match="`name` must be a relative name"):
            call(name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_none_to_get_and_an_error_as_a_path(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.get("a") is None
    with pytest.raises(DataError, match="should hold a, but it does not"):
        storage.local_path("a")


def test_a_full_disk_is_a_terminal_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    *messages, left = done.stdout.splitlines()
    assert len(messages) == 2
    assert all("could not take a/big: File too large; free some space" in message for message in messages)
    assert left == "['a'] []"


def test_a_folder_that_is_a_file_is_a_terminal_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "made").write_bytes(b"file")
    storage = LocalStorage(tmp_path)
    for call in (
        lambda: storage.put("a/b", b"1"),
        lambda: storage.put_if_absent("a/b", b"1"),
        lambda: storage.put_file("a/b", tmp_path / "made"),
    ):
        with pytest.raises(TerminalServiceError, match="could not take a/b"):
            call()
