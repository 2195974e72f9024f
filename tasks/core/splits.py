"""Splitting a labelled set in two by scene, so that neighbours do not stand on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """Two disjoint parts of a set.

    Attributes:
        tuning: image ids that may choose a learning rate, sorted.
        reporting: the other image ids, sorted.
        is_by_group: False where the set has only one scene and had to be split by image.
    """

    tuning: tuple[str, ...]
    reporting: tuple[str, ...]
    is_by_group: bool


def split_by_group(groups: Mapping[str, str], *, tuning_share: float, seed: int) -> Split:
    """Split images by scene: scenes in seeded random order go to the tuning part until it has its share.

    Args:
        groups: image_id -> scene, at least two images.
        tuning_share: share of the images the tuning part should have, 0..1, exclusive; it gets at least one
            scene and never all of them.
        seed: of the order.

    Raises:
        ValueError: fewer than two images.

    Source: DESIGN section 1, row T(0).
    """
    if len(groups) < 2:
        raise ValueError(f"`groups` must hold at least two images to split, got {len(groups)}")
    is_by_group = len(set(groups.values())) > 1
    unit_of = dict(groups) if is_by_group else {image_id: image_id for image_id in groups}
    units = sorted(set(unit_of.values()))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(units))
    wanted, tuning = tuning_share * len(groups), set()
    for unit in (units[i] for i in order[:-1]):
        tuning |= {image_id for image_id, own in unit_of.items() if own == unit}
        if len(tuning) >= wanted:
            break
    return Split(tuple(sorted(tuning)), tuple(sorted(groups.keys() - tuning)), is_by_group)
