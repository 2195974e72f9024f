"""From files to arrays and tensors: images, masks, the network's input, and the size maps are compared at.

Letters: H, W height and width in pixels of the image; h, w of a result.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from configs.schema import Classes, MaskEncoding, Network
from tasks.core.label_maps import LabelMap, decode_colour_mask, decode_index_mask
from tasks.errors import DataError

_SINGLE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")  # Pillow's modes that hold one number a pixel


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image at `path` as RGB, uint8, shape (H, W, 3), turned upright as its EXIF orientation says.

    Grey images become three equal channels, 16-bit values lose their low byte, CMYK is converted, and an
    alpha channel is dropped without blending.

    Raises:
        DataError: the file cannot be read, or not as an image.
    """
    return decode_image(_bytes(path), str(path))


def decode_image(content: bytes, where: str) -> NDArray[np.uint8]:
    """The encoded image in `content`, as `read_image` gives it; `where` names the source in errors.

    Raises:
        DataError: `content` is not an image, or damaged.
    """
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise DataError(
            f"{where}: an image was required, but decoding it failed: {error.err or error}."
        ) from error
    if image is None:
        raise DataError(
            f"{where}: an image was required, but these {len(content)} bytes cannot be decoded: damaged, cut "
            f"short or an unsupported format. Save it again as JPEG or PNG, or remove it from the data."
        )
    return np.asarray(image, dtype=np.uint8)


def read_mask(path: Path, encoding: MaskEncoding, classes: Classes) -> LabelMap:
    """The label map in the mask at `path`: uint8, shape (H, W), class indices and 255 for void.

    Args:
        path: an image file; for `index` of one 8-bit channel (grey values or palette indices), for `palette`
            with a palette.
        encoding: how the file stores classes.
        classes: the campaign's classes.

    Raises:
        DataError: the file cannot be read, is of another kind, or holds a value or colour that is no class.
    """
    try:
        with Image.open(path) as file:
            file.load()
            return _decode_mask(file, encoding, classes)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: a mask image was required, but it cannot be read: {error}.") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from error


def to_input(image: NDArray[np.uint8], spec: Network) -> Tensor:
    """The network's input for `image`: float32, shape (1, 3, h, w), resized and normalised as `spec` says.

    Resizing works on floating-point values with torch's `interpolate`, so bilinear and bicubic with antialias
    equal torchvision's; bicubic overshoot is cut to the range of an image.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        spec: input_size (default: H, W), resampler, antialias, mean and std.

    Raises:
        ValueError: `image` has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"`image` must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}"
        )
    tensor = (
        torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float() / 255
    )  # (1, 3, H, W)
    if spec.input_size is not None and tuple(image.shape[:2]) != spec.input_size:
        tensor = _resized(tensor, spec)
    mean, std = (
        torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1) for values in (spec.mean, spec.std)
    )
    return (tensor - mean) / std


def comparison_shape(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width at which maps are compared: at most `long_side`, same aspect, never enlarged.

    Args:
        height: of the image, in pixels, >= 1.
        width: of the image, in pixels, >= 1.
        long_side: upper bound of the longer side, in pixels, >= 1.

    Raises:
        ValueError: an argument below 1.

    >>> comparison_shape(360, 480, 513), comparison_shape(1500, 2000, 513), comparison_shape(1, 4000, 513)
    ((360, 480), (385, 513), (1, 513))
    """
    if min(height, width, long_side) < 1:
        raise ValueError(
            f"sizes must be at least 1 pixel, got {height} x {width} and `long_side` {long_side}"
        )
    longest = max(height, width)
    if longest <= long_side:
        return height, width
    # Integer arithmetic with ties upwards: the same on every machine.
    shrunk_height, shrunk_width = (
        (2 * side * long_side + longest) // (2 * longest) for side in (height, width)
    )
    return max(1, shrunk_height), max(1, shrunk_width)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: an image was required, but it cannot be read: {error.strerror}.") from error


def _resized(tensor: Tensor, spec: Network) -> Tensor:
    if spec.resampler in ("bilinear", "bicubic"):
        resized = functional.interpolate(
            tensor, spec.input_size, mode=spec.resampler, align_corners=False, antialias=spec.antialias
        )
        return resized.clamp(0, 1)
    # torch's "nearest" takes the pixel's corner; "nearest-exact" its centre, as Pillow does.
    mode = "area" if spec.resampler == "area" else "nearest-exact"
    return functional.interpolate(tensor, spec.input_size, mode=mode)


def _decode_mask(file: Image.Image, encoding: MaskEncoding, classes: Classes) -> LabelMap:
    """The label map in an opened mask image. EXIF orientation is ignored: masks are made upright."""
    if encoding.kind == "colours":
        return decode_colour_mask(
            np.array(file.convert("RGB")), colours=classes.colours, void_colours=encoding.void_colours
        )
    wanted = ("P",) if encoding.kind == "palette" else _SINGLE_CHANNEL
    if file.mode not in wanted:
        raise ValueError(
            f"a mask of `mask_encoding.kind: {encoding.kind}` must have one of the modes {list(wanted)}, got "
            f"{file.mode!r}; a mask painted in RGB needs `kind: colours`"
        )
    # Pillow gives palette indices as they are stored, where cv2 would give colours.
    values = np.asarray(file)
    if values.max() > 255:
        raise ValueError(f"mask values must fit in one byte, got {int(values.max())}")
    return decode_index_mask(values.astype(np.uint8), n_classes=classes.count, void=encoding.void)
