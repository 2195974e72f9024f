"""Label maps in one file: zstd frames end to end, found by offset and size, each with its own checksum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from tasks.core.label_maps import LabelMap
from tasks.errors import DataError

MAPS_FILE = "maps.zst"
_LEVEL = 3


class LabelMapWriter:
    """Collects maps into one file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)

    def __enter__(self) -> LabelMapWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, label_map: LabelMap) -> dict[str, int]:
        """The columns `height`, `width`, `offset` and `size_bytes` under which `label_map` was written."""
        frame = self._compressor.compress(np.ascontiguousarray(label_map).tobytes())
        offset = self._file.tell()
        self._file.write(frame)
        height, width = label_map.shape
        return {"height": height, "width": width, "offset": offset, "size_bytes": len(frame)}


def read_label_map(path: Path, row: Mapping[str, Any]) -> LabelMap:
    """The map that `row` (the columns `append` gave) says is in the file.

    Args:
        path: from the store, so below `artefacts/<stage>/<key>`.
        row: says where in the file.

    Raises:
        DataError: the file is damaged there.
    """
    with path.open("rb") as file:
        file.seek(row["offset"])
        frame = file.read(row["size_bytes"])
    try:
        declared = zstandard.frame_content_size(frame)
        if declared != row["height"] * row["width"]:  # before the room for it is taken
            raise ValueError(f"it declares {declared} pixels")  # noqa: TRY301 - one more way to be damaged
        content = zstandard.ZstdDecompressor().decompress(frame)
        return np.frombuffer(content, np.uint8).reshape(row["height"], row["width"])
    except (zstandard.ZstdError, ValueError) as error:
        raise DataError(
            f"The map at byte {row['offset']} of {path} is damaged ({error}); remove {_artefact_of(path)}, "
            "with its complete.json, from the store and run again."
        ) from error


def _artefact_of(path: Path) -> str:
    """Name in the store of the artefact that has the file; `path` may be a copy in a read cache."""
    parts = path.parent.parent.as_posix().split("/")  # its parent is one attempt at the artefact
    last = len(parts) - 1 - parts[::-1].index("artefacts")
    return "/".join(parts[last:])
