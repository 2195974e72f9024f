"""Parity of two engines: whether ONNX Runtime gives the maps and the choice of images of torch. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from configs.schema import Campaign
from tasks.core.confusion import joint_histogram
from tasks.core.label_maps import LabelMap
from tasks.core.ranking import select_candidates
from tasks.ranking_inputs import area_windows, ranking_input, ranking_rule

OWN, ONNX = "own", "onnxruntime"  # the engine a model comes with, and the one it may be exported to
LEAST_AGREEMENT = 0.999  # share of pixels on which the two engines must name the same class

Row = dict[str, Any]


@dataclass(frozen=True)
class Parity:
    """What the comparison of a model's two engines found.

    Attributes:
        own: image_id -> map by torch.
        onnx: image_id -> map by ONNX Runtime; empty where the model does not run there.
        failure: why it does not.
    """

    own: Mapping[str, LabelMap]
    onnx: Mapping[str, LabelMap]
    failure: str = ""

    @property
    def agreement(self) -> float:
        """Share of all pixels that are of one class in both, 0..1; NaN without images."""
        pixels = sum(label_map.size for label_map in self.own.values())
        equal = sum(int((self.own[i] == self.onnx[i]).sum()) for i in self.own)
        return equal / pixels if pixels else math.nan


@dataclass(frozen=True)
class SampleChoice:
    """What is chosen among the compared images alone.

    Attributes:
        reasons: (competitor, side, class index, image_id) of everything chosen.
        leaves_out: whether some subgroup had more images than its quota, so that there was a choice at all.
    """

    reasons: frozenset[tuple[str, str, int, str]]
    leaves_out: bool


def choice_among(
    campaign: Campaign, maps: Mapping[str, Mapping[str, LabelMap]], label_areas: list[Row], quota: int
) -> SampleChoice:
    """M of a few images alone, with every reason: the same images for other reasons are another M.

    Args:
        campaign: for the rule.
        maps: model -> image_id -> map, the target first; at least one image is in all of them.
        label_areas: rows of the round's label areas, for the windows.
        quota: images per competitor, class and side.
    """
    n = campaign.classes.count
    (_, ours), *competitors = maps.items()
    shared = _shared(maps)
    histograms = {
        name: (shared, np.array([joint_histogram(ours[i], theirs[i], n) for i in shared], np.int64))
        for name, theirs in competitors
    }
    data = ranking_input(campaign, histograms, {image_id: image_id for image_id in shared})
    rule = ranking_rule(campaign, area_windows(campaign, label_areas), frozenset())
    chosen, eligible = (
        select_candidates(data, replace(rule, quota=size)) for size in (quota, max(quota, len(shared)))
    )
    reasons = frozenset((c.competitor, c.side, c.class_index, c.image_id) for c in chosen)
    return SampleChoice(reasons, len(eligible) > len(chosen))


def _shared(maps: Mapping[str, Mapping[str, LabelMap]]) -> list[str]:
    """The images that all models have a map of."""
    return sorted(set.intersection(*(set(of) for of in maps.values())))


def sample_quota(quota: int, n_sample: int, n_pool: int) -> int:
    """The quota in proportion: among a few images of the pool, as hard a choice as among all of them.

    >>> sample_quota(4, 16, 362), sample_quota(25, 500, 1000), sample_quota(4, 16, 16)
    (1, 13, 4)
    """
    return min(quota, math.ceil(quota * n_sample / n_pool))


def engine_rows(
    campaign: Campaign, parities: Mapping[str, Parity], label_areas: list[Row], n_pool: int
) -> list[Row]:
    """Which engine runs each model, and why: rows of the record `engines`.

    ONNX Runtime runs a model if it gives the same class on `LEAST_AGREEMENT` of all compared pixels; and if,
    with all such models on it, the compared images are chosen for the same reasons as by torch, under a quota
    in proportion to their number. Otherwise torch does.

    Args:
        campaign: for the rule of M.
        parities: by model, the target first.
        label_areas: rows of the round's label areas.
        n_pool: images of the pool.
    """
    reasons = {name: _refusal(parity) for name, parity in parities.items()}
    passed = [name for name, reason in reasons.items() if not reason]
    if passed:
        refusal = _refusal_by_choice(campaign, parities, passed, label_areas, n_pool)
        reasons |= dict.fromkeys(passed, refusal)
    return [
        {
            "model": name,
            "engine": ONNX if not reasons[name] else OWN,
            "agreement": None if parity.failure else parity.agreement,
            "n_images": len(parity.own),
            "reason": reasons[name],
        }
        for name, parity in parities.items()
    ]


def _refusal_by_choice(
    campaign: Campaign, parities: Mapping[str, Parity], passed: list[str], label_areas: list[Row], n_pool: int
) -> str:
    """Why M forbids ONNX Runtime for the models that passed; empty where it does not."""
    own = {name: parity.own for name, parity in parities.items()}
    shared, largest = len(_shared(own)), max(len(of) for of in own.values())
    if 2 * shared < largest:
        return (
            f"M could not be compared: only {shared} of {largest} compared images are known to all models; "
            "the pool has changed since the others were compared"
        )
    quota = sample_quota(campaign.candidates.quota, shared, n_pool)
    mixed = own | {name: parities[name].onnx for name in passed}
    before, after = (choice_among(campaign, maps, label_areas, quota) for maps in (own, mixed))
    if before.reasons != after.reasons:
        differing = len(before.reasons ^ after.reasons)
        return f"{differing} other reasons for candidates among the compared images"
    if not before.leaves_out and shared < n_pool:
        return (
            "M could not be compared: no class had more compared images than its quota; raise "
            "`predictions.parity_images`"
        )
    return ""


def _refusal(parity: Parity) -> str:
    """Why the model may not run in ONNX Runtime; empty where it may."""
    if parity.failure:
        return parity.failure
    if not parity.agreement >= LEAST_AGREEMENT:
        return f"only {parity.agreement:.6f} of the pixels agree, {LEAST_AGREEMENT} are required"
    return ""
