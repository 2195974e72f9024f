"""Storage in an object store, below `s3://bucket/prefix`, with a read cache on this machine."""

from __future__ import annotations

import hashlib
import io
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from configs.settings import load_settings
from tasks.errors import DataError, TerminalServiceError
from tasks.services.local_storage import LocalStorage, StoredObject, checked_parts
from tasks.services.object_store import (
    ATTEMPTS,
    copy_object,
    error_code,
    keys_below,
    open_client,
    split_uri,
    translated,
)

_UNCHANGING = ("artefacts", "blobs")  # what lies below never changes under its name
_MULTIPART = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20, max_concurrency=4)
_CONFLICT_PAUSE_S = 0.2

_probed: set[str] = set()  # places of this process that keep the promise of conditional writes
_probing = Lock()


class S3Storage:
    """Objects below `s3://bucket/prefix`; see `Storage` for what the methods promise.

    The first write wins by a conditional put (`If-None-Match: *`). Before this process writes to a place for
    the first time it makes sure that the endpoint heeds the condition, for one that ignores it would let two
    runners overwrite each other without a word.
    """

    def __init__(self, place: str) -> None:
        """Open the store; nothing is asked of the endpoint yet.

        Raises:
            ConfigError: the URI or the endpoint is malformed.
        """
        self._place = place.rstrip("/")
        self._bucket, prefix = split_uri(self._place)
        self._prefix = f"{prefix}/" if prefix else ""
        self._client: Any = open_client()
        settings = load_settings()
        self._identity = f"{self._client.meta.endpoint_url} {self._place}"
        name = hashlib.sha256(self._identity.encode()).hexdigest()[:16]
        self._local = LocalStorage(settings.home / "cache" / name)

    def __repr__(self) -> str:
        return f"S3Storage({self._place!r})"

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """See `Storage`."""
        key = self._key(name)
        self._probe()
        return self._put_new(key, content)

    def put(self, name: str, content: bytes) -> None:
        """See `Storage`."""
        key = self._key(name)
        self._probe()
        with translated(f"{self._place}/{name}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def put_file(self, name: str, source: Path) -> None:
        """See `Storage`; a large file goes in parts, each with its checksum."""
        key = self._key(name)
        self._probe()
        with translated(f"{self._place}/{name}"), source.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, key, Config=_MULTIPART)
        source.unlink()

    def get(self, name: str) -> bytes | None:
        """See `Storage`."""
        content = io.BytesIO()
        found = copy_object(self._client, self._bucket, self._key(name), content)
        return content.getvalue() if found else None

    def local_path(self, name: str) -> Path:
        """See `Storage`: a copy in the read cache, which may be deleted at any time.

        What never changes under its name is fetched once; everything else each time.
        """
        key = self._key(name)
        if checked_parts(name)[0] in _UNCHANGING and (cached := self._local.find(name)) is not None:
            return cached
        with self._local.scratch() as folder:
            copy = folder / "object"
            with copy.open("w+b") as file:
                found = copy_object(self._client, self._bucket, key, file)
            if not found:
                raise DataError(
                    f"The store {self._place} should hold {name}, but it does not; was it removed by hand?"
                )
            self._local.put_file(name, copy)
        return self._local.local_path(name)

    def names(self, prefix: str) -> Iterator[str]:
        """See `Storage`."""
        keys = keys_below(self._client, self._bucket, f"{self._key(prefix)}/")
        yield from sorted((key.removeprefix(self._prefix) for key in keys), key=lambda name: name.split("/"))

    def entries(self, prefix: str) -> Iterator[StoredObject]:
        """See `Storage`; reading leaves no trace on S3, so `used_at` is when the object was written."""
        with translated(f"{self._place}/{prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._key(prefix)}/"
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):
                        name = entry["Key"].removeprefix(self._prefix)
                        moment = entry["LastModified"].timestamp()
                        yield StoredObject(name, entry["Size"], moment, moment)

    def delete(self, name: str) -> None:
        """See `Storage`; the copy in the read cache goes too."""
        key = self._key(name)
        with translated(f"{self._place}/{name}"):
            self._client.delete_object(Bucket=self._bucket, Key=key)
        self._local.delete(name)

    @property
    def local(self) -> LocalStorage:
        """See `Storage`."""
        return self._local

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """See `Storage`."""
        with self._local.scratch() as folder:
            yield folder

    def attempt_folder(self, key: str) -> Path:
        """See `Storage`."""
        return self._local.attempt_folder(key)

    def _key(self, name: str) -> str:
        return self._prefix + "/".join(checked_parts(name))

    def _put_new(self, key: str, content: bytes) -> bool:
        """Put an object unless there is one; two at the same moment may both be told to try again."""
        with translated(f"s3://{self._bucket}/{key}"):
            for attempt in range(ATTEMPTS):
                try:
                    self._client.put_object(Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*")
                except ClientError as error:
                    if error_code(error) == "PreconditionFailed":
                        return False
                    if error_code(error) != "ConditionalRequestConflict" or attempt == ATTEMPTS - 1:
                        raise
                    time.sleep(_CONFLICT_PAUSE_S * 2**attempt)
                else:
                    return True
        raise AssertionError("the last attempt returns or raises")

    def _probe(self) -> None:
        """Make sure, once per process and place, that a second conditional put is refused.

        Raises:
            TerminalServiceError: it is not.
        """
        with _probing:
            if self._identity in _probed:
                return
            key = f"{self._prefix}.probe-{uuid.uuid4().hex}"
            try:
                self._put_new(key, b"first")
                is_heeded = not self._put_new(key, b"second")
            finally:
                with translated(f"s3://{self._bucket}/{key}"):
                    self._client.delete_object(Bucket=self._bucket, Key=key)
            if not is_heeded:
                raise TerminalServiceError(
                    f"The object store at {self._client.meta.endpoint_url} was required to heed "
                    f"`If-None-Match: *`, but replaced {key}: two runs could overwrite each other there. Use "
                    "a server that knows conditional writes, or a folder as MADLOOP_STORE."
                )
            _probed.add(self._identity)
