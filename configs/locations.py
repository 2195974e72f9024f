"""Places that are a path on this machine or an object store's URI, `s3://bucket/key`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator

OBJECT_SCHEME = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def is_object_uri(place: str | Path) -> bool:
    """Whether a place is meant as a URI in an object store rather than as a path."""
    return str(place).startswith(OBJECT_SCHEME)


def is_foreign_uri(place: str) -> bool:
    """Whether a place is meant as a URI of another kind, such as an address on the web."""
    return _SCHEME.match(place) is not None and not is_object_uri(place)


def split_object_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key is empty for the whole bucket.

    Raises:
        ValueError: it is no such URI. The message does not repeat what may be a password.
    """
    bucket, _, key = uri.removeprefix(OBJECT_SCHEME).partition("/")
    if "@" in bucket:
        raise ValueError(
            "an object URI must not hold a user or a password; give keys by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or by a profile"
        )
    if not is_object_uri(uri) or _BUCKET.fullmatch(bucket) is None:
        raise ValueError(
            f"an object URI must be `s3://bucket/key` with a bucket's lower-case name, got {uri!r}"
        )
    return bucket, key


def _location(place: object) -> Path | str:
    """A path, or a URI kept letter by letter: a `Path` would make `s3:/` of `s3://`."""
    if isinstance(place, str) and is_object_uri(place):
        split_object_uri(place)
        return place.rstrip("/")
    if isinstance(place, str) and is_foreign_uri(place):
        raise ValueError(
            "a path or `s3://bucket/prefix` is required, but this is another URI; it is not repeated, for it "
            "may hold a signature"
        )
    if isinstance(place, str | Path):
        return Path(place)
    raise ValueError(f"a path or `s3://bucket/prefix` is required, got {place!r}")


# A path on this machine, or the URI of a folder in an object store as text.
Location = Annotated[Path | str, PlainValidator(_location)]
