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
from tasks.errors import DataError
from tasks.ranking_inputs import Window, area_windows, ranking_input, ranking_rule
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 2
SPECK_SHARE = 0.001  # of the image: what is smaller is called a speck in the report


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
    equal = _equal_competitors(data)
    if equal:
        raise DataError(
            f"Competitors that differ from the target were required, but on every image of the pool {equal} "
            f"{'has' if len(equal) == 1 else 'have'} the target's own map: people would rate what no model "
            "doubts. Replace them; the same weights under two names are one reason."
        )
    rule = ranking_rule(campaign, selection.windows, selection.excluded)
    chosen = select_candidates(data, rule)
    if not chosen:
        raise DataError(_why_none(campaign, data, rule))
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
    draft.write_table(SELECTION, [row | labels for row in _selection_rows(data)])
    draft.write_table(DRAWING_ORDER, _order_rows(round_, data, chosen, sturdy))


def _equal_competitors(data: RankingInput) -> list[str]:
    """Competitors that differ from the target on no image."""
    n_equal = (data.discrepancies == 0).sum(axis=1)
    return [
        name for name, n in zip(data.competitors, n_equal, strict=True) if n == len(data.image_ids) and n > 0
    ]


def _selection_rows(data: RankingInput) -> list[dict[str, Any]]:
    undefined, equal = np.isnan(data.discrepancies).sum(axis=1), (data.discrepancies == 0).sum(axis=1)
    return [
        {"competitor": name, "n_images": len(data.image_ids), "n_undefined": int(u), "n_equal": int(e)}
        for name, u, e in zip(data.competitors, undefined, equal, strict=True)
    ]


def _named(reason: Candidate | Shortfall, names: tuple[str, ...]) -> dict[str, Any]:
    return {"competitor": reason.competitor, "side": reason.side, "class_name": names[reason.class_index]}


def _why_none(campaign: Campaign, data: RankingInput, rule: RankingRule) -> str:
    """What to say where M is empty."""
    left = len(set(data.image_ids) - rule.excluded)
    classes = [campaign.classes.names[index] for index in rule.classes]
    return (
        f"At least one candidate was required, but there is none: {len(data.image_ids)} image(s) of the pool "
        f"were predicted by all models, {left} of them may still be chosen, and none holds a class of "
        f"{classes} inside its area window. Add images to the pool, check that the models find these "
        "classes, or widen `candidates.windows`. To stop here, set `rounds` to those that have ended, and "
        "`closing_test_set: false`."
    )


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

    Raises:
        DataError: there is no candidate, so nobody could be asked anything; or a competitor never differs
            from the target.
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
