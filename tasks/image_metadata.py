"""What is known of an image beside its pixels: a row of metadata, and the scene it belongs to."""

from __future__ import annotations

import csv
import re

from configs.image_sources import ImageSource
from tasks.errors import ConfigError, DataError


def read_metadata(source: ImageSource) -> dict[str, dict[str, str]]:
    """Metadata rows by stem; empty without a metadata file.

    Raises:
        ConfigError: the file is missing, or lacks a column that the source names.
    """
    if source.metadata is None:
        return {}
    try:
        with source.metadata.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for needed in ("stem", source.group_column):
                if needed is not None and needed not in (reader.fieldnames or ()):
                    raise ConfigError(
                        f"{source.metadata} needs a column {needed!r}, it has {reader.fieldnames}."
                    )
            rows = {}
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigError(
                        f"{source.metadata}, line {reader.line_num}, needs {len(reader.fieldnames or ())} "
                        f"fields, as its header has, got {list(row.values())}."
                    )
                rows[row.pop("stem")] = row
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{source.metadata} must be a CSV file in UTF-8: {error}.") from error
    except OSError as error:
        raise ConfigError(f"The metadata file {source.metadata} cannot be read: {error.strerror}.") from error


def group_of(stem: str, source: ImageSource, metadata: dict[str, dict[str, str]]) -> str | None:
    """The scene an image belongs to; None where the source has no scenes and each image is its own.

    Raises:
        DataError: a group was asked for and this image has none.
    """
    if source.group_column is not None:
        group = metadata.get(stem, {}).get(source.group_column)
        if not group:
            raise DataError(
                f"{source.metadata} has no `{source.group_column}` for {stem!r}, which needs one."
            )
        return group
    if source.group_pattern is not None:
        match = re.search(source.group_pattern, stem)
        group = None if match is None else match.group(1 if match.groups() else 0)
        if group is None:
            raise DataError(f"`group_pattern` {source.group_pattern!r} does not match {stem!r}.")
        return group if source.group_frames is None else _block(group, match, source.group_frames)
    return None


def _block(video: str, match: re.Match[str] | None, frames: int) -> str:
    """Name of the block of `frames` frames that a frame of `video` belongs to."""
    number = "" if match is None else match.group(2) or ""
    if not number.isdecimal():
        raise DataError(
            f"The second group of `group_pattern` must be a frame's number, got {number!r} in {video}."
        )
    return f"{video}-{int(number) // frames:04d}"
