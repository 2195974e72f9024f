"""Candidates (M): the images on which target and competitors differ most, under the content constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.discrepancy import accuracy_discrepancy, class_areas_of, miou_discrepancy
from tasks.core.label_maps import main_class
from tasks.core.ranking import (
    Candidate,
    RankingInput,
    RankingRule,
    select_candidates,
    shortfalls,
    unique_images,
)
from tasks.core.records import (
    CANDIDATES,
    DRAWING_ORDER,
    HISTOGRAMS,
    IMAGES,
    LABEL_AREAS,
    SHORTFALLS,
    WINDOWS,
)
from tasks.core.sampling import drawing_order
from tasks.core.windows import class_area_windows
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1


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
) -> RankingInput:
    """Discrepancies and areas of all images that every model predicted.

    Args:
        campaign: for the metric and the smallest class area that counts.
        histograms: competitor -> (image_ids, joint histograms (N, C+1, C+1), row = target).
        groups: image_id -> scene.
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
            discrepancies.append(miou_discrepancy(aligned, min_class_px=campaign.discrepancies.min_class_px))
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


def largest_discrepancies(candidates: list[Candidate]) -> dict[str, Candidate]:
    """For each image the reason with the largest discrepancy; ties go to the reason listed first."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        held = best.get(candidate.image_id)
        if held is None or candidate.discrepancy > held.discrepancy:
            best[candidate.image_id] = candidate
    return best


def write_selection(
    round_: Round, data: RankingInput, windows: dict[int, Window], excluded: frozenset[str], draft: Draft
) -> None:
    """Select the candidates and write them with their windows, shortfalls and the recorded drawing order."""
    campaign = round_.campaign
    names = campaign.classes.names
    rule = RankingRule(
        quota=campaign.candidates.quota,
        classes=campaign.classes.subgroup_indices,
        windows={index: window.bounds for index, window in windows.items()},
        max_per_group=campaign.candidates.max_per_group,
        excluded=excluded,
    )
    chosen = select_candidates(data, rule)
    draft.write_table(
        CANDIDATES,
        [
            {
                "image_id": c.image_id,
                "competitor": c.competitor,
                "side": c.side,
                "class_name": names[c.class_index],
                "rank": c.rank,
                "discrepancy": c.discrepancy,
                "area_fraction": c.area_fraction,
            }
            | round_.labels
            for c in chosen
        ],
    )
    draft.write_table(
        SHORTFALLS,
        [
            {
                "competitor": s.competitor,
                "side": s.side,
                "class_name": names[s.class_index],
                "wanted": s.wanted,
                "got": s.got,
            }
            | round_.labels
            for s in shortfalls(chosen, data, rule)
        ],
    )
    draft.write_table(
        WINDOWS,
        [
            {
                "class_name": names[i],
                "low": w.bounds[0] if w.bounds else None,
                "high": w.bounds[1] if w.bounds else None,
                "n_masks": w.n_masks,
            }
            | round_.labels
            for i, w in windows.items()
            if i in rule.classes
        ],
    )
    areas = dict(zip(data.image_ids, data.target_areas, strict=True))
    best = largest_discrepancies(chosen)
    order = drawing_order(unique_images(chosen), seed=campaign.seed, round_number=round_.number)
    rows = []
    for position, image_id in enumerate(order):
        main = main_class(areas[image_id], campaign.classes.foreground_indices)
        rows.append(
            {
                "position": position,
                "image_id": image_id,
                "main_class": None if main is None else names[main],
                "competitor": best[image_id].competitor,
                "discrepancy": best[image_id].discrepancy,
            }
            | round_.labels
        )
    draft.write_table(DRAWING_ORDER, rows)


def _histograms(
    store: ArtifactStore, refs: Mapping[str, ArtifactRef], n_classes: int
) -> dict[str, tuple[list[str], NDArray[np.int64]]]:
    loaded: dict[str, tuple[list[str], NDArray[np.int64]]] = {}
    for competitor, ref in refs.items():
        table = store.table(ref, HISTOGRAMS)
        flat = np.asarray(table["joint_px"].combine_chunks().flatten())
        joint = flat.astype(np.int64).reshape(-1, n_classes + 1, n_classes + 1)
        loaded[competitor] = (table["image_id"].to_pylist(), joint)
    return loaded


@stage_task("select candidates")
def choose_candidates(
    round_: Round, pool: ArtifactRef, discrepancies: dict[str, ArtifactRef], excluded: list[str]
) -> ArtifactRef:
    """The candidates of the round, every reason kept.

    Args:
        round_: the round.
        pool: the round's images and label areas.
        discrepancies: competitor -> its joint histograms, in the order of the config.
        excluded: images of any earlier S or T, and images declared out of domain.
    """
    store, campaign = round_.open_store(), round_.campaign
    config = {
        "discrepancies": campaign.discrepancies.model_dump(mode="json"),
        "candidates": campaign.candidates.model_dump(mode="json"),
        "classes": campaign.classes.model_dump(mode="json"),
        "seed": campaign.seed,
        "round": round_.number,
    }
    inputs = {f"discrepancies of {name}": ref.digest for name, ref in discrepancies.items()}
    inputs |= {"pool": pool.digest, "excluded": digest_of(sorted(excluded))}

    def fill(draft: Draft) -> None:
        groups = {
            row["image_id"]: row["group"] for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"
        }
        windows = area_windows(campaign, store.rows(pool, LABEL_AREAS))
        data = ranking_input(campaign, _histograms(store, discrepancies, campaign.classes.count), groups)
        write_selection(round_, data, windows, frozenset(excluded), draft)

    return remember(round_, "candidates", store.make(StageKey("candidates", VERSION, config, inputs), fill))
