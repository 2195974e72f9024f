"""Maps whose right score is known by construction: the truth, and a plainly wrong one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tasks.core.label_maps import VOID, LabelMap, check_label_map
from tasks.core.scores import maps_miou

RIGHT_SCORE, WRONG_SCORE = 5, 1
PLAINLY_WRONG = 0.2  # image mIoU below it is `bad` on the scale of simulated people, too


def without_void(truth: LabelMap) -> LabelMap:
    """The mask with every void pixel given the class of the nearest labelled one.

    No model leaves pixels without a class: shown as it is, a mask with void would give itself away.

    Args:
        truth: (H, W) uint8, at least one pixel labelled.

    Returns:
        (H, W) uint8 without void; on the labelled pixels the mask itself.

    Raises:
        ValueError: every pixel is void.
    """
    check_label_map(truth, "truth")
    void = truth == VOID
    if void.all():
        raise ValueError("`truth` must have a labelled pixel, got void everywhere")
    if not void.any():
        return truth
    nearest: NDArray[np.intp] = ndimage.distance_transform_edt(
        void, return_distances=False, return_indices=True
    )
    filled: LabelMap = truth[tuple(nearest)]
    return filled


def is_plainly_wrong(truth: LabelMap, shown: LabelMap, n_classes: int) -> bool:
    """Whether the mIoU of the image, over the classes in either map, is below .2.

    Args:
        truth: (H, W) uint8, at least one pixel labelled.
        shown: (H, W) uint8, another image's mask at this size.
        n_classes: C.
    """
    return maps_miou(truth, shown, n_classes) < PLAINLY_WRONG
