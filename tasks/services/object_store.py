"""The object store: clients of any S3 endpoint, objects read by their URI, and what its errors mean.

The endpoint is MADLOOP_S3_ENDPOINT_URL, else the server that `madloop services up --object-store` started,
else boto3's own choice. Keys come from boto3's usual chain (environment, profile); those of the local server
are used for that server and shown to no other.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)

from configs.locations import is_object_uri, split_object_uri
from configs.settings import ObjectStoreAccess, load_settings
from tasks.errors import ConfigError, DataError, ServiceError, TerminalServiceError, TransientServiceError

__all__ = ["ensure_bucket", "is_object_uri", "list_objects", "read_object", "write_object"]

ATTEMPTS = 4  # per request, with growing pauses between them
_CHUNK_BYTES = 1 << 20
_READY_KEY = ".madloop-ready"  # beside all folders of stores and pools
_BROKEN_OFF = (HTTPClientError, ConnectionError, IncompleteReadError, FlexibleChecksumError)
_PASSING = frozenset(
    {"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"}
)


@dataclass(frozen=True)
class Endpoint:
    """Where an object store is.

    Attributes:
        url: its address, None for AWS.
        region: of its buckets.
        is_public: whether it is on the internet rather than on a private network or this machine.
    """

    url: str | None
    region: str
    is_public: bool


def list_objects(uri: str) -> Iterator[str]:
    """URIs of all objects below the folder `s3://bucket/folder`, sorted part by part, as paths are.

    Raises:
        ConfigError: the URI is malformed, or there are no keys to show.
        TransientServiceError: the endpoint does not answer.
        TerminalServiceError: it refused, or has no such bucket.
    """
    bucket, key = split_uri(uri)
    prefix = f"{key.rstrip('/')}/" if key else ""
    for name in sorted(keys_below(open_client(), bucket, prefix), key=lambda key: key.split("/")):
        yield f"s3://{bucket}/{name}"


def read_object(uri: str, *, max_bytes: int | None = None) -> bytes:
    """The bytes of the object at `s3://bucket/key`.

    Args:
        uri: the object.
        max_bytes: what it may have, as `max_megapixels` says; of a larger one nothing is fetched.

    Raises:
        DataError: there is no such object, it is archived, or too large.
        ConfigError: the URI is malformed, or there are no keys to show.
        TransientServiceError: the endpoint does not answer.
        TerminalServiceError: it refused, or has no such bucket.
    """
    bucket, key = split_uri(uri)
    content = io.BytesIO()
    if not copy_object(open_client(), bucket, key, content, max_bytes=max_bytes):
        raise DataError(f"An object was required at {uri}, but there is none; was it removed or renamed?")
    return content.getvalue()


def write_object(uri: str, content: bytes) -> None:
    """Put `content` at `s3://bucket/key`, replacing what was there; errors as `read_object`."""
    bucket, key = split_uri(uri)
    with translated(uri):
        open_client().put_object(Bucket=bucket, Key=key, Body=content)


def ensure_bucket(uri: str, access: ObjectStoreAccess) -> None:
    """Make the bucket of `s3://bucket/...` if it does not exist; errors as `read_object`."""
    bucket, _ = split_uri(uri)
    client = open_client(access)
    with translated(uri):
        if bucket not in {known["Name"] for known in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)


def wait_until_readable(bucket: str, access: ObjectStoreAccess, deadline_s: float) -> None:
    """Return once the bucket of a server that has just started gives back what was put into it before.

    SeaweedFS answers at its port before its parts have found each other; for a moment reads of what it has
    kept end in an internal error.

    Raises:
        TransientServiceError: it did not within the time.
    """
    client, uri = _made_client(access, attempts=1), f"s3://{bucket}/{_READY_KEY}"
    begin = time.monotonic()
    while True:
        try:
            with translated(uri):
                if not copy_object(client, bucket, _READY_KEY, io.BytesIO()):
                    client.put_object(Bucket=bucket, Key=_READY_KEY, Body=b"ready")
        except TransientServiceError:
            if time.monotonic() - begin > deadline_s:
                raise
            time.sleep(0.25)
        else:
            return


def endpoint() -> Endpoint:
    """The endpoint as it is set now.

    Raises:
        ConfigError: its address is malformed, or has a name that cannot be resolved.
    """
    meta = open_client().meta
    host = urlsplit(meta.endpoint_url).hostname or ""
    if host.endswith(".amazonaws.com"):
        return Endpoint(None, meta.region_name, True)
    try:
        is_public = ipaddress.ip_address(socket.gethostbyname(host)).is_global
    except OSError as error:
        raise ConfigError(
            f"The object store's host {host} was required to be known, but: {error}."
        ) from error
    return Endpoint(meta.endpoint_url, meta.region_name, is_public)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    Raises:
        ConfigError: it is no such URI.
    """
    try:
        return split_object_uri(uri)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


def open_client(access: ObjectStoreAccess | None = None) -> Any:
    """The S3 client of this process; safe in threads.

    Args:
        access: endpoint and keys; default: as they are set now.

    Raises:
        ConfigError: the endpoint or the profile is malformed.
    """
    with translated("a connection"):
        chain = tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
        return _client(access or load_settings().object_store, chain, os.getpid())


@lru_cache(maxsize=4)
def _client(access: ObjectStoreAccess, _chain: tuple[tuple[str, str], ...], _process: int) -> Any:
    """One client for each set of keys; one for each process, too, as connections must not cross a fork."""
    return _made_client(access, attempts=ATTEMPTS)


def _made_client(access: ObjectStoreAccess, *, attempts: int) -> Any:
    secrets = {}
    if access.access_key is not None and access.secret_key is not None:
        secrets["aws_access_key_id"] = access.access_key.get_secret_value()
        secrets["aws_secret_access_key"] = access.secret_key.get_secret_value()
    config: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": attempts},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 16,
        "signature_version": "s3v4",  # of presigned links; requests are signed so anyway
    }
    if access.url is not None:
        config["s3"] = {"addressing_style": "path"}  # names of buckets are no host names there
    if secrets:
        config["proxies"] = {}  # the server of this machine is reached directly
    return boto3.session.Session().client("s3", endpoint_url=access.url, config=Config(**config), **secrets)


def keys_below(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Keys that begin with `prefix`, all pages of them; markers of folders are left out."""
    with translated(f"s3://{bucket}/{prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", ()) if not entry["Key"].endswith("/"))


def copy_object(client: Any, bucket: str, key: str, sink: BinaryIO, *, max_bytes: int | None = None) -> bool:
    """Copy an object into the empty `sink`; whether there was one. A body that breaks off is begun again.

    Raises:
        DataError: the object has more than `max_bytes`, which is known before its body is fetched.
    """
    with translated(f"s3://{bucket}/{key}"):
        for attempt in range(ATTEMPTS):
            sink.seek(0)
            sink.truncate()
            try:
                answer = client.get_object(Bucket=bucket, Key=key)
                if max_bytes is not None and answer["ContentLength"] > max_bytes:
                    answer["Body"].close()
                    raise DataError(
                        f"s3://{bucket}/{key}: at most {max_bytes} bytes were required, as `max_megapixels` "
                        f"says, it has {answer['ContentLength']}."
                    )
                for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                    sink.write(chunk)
            except client.exceptions.NoSuchKey:
                return False
            except (IncompleteReadError, HTTPClientError, FlexibleChecksumError):
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return True
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Errors of boto3 inside come out as ours.

    Args:
        where: what was asked for, without secrets.
    """
    try:
        yield
    except ClientError as error:
        raise _refusal(error, where) from error
    except SSLError as error:
        raise TerminalServiceError(
            f"The object store was asked for {where}, but its certificate was not accepted: {error}. Check "
            "MADLOOP_S3_ENDPOINT_URL, or name the certificate by AWS_CA_BUNDLE."
        ) from error
    except _BROKEN_OFF as error:
        raise TransientServiceError(
            f"The object store was asked for {where}, but the connection failed: {error}. Check "
            "MADLOOP_S3_ENDPOINT_URL; a local one is started with `madloop services up --object-store`."
        ) from error
    except BotoCoreError as error:
        raise ConfigError(
            f"The object store could not be asked for {where}: {error}. Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run `madloop services up --object-store`."
        ) from error


def error_code(error: ClientError) -> str:
    """The S3 error code, such as `NoSuchBucket`; the HTTP status where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: ClientError, where: str) -> ServiceError | DataError:
    """What an answer that is an error means."""
    code = error_code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"The object store was asked for {where}, but answered {status} {code}"
    if code in _PASSING or status == 429 or (status >= 500 and status != 501):
        return TransientServiceError(f"{said}. Try again later.")
    if code == "InvalidObjectState":  # 403, but not for want of the right keys
        return DataError(f"{said}: it is archived. Restore it from the archive, or leave it out.")
    if code == "NoSuchBucket":
        return TerminalServiceError(f"{said}. Make the bucket, or name another one.")
    if status == 403:
        return TerminalServiceError(
            f"{said}. Check the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the profile), what they "
            "allow, and the clock of this machine."
        )
    message = error.response.get("Error", {}).get("Message", "")
    return TerminalServiceError(f"{said}: {message} Check MADLOOP_S3_ENDPOINT_URL and the region.")
