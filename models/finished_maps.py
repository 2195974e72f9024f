"""Label maps that a model elsewhere has already made, looked up for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from configs.model_specs import LabelMaps
from tasks.core.label_maps import LabelMap, decode_index_mask
from tasks.errors import DataError

_MODES = ("L", "P")  # Pillow's modes of one byte a pixel: grey values, or indices into a palette


class LabelMapError(DataError):
    """A finished label map of an image is missing or unusable."""


class FinishedMaps:
    """The maps of a folder as a model.

    A map is the file <image_id>.png, or else <stem>.png: one byte per pixel, the class index. It may be
    smaller or larger than its image, but not of another shape.

    Attributes:
        spec: where the maps are.
        class_names: class names of the campaign, index 0 first.
    """

    def __init__(self, spec: LabelMaps, class_names: tuple[str, ...]) -> None:
        """Find the folder.

        Raises:
            DataError: there is no folder, or it holds no PNG.
        """
        if not spec.path.is_dir() or next(spec.path.glob("*.png"), None) is None:
            raise DataError(
                f"Model {spec.name!r} needs a folder of label maps (PNG) as its `path`, but {spec.path} is "
                f"none. Correct `path`, or put the maps there."
            )
        self.spec = spec
        self.class_names = class_names

    def label_map(self, image_id: str, stem: str, shape: tuple[int, int]) -> LabelMap:
        """The map of an image as it is stored: class indices, 255 for void, uint8, (h, w).

        Args:
            image_id: SHA-256 (hex) of the image file.
            stem: name of the image file without its suffix.
            shape: height and width of the image, in pixels.

        Raises:
            LabelMapError: there is no map, it cannot be read, its shape is not the image's, or it holds an
                index that is no class.
        """
        path = self._find(image_id, stem)
        try:
            values = _stored_bytes(path)
            label_map = decode_index_mask(values, n_classes=len(self.class_names), void=self.spec.void)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise LabelMapError(
                f"{path}: a label map of {self.spec.name!r} was required: {error}."
            ) from error
        if not _is_same_shape(label_map.shape, shape):
            raise LabelMapError(
                f"{path}: a label map of {self.spec.name!r} must have the shape of its image, {shape[0]} x "
                f"{shape[1]} pixels or a scaled copy of it, got {label_map.shape[0]} x {label_map.shape[1]}."
            )
        return label_map

    def _find(self, image_id: str, stem: str) -> Path:
        for name in (image_id, stem):
            path = self.spec.path / f"{name}.png"
            if path.is_file():
                return path
        raise LabelMapError(
            f"Model {self.spec.name!r} has no label map of this image: {self.spec.path} has neither "
            f"{image_id}.png nor {stem}.png."
        )


def goes_by_stem(spec: LabelMaps, image_id: str, stem: str) -> bool:
    """Whether the map of this image is one that is named by the stem alone."""
    return not (spec.path / f"{image_id}.png").is_file() and (spec.path / f"{stem}.png").is_file()


def _stored_bytes(path: Path) -> NDArray[np.uint8]:
    """The pixels of an image file of one byte a pixel, uint8, (h, w)."""
    with Image.open(path) as file:
        file.load()
        if file.mode not in _MODES:
            raise ValueError(f"one byte a pixel is required (Pillow's mode L or P), got mode {file.mode!r}")
        # Pillow gives palette indices as they are stored.
        return np.asarray(file, dtype=np.uint8)


def _is_same_shape(found: tuple[int, ...], wanted: tuple[int, int]) -> bool:
    """Whether `found` is `wanted` times one factor, up to a pixel of rounding."""
    height, width = found
    return (
        abs(height - width * wanted[0] / wanted[1]) <= 1 or abs(width - height * wanted[1] / wanted[0]) <= 1
    )
