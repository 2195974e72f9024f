"""A folder that appears in whole or not at all, and the images in it."""

from __future__ import annotations

import csv
import io
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, DataError
from tasks.exports.items import ExportItem


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write to; it becomes `target` at the end, and is removed if anything fails before.

    Raises:
        ConfigError: `target` is there and not an empty folder, or its place cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"A new or empty folder was required to export to, but {target} is not; name another."
        )
    unfinished = target.parent / f".{target.name}.unfinished-{uuid.uuid4().hex[:12]}"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(target)  # replaces an empty folder
    except OSError as error:
        raise ConfigError(
            f"The export could not be written to {target}: {error.strerror}; free space or name another one."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def copy_images(items: Iterable[ExportItem], folder: Path) -> tuple[list[ExportItem], list[str]]:
    """Copy the image files unchanged into `folder`; returns the items copied, and why others were not."""
    folder.mkdir(parents=True, exist_ok=True)
    copied, failed = [], []
    for item in items:
        try:
            content = item.read_image()
        except DataError as error:
            failed.append(str(error))
            continue
        (folder / item.image_file).write_bytes(content)
        copied.append(item)
    return copied, failed


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV file in UTF-8 with a header; None becomes an empty field."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
