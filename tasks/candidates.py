"""Candidates (M): the images on which target and competitors differ most, under the content constraints."""

from __future__ import annotations

import math
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
    Shortfall,
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
    SELECTION,
    SHORTFALLS,
    WINDOWS,
)
from tasks.core.sampling import drawing_order
from tasks.core.windows import class_area_windows
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1
SPECK_SHARE = 0.001  # of the image: what is smaller is called a speck in the report


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


def largest_discrepancies(candidates: list[Candidate]) -> dict[str, Candidate]:
    """For each image the reason with the largest discrepancy; ties go to the reason listed first."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        held = best.get(candidate.image_id)
        if held is None or candidate.discrepancy > held.discrepancy:
            best[candidate.image_id] = candidate
    return best


@dataclass(frozen=True)
class Selection:
    """What the candidates are selected from.

    Attributes:
        data: discrepancies and areas.
        without_specks: the same with small classes left out of the discrepancy.
        windows: area window by class index.
        excluded: images that may not be chosen.
    """

    data: RankingInput
    without_specks: RankingInput
    windows: dict[int, Window]
    excluded: frozenset[str]


def write_selection(round_: Round, selection: Selection, draft: Draft) -> None:
    """Select the candidates and write them with their windows, shortfalls and the recorded drawing order."""
    campaign, data = round_.campaign, selection.data
    rule = RankingRule(
        quota=campaign.candidates.quota,
        classes=campaign.classes.subgroup_indices,
        windows={index: window.bounds for index, window in selection.windows.items()},
        max_per_group=campaign.candidates.max_per_group,
        excluded=selection.excluded,
    )
    chosen = select_candidates(data, rule)
    sturdy = frozenset(unique_images(select_candidates(selection.without_specks, rule)))
    labels, names = round_.labels, campaign.classes.names
    draft.write_table(
        CANDIDATES,
        [_named(c, names) | {"discrepancy": c.discrepancy, "rank": c.rank, "area_fraction": c.area_fraction,
                             "image_id": c.image_id} | labels for c in chosen],
    )  # fmt: skip
    short = shortfalls(chosen, data, rule)
    draft.write_table(
        SHORTFALLS, [_named(s, names) | {"wanted": s.wanted, "got": s.got} | labels for s in short]
    )
    used = {i: window for i, window in selection.windows.items() if i in rule.classes}
    draft.write_table(WINDOWS, [_window_row(names[i], window) | labels for i, window in used.items()])
    undefined = np.isnan(data.discrepancies).sum(axis=1)
    draft.write_table(
        SELECTION,
        [
            {"competitor": name, "n_images": len(data.image_ids), "n_undefined": int(n)} | labels
            for name, n in zip(data.competitors, undefined, strict=True)
        ],
    )
    draft.write_table(DRAWING_ORDER, _order_rows(round_, data, chosen, sturdy))


def _named(reason: Candidate | Shortfall, names: tuple[str, ...]) -> dict[str, Any]:
    return {"competitor": reason.competitor, "side": reason.side, "class_name": names[reason.class_index]}


def _window_row(class_name: str, window: Window) -> dict[str, Any]:
    low, high = window.bounds or (None, None)
    return {"class_name": class_name, "low": low, "high": high, "n_masks": window.n_masks}


def _order_rows(
    round_: Round, data: RankingInput, chosen: list[Candidate], sturdy: frozenset[str]
) -> list[dict[str, Any]]:
    """Rows of `drawing_order`: the candidates in the seeded random order in which T is drawn."""
    classes = round_.campaign.classes
    areas = dict(zip(data.image_ids, data.target_areas, strict=True))
    best = largest_discrepancies(chosen)
    order = drawing_order(unique_images(chosen), seed=round_.campaign.seed, round_number=round_.number)
    rows = []
    for position, image_id in enumerate(order):
        main = main_class(areas[image_id], classes.foreground_indices)
        rows.append(
            {
                "position": position,
                "image_id": image_id,
                "main_class": None if main is None else classes.names[main],
                "competitor": best[image_id].competitor,
                "discrepancy": best[image_id].discrepancy,
                "rests_on_specks": image_id not in sturdy,
            }
            | round_.labels
        )
    return rows


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
        "competitors": list(discrepancies),  # their order decides ties between them
    }
    inputs = {f"discrepancies of {name}": ref.digest for name, ref in discrepancies.items()}
    inputs |= {"pool": pool.digest, "excluded": digest_of(sorted(excluded))}

    def fill(draft: Draft) -> None:
        groups = {
            row["image_id"]: row["group"] for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"
        }
        windows = area_windows(campaign, store.rows(pool, LABEL_AREAS))
        histograms = _histograms(store, discrepancies, campaign.classes.count)
        data = ranking_input(campaign, histograms, groups)
        sturdy = ranking_input(campaign, histograms, groups, SPECK_SHARE)
        write_selection(round_, Selection(data, sturdy, windows, frozenset(excluded)), draft)

    return remember(round_, "candidates", store.make(StageKey("candidates", VERSION, config, inputs), fill))
