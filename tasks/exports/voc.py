"""Export in the layout of PASCAL VOC: JPEGImages/, SegmentationClass/, ImageSets/Segmentation/, labelmap.txt.

Masks are palette PNG files in the campaign's colours: palette index = class index, 255 = void, in VOC's
colour for it. VOC calls index 0 the background; here it is the campaign's first class, whatever that is.
Images keep their own format and suffix, though the folder is called JPEGImages: encoding them again would
change pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from configs.classes import Classes
from tasks.core.label_maps import VOID
from tasks.exports.folders import copy_images
from tasks.exports.items import LIST_NAMES, ExportItem
from tasks.pictures import decode_mask_png

VOID_COLOUR = (224, 224, 192)  # VOC's own for borders and what nobody could decide


def write_voc(items: Sequence[ExportItem], classes: Classes, folder: Path) -> list[str]:
    """Write the export into `folder`; returns why some images are not in it.

    The folder can be a labelled set of a campaign: `images: JPEGImages`, `masks: SegmentationClass`,
    `listing:` one of the lists, with `mask_encoding: {kind: palette, void: 255}`.
    """
    copied, failed = copy_images(items, folder / "JPEGImages")
    masks, lists = folder / "SegmentationClass", folder / "ImageSets" / "Segmentation"
    masks.mkdir()
    lists.mkdir(parents=True)
    palette = _palette(classes)
    for item in copied:
        picture = Image.fromarray(decode_mask_png(item.mask))
        picture.putpalette(palette)
        picture.save(masks / item.mask_file)
    for role, name in LIST_NAMES.items():
        stems = [item.stem for item in copied if item.role == role]
        if stems:
            (lists / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    colours = zip(classes.names, classes.colours, strict=True)
    lines = [f"{name}:{red},{green},{blue}::\n" for name, (red, green, blue) in colours]
    (folder / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\n" + "".join(lines), encoding="utf-8"
    )
    return failed


def _palette(classes: Classes) -> list[int]:
    """The 256 colours of the masks, flat: red, green, blue of index 0 first."""
    table = np.zeros((256, 3), np.uint8)
    table[: classes.count] = classes.colours
    table[VOID] = VOID_COLOUR
    return [int(value) for value in table.ravel()]
