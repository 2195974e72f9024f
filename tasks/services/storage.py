"""Where artefacts lie: named byte strings, written once, the first write winning.

Names are relative, with forward slashes. This module is the only one that touches the store's files.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from tasks.errors import DataError, TerminalServiceError


class LocalStorage:
    """A folder as an object store.

    A file appears under its name complete or not at all: it is written beside its place, synced, and linked to
    its name. A link fails when the name exists, which is what makes the first write win.
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
        temporary = self._write_beside(name, content)
        try:
            os.link(temporary, self._path(name))
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        _sync_folder(self._path(name).parent)
        return True

    def put(self, name: str, content: bytes) -> None:
        """Store `content` under `name`, replacing what was there; readers see the old or the new, never a mixture."""
        temporary = self._write_beside(name, content)
        temporary.replace(self._path(name))
        _sync_folder(self._path(name).parent)

    def put_file(self, name: str, source: Path) -> None:
        """Move the file `source` to `name`."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        shutil.move(source, path)
        _sync_folder(path.parent)

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
        path = self._path(name)
        if not path.exists():
            raise DataError(
                f"The store {self._root} should hold {name}, but it does not; was it removed by hand?"
            )
        return path

    def names(self, prefix: str) -> Iterator[str]:
        """All names below the folder `prefix`, sorted; unfinished writes are not among them."""
        folder = self._path(prefix)
        if not folder.is_dir():
            return
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith(".unfinished-"):
                yield path.relative_to(self._root).as_posix()

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"`name` must be a relative name without empty parts or dots, got {name!r}")
        return self._root.joinpath(*parts)

    def _write_beside(self, name: str, content: bytes) -> Path:
        path = self._path(name)
        temporary = path.parent / f".unfinished-{uuid.uuid4().hex}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            temporary.unlink(missing_ok=True)
            way_out = (
                "free some space and run again" if error.errno == errno.ENOSPC else "check its permissions"
            )
            raise TerminalServiceError(
                f"The store {self._root} could not take {name} ({len(content)} bytes): {error.strerror}; {way_out}."
            ) from error
        return temporary


def _sync_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
