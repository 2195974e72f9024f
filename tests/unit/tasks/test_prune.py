"""Pruning: only what a machine makes again, nothing that a round needs, nothing that is young."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from configs.schema import Campaign
from configs.settings import Settings
from flows.__main__ import madloop
from flows.status import identity_digests
from tasks.artifacts import ArtifactStore, Draft, StageKey
from tasks.candidates import choose_candidates
from tasks.core.records import HISTOGRAMS, PREDICTIONS, TRIALS
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tasks.pruning import LEAST_AGE_S, prunable
from tasks.rounds import Round, finish_round, recall, require, save_campaign
from tests.lib.played_rounds import made, played_round

OLD_CACHE, NEW_CACHE = "a" * 64, "b" * 64


def command(home: Path, *arguments: str) -> Result:
    """`madloop` with its home at `home`."""
    return CliRunner().invoke(madloop, arguments, env={"MADLOOP_HOME": str(home)})


def tables(record: object) -> Callable[[Draft], None]:
    """What fills an artefact with one empty table."""
    return lambda draft: draft.write_table(record, [])  # type: ignore[arg-type]


def grown_old(home: Path) -> None:
    """Make every file below `home` two days old."""
    then = time.time() - 2 * LEAST_AGE_S
    for path in home.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def finished_round(home: Path) -> Round:
    """A round that has ended, in a store with something of every kind that may go."""
    round_ = played_round(home)
    store = round_.open_store()
    for cache in (OLD_CACHE, NEW_CACHE):
        for shard in "12":
            store.make(StageKey(f"predictions/{cache[:24]}", 1, {"n": shard}), tables(PREDICTIONS))
    store.make(StageKey(f"joint_histograms/{OLD_CACHE[:24]}", 1), tables(HISTOGRAMS))
    orphan = [{"image_id": "x", "joint_px": [1]}]
    store.make(
        StageKey("histograms", 1, {"of": "other"}), lambda draft: draft.write_table(HISTOGRAMS, orphan)
    )
    predictions = made(round_, "predictions-rival", {PREDICTIONS: []}, "prediction_sets", cache=NEW_CACHE)
    made(round_, "discrepancies-rival", {HISTOGRAMS: []}, "histograms", target=predictions.digest)
    trials = {
        rate: made(round_, f"trial-{rate:g}", {TRIALS: [{"learning_rate": rate}]}, "trials")
        for rate in (0.1, 0.01)
    }
    chosen = [{"learning_rate": rate, "chosen": rate == 0.01} for rate in trials]
    version = made(
        round_, "version", {TRIALS: chosen}, "versions", **{f"{r:g}": ref.digest for r, ref in trials.items()}
    )
    finish_round(round_, version, closing=False)
    work = home / "store/attempts/abandoned/checkpoint"
    work.parent.mkdir(parents=True)
    work.write_bytes(b"half")
    return round_


def markers(home: Path) -> set[str]:
    """Stages, with the cache's letter, that have artefacts left."""
    found = (p.relative_to(home / "store/artefacts").parts for p in (home / "store").rglob("complete.json"))
    return {parts[0] if len(parts) < 4 else f"{parts[0]} {parts[1][0]}" for parts in found}


def test_only_what_no_round_needs_goes_and_only_when_asked(tmp_path: Path) -> None:
    round_ = finished_round(tmp_path)
    before, digests = markers(tmp_path), identity_digests("small", Settings(home=tmp_path))
    assert {"predictions a", "predictions b", "joint_histograms a"} < before
    grown_old(tmp_path)
    listed = command(tmp_path, "prune")
    assert listed.exit_code == 0
    assert "Nothing was removed" in listed.stdout
    assert "never goes: answers, drawings and masks" in listed.stdout
    assert markers(tmp_path) == before

    assert command(tmp_path, "prune", "--yes").exit_code == 0
    assert before - markers(tmp_path) == {"predictions a", "joint_histograms a"}
    assert not (tmp_path / "store/attempts/abandoned").exists()
    store = round_.open_store()
    for stage, entry in (("histograms", "discrepancies-rival"), ("trials", "trial-0.01")):
        assert [ref.key for ref in store.found_under(stage)] == [require(round_, entry).key]
    assert recall(round_, "trial-0.1") is None, "an index entry never leads nowhere"
    left = identity_digests("small", Settings(home=tmp_path))
    assert left == {name: digest for name, digest in digests.items() if name != "1/trial-0.1"}
    assert "Nothing may go" in command(tmp_path, "prune").stdout


def test_what_is_young_stays(tmp_path: Path) -> None:
    finished_round(tmp_path)
    assert "Nothing may go" in command(tmp_path, "prune", "--yes").stdout
    grown_old(tmp_path)
    shard = next((tmp_path / f"store/artefacts/predictions/{OLD_CACHE[:24]}").rglob("*.parquet"))
    os.utime(shard)  # a run is adding to this cache
    command(tmp_path, "prune", "--yes")
    assert "predictions a" in markers(tmp_path)


def test_with_a_campaign_only_its_own_lost_trials_go(tmp_path: Path) -> None:
    round_ = finished_round(tmp_path)
    grown_old(tmp_path)
    groups = prunable(round_.open_store(), "small", time.time())
    assert [group.what for group in groups] == ["networks of trials that lost, in rounds that have ended"]
    assert groups[0].names[0].endswith("rounds/0001/trial-0.1.json"), "the reference goes first"
    assert command(tmp_path, "prune", "other").exit_code == 1


def test_trials_of_a_round_that_goes_on_stay(tmp_path: Path) -> None:
    round_ = finished_round(tmp_path)
    round_.open_store().storage.delete("campaigns/small/rounds/0001/report.json")
    grown_old(tmp_path)
    command(tmp_path, "prune", "--yes")
    assert recall(round_, "trial-0.1") is not None
    assert len(round_.open_store().found_under("trials")) == 2


def test_after_pruning_a_real_mining_gives_the_same_digests(tiny: Campaign, tmp_path: Path) -> None:
    def mined() -> tuple[str, dict[str, str]]:
        round_ = Round(tiny, 1, str(tmp_path / "store"))
        pool = list_images.fn(round_)
        specs = [tiny.target, *tiny.competitors]
        maps = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
        found = {
            c.name: compute_discrepancies.fn(round_, c.name, maps["target"], maps[c.name])
            for c in tiny.competitors
        }
        chosen = choose_candidates.fn(round_, pool, found, [])
        return chosen.digest, identity_digests(tiny.name, Settings(home=tmp_path))

    save_campaign(ArtifactStore.at(tmp_path / "store"), tiny)
    before = mined()
    grown_old(tmp_path)
    assert "counted pairs" in command(tmp_path, "prune", "--yes").stdout
    assert not (tmp_path / "store/artefacts/joint_histograms").exists()
    assert mined() == before
