"""Pseudonyms: what people are called in everything that leaves the store.

A pseudonym is the same in all rounds and campaigns of one store and says nothing of the name to whoever does
not have the store: it is a keyed digest, and the key stays there. Records keep the names, so that two stores
with the same answers have the same identity digests.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from typing import Any

from configs.schema import Campaign
from tasks.artifacts import ArtifactStore

FOLDER = "people"
SALT = f"{FOLDER}/salt"
COLUMNS = (
    "rater",
    "annotator",
    "second_annotator",
    "checker",
    "person",
)  # columns of records that hold a name
_SALT_BYTES = 32
_LEAST_LETTERS = 4

Row = dict[str, Any]


class Pseudonyms:
    """The pseudonyms of one store."""

    def __init__(self, store: ArtifactStore) -> None:
        """Read the store's key; it is made when there is none yet."""
        self._storage = store.storage
        self._known: dict[str, str] = {}
        salt = self._storage.get(SALT)
        while salt is None:
            self._storage.put_if_absent(SALT, secrets.token_bytes(_SALT_BYTES))
            salt = self._storage.get(SALT)
        self._salt = salt

    def of(self, name: str) -> str:
        """The pseudonym of a person, such as `person-k7f2`; longer where another one has those letters.

        Source: HMAC-SHA256 (RFC 2104) of the name, written in base32 (RFC 4648).
        """
        if name not in self._known:
            self._known[name] = self._claimed(name)
        return self._known[name]

    def _claimed(self, name: str) -> str:
        digest = hmac.new(self._salt, name.encode(), hashlib.sha256).digest()
        letters = base64.b32encode(digest).decode().lower().rstrip("=")
        for length in range(_LEAST_LETTERS, len(letters)):
            pseudonym = f"person-{letters[:length]}"
            claim = f"{FOLDER}/{pseudonym}"
            if self._storage.get(claim) is None:
                self._storage.put_if_absent(claim, digest)
            if self._storage.get(claim) == digest:
                return pseudonym
        return f"person-{letters}"

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of any record with pseudonyms for names, in the reasons of their states, too."""
        return [self._row(row) for row in rows]

    def _row(self, row: Row) -> Row:
        named = {column: row[column] for column in COLUMNS if row.get(column) is not None}
        changed: Row = {column: self.of(name) for column, name in named.items()}
        kind, colon, reason = str(row.get("state") or "").partition(":")
        if colon:
            changed["state"] = kind + colon + self.text(reason, named.values())
        return row | changed

    def text(self, text: str, names: Iterable[str]) -> str:
        """A text with pseudonyms for these names, where they stand as words of their own."""
        for name in names:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", self.of(name), text)
        return text

    def campaign(self, campaign: Campaign) -> Campaign:
        """The campaign with pseudonyms for its people."""
        ratings, masks = campaign.ratings, campaign.masks
        checkers = None if masks.checkers is None else tuple(map(self.of, masks.checkers))
        return campaign.model_copy(
            update={
                "ratings": ratings.model_copy(update={"raters": tuple(map(self.of, ratings.raters))}),
                "masks": masks.model_copy(
                    update={"annotators": tuple(map(self.of, masks.annotators)), "checkers": checkers}
                ),
            }
        )
