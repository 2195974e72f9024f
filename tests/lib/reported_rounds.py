"""A played round that has its report, without a network and without a service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.settings import Settings
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.records import (
    CANDIDATES,
    DRAWING_ORDER,
    ENGINES,
    MASKS,
    REJECTS,
    SCORES,
    SELECTION,
    SHORTFALLS,
    WINDOWS,
)
from tasks.report import write_report
from tasks.rounds import Round, finish_round, remember, require, save_campaign
from tests.lib.played_rounds import made, played_round


def reported_round(root: Path, **sections: Any) -> tuple[Round, ArtifactRef]:
    """Round 1 of a campaign that repairs nothing, from its pool to its report; the round has ended.

    Args:
        root: the home; its store is below.
        sections: sections of the campaign that differ from those of `played_round`.
    """
    played = played_round(root)
    campaign = played.campaign.model_copy(update={"repair": False, **sections})
    round_ = replace(played, campaign=campaign)
    store = round_.open_store()
    save_campaign(store, campaign)
    candidates = require(round_, "candidates")
    reasons = [
        row | {"rank": 1, "discrepancy": 0.5, "area_fraction": 0.1}
        for row in store.rows(candidates, CANDIDATES)
    ]
    order = [row | {"rests_on_specks": False} for row in store.rows(candidates, DRAWING_ORDER)]
    tables = {CANDIDATES: reasons, DRAWING_ORDER: order, WINDOWS: [], SHORTFALLS: [], SELECTION: []}
    made(round_, "candidates", tables, all_tables="yes")
    for role in ("test", "failure"):
        _with_mask_files(round_, role)
    made(round_, "engines", {ENGINES: []})
    for model in (campaign.target, *campaign.competitors):
        made(round_, f"predictions-{model.name}", {REJECTS: []}, model=model.name)
    scores = made(round_, "scores", {SCORES: []})
    report = write_report.fn(round_, Settings(home=root), scores, False)
    finish_round(round_, report, closing=False)
    return round_, report


def _with_mask_files(round_: Round, role: str) -> None:
    """The masks of one set with their files, as the stage writes them."""
    store = round_.open_store()
    rows = store.rows(require(round_, f"masks-{role}"), MASKS)

    def fill(draft: Draft) -> None:
        for row in rows:
            draft.write_file(f"{row['image_id']}.png", store.blob(row["mask_digest"], ".png"), identity=True)
        draft.write_table(MASKS, rows)

    remember(round_, f"masks-{role}", store.make(StageKey("masks", 1, {"role": role, "files": True}), fill))
