"""Export as plain PNG masks and CSV tables: images/, masks/, images.csv, classes.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from configs.classes import Classes
from tasks.exports.folders import copy_images, write_csv
from tasks.exports.items import ExportItem

COLUMNS = (
    "stem", "image_id", "file", "mask", "role", "round", "model_version", "mean_opinion_score", "main_class",
    "group", "annotator", "uri",
)  # fmt: skip


def write_png(items: Sequence[ExportItem], classes: Classes, folder: Path) -> list[str]:
    """Write the export into `folder`; returns why some images are not in it.

    A mask has the bytes stored when it was drawn: one byte per pixel, value = class index, 255 = void.
    The folder can be a labelled set of a campaign: `images: images`, `masks: masks`, `metadata: images.csv`,
    `group_column: group`, with `mask_encoding: {kind: index, void: 255}`.
    """
    copied, failed = copy_images(items, folder / "images")
    (folder / "masks").mkdir()
    for item in copied:
        (folder / "masks" / item.mask_file).write_bytes(item.mask)
    write_csv(folder / "images.csv", COLUMNS, (_row(item) for item in copied))
    legend = [{"index": i, "name": name, "colour": colour} for i, (name, colour) in enumerate(classes.legend)]
    write_csv(folder / "classes.csv", ("index", "name", "colour"), legend)
    return failed


def _row(item: ExportItem) -> dict[str, object]:
    return {
        "stem": item.stem,
        "image_id": item.image_id,
        "file": f"images/{item.image_file}",
        "mask": f"masks/{item.mask_file}",
        "role": item.role,
        "round": item.round_number,
        "model_version": item.model_version,
        "mean_opinion_score": item.mean_opinion_score,
        "main_class": item.main_class,
        "group": item.group,
        "annotator": item.annotator,
        "uri": item.uri,
    }
