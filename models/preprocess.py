"""From images to tensors: the network's input, and the size maps are compared at.

Letters: H, W height and width in pixels of the image; h, w of a result.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from configs.model_specs import Network


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


def _resized(tensor: Tensor, spec: Network) -> Tensor:
    if spec.resampler in ("bilinear", "bicubic"):
        resized = functional.interpolate(
            tensor, spec.input_size, mode=spec.resampler, align_corners=False, antialias=spec.antialias
        )
        return resized.clamp(0, 1)
    # torch's "nearest" takes the pixel's corner; "nearest-exact" its centre, as Pillow does.
    mode = "area" if spec.resampler == "area" else "nearest-exact"
    return functional.interpolate(tensor, spec.input_size, mode=mode)
