"""What annotators start from: the target's map for a failure, an empty map or a rival's for a test image.

A start is known by a digest of the classes and the map, so that a mask is never put on another start than the
one it was drawn on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.artifacts import ArtifactRef
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap
from tasks.core.records import MAPS
from tasks.errors import DataError
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.rounds import Round

Row = dict[str, Any]


@dataclass(frozen=True)
class Starts:
    """The starts of a round.

    Attributes:
        names: class names of the campaign.
        is_test_empty: whether test images start from an empty map.
        rows: maps of the round by (image_id, role of the model: target or competitor).
        file: where the maps are.
    """

    names: tuple[str, ...]
    is_test_empty: bool
    rows: dict[tuple[str, str], Row]
    file: Path

    def digest(self, image_id: str, role: str) -> str:
        """Digest of what a `failure` or a `test` image starts from."""
        if role == "test" and self.is_test_empty:
            return self._digest(None)
        return self._digest(self.rows[(image_id, "target" if role == "failure" else "competitor")])

    def map_of(self, image_id: str, digest: str) -> LabelMap | None:
        """The map that a start digest stands for, None for the empty one.

        Raises:
            DataError: the round has no such start.
        """
        if digest == self._digest(None):
            return None
        for model_role in ("target", "competitor"):
            row = self.rows.get((image_id, model_role))
            if row is not None and self._digest(row) == digest:
                return read_label_map(self.file, row)
        raise DataError(
            f"The mask of {image_id} was drawn on a map or classes that this round does not have."
        )

    def _digest(self, row: Row | None) -> str:
        return digest_of([list(self.names), None if row is None else row["map_digest"]])[:32]


def starts_of(round_: Round, maps: ArtifactRef) -> Starts:
    """The starts of a round, from its maps."""
    store, campaign = round_.open_store(), round_.campaign
    rows = {(row["image_id"], row["role"]): row for row in store.rows(maps, MAPS)}
    is_empty = campaign.masks.test_start == "empty"
    return Starts(campaign.classes.names, is_empty, rows, store.path(maps, MAPS_FILE))
