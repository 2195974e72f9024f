"""Digests of plain values: the same content has the same digest on every machine and in every run."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces, so that equal values give equal text.

    Raises:
        ValueError: a NaN or an infinity, which have no JSON form.
        TypeError: a value that JSON does not know.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`.

    >>> digest_of({"b": 1, "a": [1, 2]}) == digest_of({"a": [1, 2], "b": 1})
    True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 (hex) of raw bytes."""
    return hashlib.sha256(content).hexdigest()
