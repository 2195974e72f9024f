"""How well predictions match the truth, from confusion matrices (true class x predicted class).

Legend: N images; C number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.confusion import confusion, joint_histogram
from tasks.core.label_maps import LabelMap


@dataclass(frozen=True, eq=False)
class SetScores:
    """Scores of a set of images taken together.

    Attributes:
        mean_iou: 0..1 over the classes that have a true pixel in the set; NaN if none has.
        class_iou: (C,) float64, summed intersection / summed union; NaN for a class without a true pixel.
        pixel_accuracy: 0..1; NaN for an empty set.
        false_positive_px: (C,) int64, px predicted as a class that has no true pixel in the set; else 0.
    """

    mean_iou: float
    class_iou: NDArray[np.float64]
    pixel_accuracy: float
    false_positive_px: NDArray[np.int64]


def set_iou(confusions: NDArray[np.int64]) -> SetScores:
    """Intersection over union of a set: sums over the images first, then ratios.

    Args:
        confusions: (N, C, C) int64, px, true x predicted, void left out. N may be 0.

    Returns:
        Scores of the set.

    Raises:
        ValueError: wrong shape.

    Source:
        DESIGN, section 1, row mIoU of a set.
    """
    if confusions.ndim != 3 or confusions.shape[1] != confusions.shape[2]:
        raise ValueError(f"`confusions` must be (N, C, C), got shape {confusions.shape}")
    counts = confusions.sum(axis=0, dtype=np.int64)
    true, predicted, hits = counts.sum(axis=1), counts.sum(axis=0), np.diagonal(counts)
    present = true > 0
    union = np.where(present, true + predicted - hits, 1)
    class_iou = np.where(present, hits / union, np.nan)
    total = int(counts.sum())
    return SetScores(
        mean_iou=float(class_iou[present].mean()) if present.any() else float("nan"),
        class_iou=class_iou,
        pixel_accuracy=int(hits.sum()) / total if total else float("nan"),
        false_positive_px=np.where(present, 0, predicted),
    )


def image_miou(counts: NDArray[np.int64]) -> float:
    """mIoU of one image over the classes present in the truth or in the prediction.

    Args:
        counts: (C, C) int64, px, true x predicted, void left out.

    Returns:
        0..1, or NaN if no class is present.

    Raises:
        ValueError: wrong shape.
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"`counts` must be (C, C), got shape {counts.shape}")
    hits = np.diagonal(counts)
    union = counts.sum(axis=1) + counts.sum(axis=0) - hits
    present = union > 0
    return float((hits[present] / union[present]).mean()) if present.any() else float("nan")


def maps_miou(a: LabelMap, b: LabelMap, n_classes: int) -> float:
    """mIoU between two maps of one image over the classes present in either; symmetric.

    Args:
        a: (H, W) uint8.
        b: the same size; pixels that are void in either map are left out.
        n_classes: C.

    Returns:
        0..1, or NaN if every pixel is void in one or the other.

    Raises:
        ValueError: two sizes, or a value that is neither a class index nor void.
    """
    return image_miou(confusion(joint_histogram(a, b, n_classes)))
