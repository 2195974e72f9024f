"""Export for semantic segmentation in COCO's format: images/ and annotations/{failures,test}.json.

The convention is that of COCO-Stuff: one annotation for each image and class, its pixels as compressed run
lengths, `iscrowd` 0. Void pixels belong to no annotation. Category ids are class indices plus 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from configs.classes import Classes
from tasks.exports.folders import copy_images
from tasks.exports.items import LIST_NAMES, ExportItem
from tasks.pictures import decode_mask_png


def write_coco(items: Sequence[ExportItem], classes: Classes, campaign: str, folder: Path) -> list[str]:
    """Write the export into `folder`; returns why some images are not in it."""
    copied, failed = copy_images(items, folder / "images")
    (folder / "annotations").mkdir()
    numbered = list(enumerate(copied, start=1))
    for role, name in LIST_NAMES.items():
        chosen = [(number, item) for number, item in numbered if item.role == role]
        if chosen:
            page = _page(chosen, classes, f"{name} of the madloop campaign {campaign}")
            (folder / "annotations" / f"{name}.json").write_text(json.dumps(page), encoding="utf-8")
    return failed


def _page(numbered: Sequence[tuple[int, ExportItem]], classes: Classes, title: str) -> dict[str, Any]:
    found = [annotation for number, item in numbered for annotation in _annotations(number, item)]
    return {
        "info": {"description": title, "version": "1.0"},
        "licenses": [],
        "categories": [
            {"id": index + 1, "name": name, "supercategory": "class", "color": list(colour)}
            for index, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
        ],
        "images": [_image(number, item) for number, item in numbered],
        "annotations": [annotation | {"id": i} for i, annotation in enumerate(found, start=1)],
    }


def _image(number: int, item: ExportItem) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": item.image_file,
        "width": item.width,
        "height": item.height,
        # beyond COCO's own fields, which readers of the format leave alone
        "image_id": item.image_id,
        "role": item.role,
        "round": item.round_number,
        "group": item.group,
        "mean_opinion_score": item.mean_opinion_score,
    }


def _annotations(number: int, item: ExportItem) -> Iterator[dict[str, Any]]:
    pixels = decode_mask_png(item.mask)
    for index in np.unique(pixels[pixels != 255]).tolist():
        runs = coco_mask.encode(np.asfortranarray(pixels == index, dtype=np.uint8))
        yield {
            "image_id": number,
            "category_id": index + 1,
            "segmentation": {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")},
            "area": int(coco_mask.area(runs)),
            "bbox": coco_mask.toBbox(runs).tolist(),  # x, y, width, height in pixels
            "iscrowd": 0,
        }
