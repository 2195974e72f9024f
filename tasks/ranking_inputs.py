"""From joint histograms and training masks to what candidates are chosen from, and by which rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.schema import Campaign
from tasks.core.discrepancy import accuracy_discrepancy, class_areas_of, miou_discrepancy
from tasks.core.ranking import RankingInput, RankingRule
from tasks.core.windows import class_area_windows


@dataclass(frozen=True)
class Window:
    """The area window of one class.

    Attributes:
        bounds: lowest and highest share of the image, 0..1, inclusive; None where there is no window.
        n_masks: training masks it was computed from; None where the config gave it.
    """

    bounds: tuple[float, float] | None
    n_masks: int | None


def area_windows(campaign: Campaign, label_areas: list[dict[str, Any]]) -> dict[int, Window]:
    """Window per class index: as configured, else the quartiles over the training masks.

    Args:
        campaign: for the classes and configured windows.
        label_areas: rows of `label_areas`; only those of the training set count.
    """
    training = [row for row in label_areas if row["dataset"] == "training"]
    fractions = np.array([np.array(row["class_px"]) / row["pixels"] for row in training])
    quartiles = class_area_windows(fractions.reshape(-1, campaign.classes.count))
    configured = campaign.candidates.windows or {}
    windows = {}
    for index, name in enumerate(campaign.classes.names):
        if name in configured:
            windows[index] = Window(configured[name], None)
        else:
            windows[index] = Window(quartiles[index], int((fractions[:, index] > 0).sum()))
    return windows


def ranking_input(
    campaign: Campaign,
    histograms: Mapping[str, tuple[list[str], NDArray[np.int64]]],
    groups: Mapping[str, str],
    speck_share: float = 0.0,
) -> RankingInput:
    """Discrepancies and areas of all images that every model predicted.

    Args:
        campaign: for the metric and the smallest class area that counts.
        histograms: competitor -> (image_ids, joint histograms (N, C+1, C+1), row = target).
        groups: image_id -> scene.
        speck_share: classes smaller than this share of the first image, 0..1, do not count, whatever the
            config says.
    """
    shared = sorted(set.intersection(*(set(ids) for ids, _ in histograms.values())))
    discrepancies: list[NDArray[np.float64]] = []
    competitor_areas: list[NDArray[np.int64]] = []
    target_areas: NDArray[np.int64] = np.zeros(0, np.int64)
    pixels: NDArray[np.int64] = target_areas
    for ids, joint in histograms.values():
        position = {image_id: i for i, image_id in enumerate(ids)}
        aligned = joint[[position[image_id] for image_id in shared]]
        if campaign.discrepancies.metric == "miou":
            smallest = max(campaign.discrepancies.min_class_px, math.ceil(speck_share * aligned[:1].sum()))
            discrepancies.append(miou_discrepancy(aligned, min_class_px=smallest))
        else:
            discrepancies.append(accuracy_discrepancy(aligned))
        target_areas, theirs = class_areas_of(aligned)
        competitor_areas.append(theirs)
        pixels = aligned.sum(axis=(1, 2))
    return RankingInput(
        image_ids=tuple(shared),
        competitors=tuple(histograms),
        discrepancies=np.array(discrepancies),
        target_areas=target_areas,
        competitor_areas=np.array(competitor_areas),
        pixels=pixels,
        groups=tuple(groups[image_id] for image_id in shared),
    )


def ranking_rule(campaign: Campaign, windows: Mapping[int, Window], excluded: frozenset[str]) -> RankingRule:
    """The campaign's rule of selection.

    Args:
        campaign: for quota, classes and cap.
        windows: area window by class index.
        excluded: images that may not be chosen.
    """
    return RankingRule(
        quota=campaign.candidates.quota,
        classes=campaign.classes.subgroup_indices,
        windows={index: window.bounds for index, window in windows.items()},
        max_per_group=campaign.candidates.max_per_group,
        excluded=excluded,
    )
