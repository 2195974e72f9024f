"""Storage in a folder of this machine: files appear under their names in whole or not at all.

This module is the only one that touches the store's files; pictures for Label Studio are written by it too.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import DataError, TerminalServiceError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class StoredObject:
    """One object of a store.

    Attributes:
        name: its name.
        size_bytes: its size.
        written_at: seconds since 1970.
        used_at: when it was written or, where the system notes that, last read; seconds since 1970.
    """

    name: str
    size_bytes: int
    written_at: float
    used_at: float


class LocalStorage:
    """A folder as an object store.

    A file appears under its name complete or not at all: it is written beside its place, synced, and linked
    to its name. A link fails when the name exists, which is what makes the first write win.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __repr__(self) -> str:
        return f"LocalStorage({str(self._root)!r})"

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Whether `content` was stored under `name`; False if something already was.

        Raises:
            TerminalServiceError: the disk is full or the folder cannot be written.
        """
        with self._new_file(name) as temporary:
            _write_synced(temporary, content)
            try:
                os.link(temporary, self._path(name))
            except FileExistsError:
                return False
        return True

    def put(self, name: str, content: bytes) -> None:
        """Store `content` under `name`, replacing what was there; readers see the old or the new."""
        with self._new_file(name) as temporary:
            _write_synced(temporary, content)
            temporary.replace(self._path(name))

    def put_file(self, name: str, source: Path) -> None:
        """Move the file `source` to `name`.

        Raises:
            TerminalServiceError: the disk is full or the folder cannot be written.
        """
        with self._new_file(name) as temporary:
            shutil.move(source, temporary)  # a copy between disks, so it is synced after
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self._path(name))

    def attempt_folder(self, key: str) -> Path:
        """A folder on this machine for unfinished work that may go on after a crash; it is not made."""
        return self._root / "attempts" / key

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for unfinished work, on the disk of the store; it is removed at the end.

        Raises:
            TerminalServiceError: the disk became full meanwhile.
        """
        attempts = self._root / "attempts"
        try:
            attempts.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=attempts) as folder:
                yield Path(folder)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise TerminalServiceError(
                f"Room was required in {attempts}, but: {error.strerror}; free some space and run again."
            ) from error

    def get(self, name: str) -> bytes | None:
        """The bytes stored under `name`, or None."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def local_path(self, name: str) -> Path:
        """A readable path to the file stored under `name`.

        Raises:
            DataError: nothing is stored under that name.
        """
        path = self.find(name)
        if path is None:
            raise DataError(
                f"The store {self._root} should hold {name}, but it does not; was it removed by hand?"
            )
        return path

    def find(self, name: str) -> Path | None:
        """The file stored under `name`, or None."""
        path = self._path(name)
        return path if path.exists() else None

    def names(self, prefix: str) -> Iterator[str]:
        """All names below the folder `prefix`, sorted; unfinished writes are not among them."""
        folder = self._path(prefix)
        if not folder.is_dir():
            return
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(".unfinished-"):
                yield path.relative_to(self._root).as_posix()

    def entries(self, prefix: str) -> Iterator[StoredObject]:
        """All objects below the folder `prefix`; what vanishes meanwhile is left out."""
        for name in self.names(prefix):
            with suppress(FileNotFoundError):
                facts = self._path(name).stat()
                used_at = max(facts.st_mtime, facts.st_atime)
                yield StoredObject(name, facts.st_size, facts.st_mtime, used_at)

    def delete(self, name: str) -> None:
        """Remove the file stored under `name`, if there is one, and the folders that this leaves empty.

        Raises:
            TerminalServiceError: the folder cannot be written.
        """
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise TerminalServiceError(
                f"The store {self._root} could not remove {name}: {error.strerror}; check its permissions."
            ) from error
        for folder in path.relative_to(self._root).parents[:-1]:
            try:
                (self._root / folder).rmdir()
            except OSError:  # it holds something, or is gone
                break

    @property
    def local(self) -> LocalStorage:
        """This folder."""
        return self

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*checked_parts(name))

    @contextmanager
    def _new_file(self, name: str) -> Iterator[Path]:
        """A place beside that of `name` to write to; what was not moved to `name` is removed.

        Raises:
            TerminalServiceError: the disk is full or the folder cannot be written.
        """
        path = self._path(name)
        temporary = path.parent / f".unfinished-{uuid.uuid4().hex}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            is_full = error.errno in _FULL
            way_out = "free some space and run again" if is_full else "check its permissions"
            raise TerminalServiceError(
                f"The store {self._root} could not take {name}: {error.strerror}; {way_out}."
            ) from error


def checked_parts(name: str) -> list[str]:
    """The parts of a name.

    Raises:
        ValueError: it could lead out of the store, or has a backslash, which some servers take for a slash.
    """
    parts = name.split("/")
    if "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"`name` must be a relative name without empty parts, dots and backslashes, got {name!r}"
        )
    return parts


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
