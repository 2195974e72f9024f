"""Storage in a folder, beyond what every storage promises: unfinished writes, a full disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configs.settings import CHECKOUT
from tasks.errors import TerminalServiceError
from tasks.services.local_storage import LocalStorage

FULL = """
import resource, signal, sys
from pathlib import Path
from tasks.errors import TerminalServiceError
from tasks.services.local_storage import LocalStorage
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


def test_unfinished_writes_are_not_listed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("a/b", b"1")
    (tmp_path / "a" / ".unfinished-0123").write_bytes(b"half")
    assert list(storage.names("a")) == ["a/b"]
    assert list(storage.names("nowhere")) == []


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
