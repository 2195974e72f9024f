"""Campaigns that bring nothing: competitors that equal the target, classes nobody finds, vanished files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef
from tasks.candidates import choose_candidates
from tasks.core.records import CANDIDATES, PREDICTIONS, REJECTS, SELECTION, SHORTFALLS
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines
from tasks.errors import DataError
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tasks.rounds import Round
from tests.lib.small_networks import small_folder
from tests.lib.written_campaigns import campaign_of, png, write_file, write_labelled

ANYWHERE = {"disc": [0.0, 1.0], "square": [0.0, 1.0]}


def campaign_with(root: Path, *, rival_seed: int, windows: dict[str, list[float]]) -> Campaign:
    """Six images of noise and two untrained networks."""
    write_labelled(root / "training", "t", 1)
    for seed in (2, 3):
        write_labelled(root / "familiar", f"f{seed}", seed)
    for seed in range(10, 16):
        write_file(root / f"pool/{seed}.png", png(seed))
    models: list[dict[str, Any]] = [
        small_folder(root / name, seed=seed).model_copy(update={"name": name}).model_dump(mode="json")
        for name, seed in (("target", 0), ("rival", rival_seed))
    ]
    plainly = {"engine": "torch", "processes": 1}
    settings = {"windows": windows, "quota": 100}
    return campaign_of(
        root, target=models[0], competitors=models[1:], predictions=plainly, candidates=settings
    )


def mined(campaign: Campaign, root: Path, pool: ArtifactRef | None = None) -> tuple[Round, ArtifactRef]:
    """The candidates of the campaign's first round."""
    round_ = Round(campaign, 1, str(root / "store"))
    listed, specs = pool or list_images.fn(round_), [campaign.target, *campaign.competitors]
    maps = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, listed), listed)
    discrepancies = {"rival": compute_discrepancies.fn(round_, "rival", maps["target"], maps["rival"])}
    return round_, choose_candidates.fn(round_, listed, discrepancies, [])


def test_a_competitor_with_the_targets_weights_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\['rival'\] has the target's own map"):
        mined(campaign_with(tmp_path, rival_seed=0, windows=ANYWHERE), tmp_path)
    other = tmp_path / "other"
    round_, ref = mined(campaign_with(other, rival_seed=5, windows=ANYWHERE), other)
    (row,) = round_.open_store().rows(ref, SELECTION)
    assert row["n_equal"] < row["n_images"] == 6


def test_a_quota_larger_than_its_subgroup_is_written_down(tmp_path: Path) -> None:
    round_, ref = mined(campaign_with(tmp_path, rival_seed=5, windows=ANYWHERE), tmp_path)
    store = round_.open_store()
    short = store.rows(ref, SHORTFALLS)
    assert {(row["class_name"], row["side"]) for row in short} == {
        (name, side) for name in ("disc", "square") for side in ("target", "competitor")
    }
    assert sum(row["got"] for row in short) == len(store.rows(ref, CANDIDATES)) > 0
    assert all(row["wanted"] == 100 for row in short)


def test_classes_that_no_model_finds_leave_no_candidate_and_that_is_said(tmp_path: Path) -> None:
    nowhere = {"disc": [1.0, 1.0], "square": [1.0, 1.0]}  # no map of noise is all of one class
    with pytest.raises(DataError, match=r"At least one candidate was required.* 6 image\(s\) of the"):
        mined(campaign_with(tmp_path, rival_seed=5, windows=nowhere), tmp_path)


def test_a_pool_that_vanished_after_it_was_listed_is_rejected_and_that_is_said(tmp_path: Path) -> None:
    campaign = campaign_with(tmp_path, rival_seed=5, windows=ANYWHERE)
    round_ = Round(campaign, 1, str(tmp_path / "store"))
    store, pool = round_.open_store(), list_images.fn(round_)
    for path in (tmp_path / "pool").iterdir():
        path.unlink()
    specs = [campaign.target, *campaign.competitors]
    maps = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
    for ref in maps.values():
        assert len(store.rows(ref, PREDICTIONS)) == 0
        assert len(store.rows(ref, REJECTS)) == 6
    with pytest.raises(DataError, match=r"At least one candidate was required.* 0 image\(s\) of the pool"):
        mined(campaign, tmp_path, pool)
