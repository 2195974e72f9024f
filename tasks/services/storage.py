"""Where artefacts lie: named byte strings, written once, the first write winning.

Names are relative, with forward slashes. A place is a folder of this machine or `s3://bucket/prefix`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from configs.locations import is_object_uri
from tasks.services.local_storage import LocalStorage, StoredObject


class Storage(Protocol):
    """Named byte strings. Names that could lead out of the store are refused with a ValueError.

    What stands under a name is there in whole or not at all. Objects below `artefacts/` and `blobs/` never
    change under their names. Every method raises TransientServiceError or TerminalServiceError when the store
    cannot be reached, refuses, or is full. Safe in threads and in several processes at once.
    """

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Store `content` under `name` unless something is there; whether this call is known to have done it.

        Of several writers one wins. False says that the name is taken, not by whom: on S3 an answer may be
        lost after the server has stored our bytes, and the repeated request then finds the name taken. Who
        needs to know reads the name.
        """

    def put(self, name: str, content: bytes) -> None:
        """Store `content` under `name`, replacing what was there; readers see the old or the new."""

    def put_file(self, name: str, source: Path) -> None:
        """Move the file `source` to `name`, of any size, replacing what was there."""

    def get(self, name: str) -> bytes | None:
        """The bytes stored under `name`, or None."""

    def local_path(self, name: str) -> Path:
        """A file on this machine with what is stored under `name`, to be read only.

        Raises:
            DataError: nothing is stored under that name.
        """

    def names(self, prefix: str) -> Iterator[str]:
        """All names below the folder `prefix`, sorted part by part; unfinished writes are not among them."""

    def entries(self, prefix: str) -> Iterator[StoredObject]:
        """As `names`, each with its size and when it was written, in any order."""

    def delete(self, name: str) -> None:
        """Remove what is stored under `name`; nothing happens if nothing is."""

    @property
    def local(self) -> LocalStorage:
        """Folder of this machine with unfinished work and an object store's read cache; or the store."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A new folder on this machine for unfinished work; it is removed at the end."""

    def attempt_folder(self, key: str) -> Path:
        """A folder on this machine for unfinished work that may go on after a crash; it is not made."""


def open_storage(place: str) -> Storage:
    """The storage at `place`: a folder, or `s3://bucket/prefix`.

    Raises:
        ConfigError: a malformed URI.
    """
    if is_object_uri(place):
        from tasks.services.s3_storage import S3Storage  # noqa: PLC0415 - boto3 takes its time

        return S3Storage(place)
    return LocalStorage(Path(place))
