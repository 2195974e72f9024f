"""The pass over the pool: shared between processes, by two engines, compared before anything is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.schema import Campaign
from configs.settings import CHECKOUT
from tasks.artifacts import ArtifactRef
from tasks.core.confusion import joint_histogram
from tasks.core.digests import digest_of_bytes
from tasks.core.label_maps import LabelMap
from tasks.core.records import ENGINES, HISTOGRAMS, IMAGES, PREDICTIONS
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines, compared_images, parity_images
from tasks.errors import TroubleshootError
from tasks.parity import LEAST_AGREEMENT, Parity, choice_among, engine_rows
from tasks.pool import list_images
from tasks.pool_pass import prefetched
from tasks.prediction_cache import HistogramCache, PredictionCache, StoredMap, maps_of
from tasks.predictions import predict_pool
from tasks.rounds import Round
from tasks.worker_processes import share_out
from tests.lib.written_campaigns import png, write_file


def with_predictions(campaign: Campaign, **changes: object) -> Campaign:
    """The campaign with other settings of the pass."""
    return campaign.model_copy(update={"predictions": campaign.predictions.model_copy(update=changes)})


def passed(round_: Round) -> tuple[dict[str, ArtifactRef], dict[str, ArtifactRef]]:
    """Prediction sets and discrepancies of a round."""
    specs = [round_.campaign.target, *round_.campaign.competitors]
    pool = list_images.fn(round_)
    sets = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
    rivals = {
        spec.name: compute_discrepancies.fn(round_, spec.name, sets["target"], sets[spec.name])
        for spec in round_.campaign.competitors
    }
    return sets, rivals


@pytest.fixture(scope="module")
def alone(tiny: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """A round whose pass was made by one process, with torch."""
    round_ = Round(tiny, 1, str(tmp_path_factory.mktemp("alone")))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # whatever the process is set to, a pass takes one
    passed(round_)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    return round_


def digests(refs: tuple[dict[str, ArtifactRef], dict[str, ArtifactRef]]) -> dict[str, str]:
    """Identity digests of all results of a pass."""
    names = ("predictions", "discrepancies")
    return {
        f"{what} {name}": ref.digest
        for what, part in zip(names, refs, strict=True)
        for name, ref in part.items()
    }


def test_two_processes_find_what_one_finds(tiny: Campaign, alone: Round, tmp_path: Path) -> None:
    shared = Round(with_predictions(tiny, processes=2, shard_size=7), 1, str(tmp_path))
    assert digests(passed(shared)) == digests(passed(alone))


def test_the_histograms_are_those_of_the_stored_maps(alone: Round) -> None:
    store = alone.open_store()
    sets, rivals = passed(alone)
    ours = maps_of(store, sets["target"])
    for name, ref in rivals.items():
        theirs, rows = maps_of(store, sets[name]), store.rows(ref, HISTOGRAMS)
        assert len(rows) == 24
        for row in rows:
            a, b = (StoredMap.of(maps[row["image_id"]]).read(store) for maps in (ours, theirs))
            assert row["joint_px"] == joint_histogram(a, b, 3).ravel().tolist()


def test_histograms_that_were_removed_are_counted_again(tiny: Campaign, tmp_path: Path) -> None:
    round_ = Round(tiny, 1, str(tmp_path))
    before = digests(passed(round_))
    shutil.rmtree(tmp_path / "artefacts" / "joint_histograms")
    shutil.rmtree(tmp_path / "artefacts" / "histograms")
    assert digests(passed(round_)) == before


def test_a_new_target_is_compared_with_the_maps_there_are(tiny: Campaign, tmp_path: Path) -> None:
    round_ = Round(tiny, 1, str(tmp_path))
    passed(round_)
    store = round_.open_store()
    rival = tiny.competitors[0]
    held = store.found_under(PredictionCache.of(tiny, rival, by_onnx=False).stage)
    swapped = tiny.model_copy(
        update={
            "target": tiny.competitors[1].model_copy(update={"name": "target"}),
            "competitors": (rival,),
        }
    )
    _, rivals = passed(Round(swapped, 2, str(tmp_path)))
    assert store.found_under(PredictionCache.of(tiny, rival, by_onnx=False).stage) == held
    assert len(store.rows(rivals["rival-a"], HISTOGRAMS)) == 24


def test_onnx_runtime_gives_the_maps_of_torch(tiny: Campaign, alone: Round, tmp_path: Path) -> None:
    settings = with_predictions(tiny, engine="onnxruntime", parity_images=12)
    # At the size the images have anyway: graphs for one size are exported in a fraction of the time.
    specs = [spec.model_copy(update={"input_size": (64, 64)}) for spec in (tiny.target, tiny.competitors[0])]
    models = {"target": specs[0], "competitors": tuple(specs[1:])}
    faster = Round(settings.model_copy(update=models), 1, str(tmp_path))
    sets, _ = passed(faster)
    store = faster.open_store()
    chosen = choose_engines.fn(faster, specs, list_images.fn(faster))
    rows = store.rows(chosen, ENGINES)
    assert {row["model"]: row["engine"] for row in rows} == {spec.name: "onnxruntime" for spec in specs}
    assert all(row["n_images"] == 12 and row["agreement"] >= LEAST_AGREEMENT for row in rows)
    reference, _ = passed(alone)
    for name, ref in sets.items():
        ours, theirs = maps_of(alone.open_store(), reference[name]), maps_of(store, ref)
        assert ours.keys() == theirs.keys()
        equal = [
            np.mean(StoredMap.of(ours[i]).read(alone.open_store()) == StoredMap.of(theirs[i]).read(store))
            for i in ours
        ]
        assert np.mean(equal) >= LEAST_AGREEMENT
        a, b = (s.table(r, PREDICTIONS).sort_by("image_id") for s, r in
                ((alone.open_store(), reference[name]), (store, ref)))  # fmt: skip
        assert np.allclose(a["entropy_mean"].to_numpy(), b["entropy_mean"].to_numpy(), atol=1e-4)
    second = faster.at(2)  # a campaign goes on with the engines it began with
    assert choose_engines.fn(second, specs, list_images.fn(second)).key == chosen.key


def test_an_image_of_one_pixel_goes_through_the_whole_pass(tiny: Campaign, tmp_path: Path) -> None:
    write_file(tmp_path / "pool/one.png", png(1, height=1, width=1))
    source = tiny.pool.model_copy(update={"images": tmp_path / "pool"})
    round_ = Round(tiny.model_copy(update={"pool": source}), 1, str(tmp_path / "store"))
    sets, rivals = passed(round_)
    store = round_.open_store()
    image_id = digest_of_bytes((tmp_path / "pool/one.png").read_bytes())
    maps = {n: StoredMap.of(maps_of(store, ref)[image_id]).read(store) for n, ref in sets.items()}
    assert {label_map.shape for label_map in maps.values()} == {(1, 1)}
    for name, ref in rivals.items():
        (row,) = store.rows(ref, HISTOGRAMS)
        expected = np.zeros((4, 4), int)  # void last
        expected[maps["target"][0, 0], maps[name][0, 0]] = 1
        assert row["joint_px"] == expected.ravel().tolist()


# Training masks that leave every area inside the windows.
AREAS = [
    {"dataset": "training", "pixels": 1000, "class_px": [1000 - 2 * area, area, area]}
    for area in (1, 1, 1, 1, 499, 499, 499, 499)
]


def blank(*columns: int) -> LabelMap:
    """A map of 100 x 10 pixels of class 0 with class 1 in some columns."""
    found = np.zeros((100, 10), np.uint8)
    found[:, list(columns)] = 1
    return found


def test_a_model_on_which_the_engines_differ_stays_with_torch(tiny: Campaign) -> None:
    spoilt = blank(3)
    spoilt[0, 0] = 1  # one pixel of a thousand is the most that may differ
    more = spoilt.copy()
    more[1, 0] = 1
    parities = {
        "target": Parity({"a": blank(3)}, {"a": spoilt}),
        "rival-a": Parity({"a": blank(3)}, {"a": more}),
        "rival-b": Parity({"a": blank(4)}, {}, "no such operator"),
    }
    rows = {row["model"]: row for row in engine_rows(tiny, parities, AREAS, 1)}
    assert [rows[name]["engine"] for name in parities] == ["onnxruntime", "own", "own"]
    assert "0.998" in rows["rival-a"]["reason"]
    assert rows["rival-b"]["reason"] == "no such operator"
    assert rows["rival-b"]["agreement"] is None


def test_engines_that_lead_to_other_candidates_are_refused_together(tiny: Campaign) -> None:
    campaign = tiny.model_copy(
        update={
            "candidates": tiny.candidates.model_copy(update={"quota": 1}),
            "competitors": tiny.competitors[:1],
        }
    )
    nearly = blank(3)
    nearly[0, 4] = 1  # turns the order of two images that are equally far apart
    parities = {
        "target": Parity({"a": blank(3), "b": blank(3)}, {"a": blank(3), "b": nearly}),
        "rival-a": Parity({"a": blank(5), "b": blank(5)}, {"a": blank(5), "b": blank(5)}),
    }
    rows = engine_rows(campaign, parities, AREAS, 2)
    assert [row["engine"] for row in rows] == ["own", "own"]
    assert all("other reasons for candidates" in str(row["reason"]) for row in rows)


def sampled(n_images: int) -> dict[str, Parity]:
    """Parities of a target and a rival whose maps differ more on some images than on others."""
    rng = np.random.default_rng(5)
    models = ("target", "rival-a")
    maps = {
        m: {f"{i:02d}": blank(*rng.permutation(10)[: 2 + i % 3]) for i in range(n_images)} for m in models
    }
    return {name: Parity(of, of) for name, of in maps.items()}


def with_one_rival(tiny: Campaign, quota: int) -> Campaign:
    candidates = tiny.candidates.model_copy(update={"quota": quota})
    return tiny.model_copy(update={"candidates": candidates, "competitors": tiny.competitors[:1]})


def test_m_is_compared_under_a_quota_in_proportion_and_with_its_reasons(tiny: Campaign) -> None:
    """The quota of 4 would take all of 16 images, whatever their maps: then nothing would be compared."""
    campaign = with_one_rival(tiny, 4)
    maps = {name: parity.own for name, parity in sampled(16).items()}
    assert not choice_among(campaign, maps, AREAS, 16).leaves_out
    assert choice_among(campaign, maps, AREAS, 1).leaves_out
    rows = engine_rows(campaign, sampled(16), AREAS, 362)
    assert [row["engine"] for row in rows] == ["onnxruntime", "onnxruntime"]
    theirs = maps["rival-a"]
    shifted = dict(zip(theirs, [*list(theirs.values())[1:], theirs["00"]], strict=True))
    swapped = choice_among(campaign, {**maps, "rival-a": shifted}, AREAS, 1)
    assert swapped.reasons != choice_among(campaign, maps, AREAS, 1).reasons


def test_a_sample_without_a_choice_compares_nothing_and_is_refused(tiny: Campaign) -> None:
    rows = engine_rows(with_one_rival(tiny, 4), sampled(1), AREAS, 362)
    assert [row["engine"] for row in rows] == ["own", "own"]
    assert all("no class had more compared images than its quota" in str(row["reason"]) for row in rows)


def test_models_that_share_hardly_an_image_are_refused(tiny: Campaign) -> None:
    parities = sampled(4)
    other = {f"new-{name}": label_map for name, label_map in parities["target"].own.items()}
    rows = engine_rows(with_one_rival(tiny, 1), parities | {"target": Parity(other, other)}, AREAS, 8)
    assert [row["engine"] for row in rows] == ["own", "own"]
    assert all("only 0 of 4 compared images" in str(row["reason"]) for row in rows)


def test_a_grown_pool_changes_nothing_in_what_is_compared(alone: Round) -> None:
    rows = [r for r in alone.open_store().rows(list_images.fn(alone), IMAGES) if r["dataset"] == "pool"]
    first = compared_images(alone, rows[:-2])
    assert compared_images(alone, rows) == first
    moved = [row | {"uri": f"elsewhere/{row['image_id']}"} for row in rows]
    assert [image_id for image_id, _ in compared_images(alone, moved)] == [image_id for image_id, _ in first]
    gone = [row for row in rows if row["image_id"] != first[0][0]]
    assert compared_images(alone, gone) == first[1:]


def test_the_compared_images_are_a_seeded_draw(alone: Round) -> None:
    rows = [r for r in alone.open_store().rows(list_images.fn(alone), IMAGES) if r["dataset"] == "pool"]
    drawn = parity_images(alone.campaign, rows)
    assert drawn == parity_images(alone.campaign, rows[::-1])
    assert len(drawn) == alone.campaign.predictions.parity_images
    assert drawn != parity_images(alone.campaign.model_copy(update={"seed": 99}), rows)


def test_pairs_of_models_have_caches_of_their_own(tiny: Campaign) -> None:
    a, b = (PredictionCache.of(tiny, spec, by_onnx=False) for spec in (tiny.target, tiny.competitors[0]))
    caches = [HistogramCache.of(a, b, 3), HistogramCache.of(b, a, 3), HistogramCache.of(a, b, 4)]
    assert len({cache.digest for cache in caches}) == 3


def test_items_are_made_ahead_and_come_in_order() -> None:
    assert list(prefetched(lambda n: n * n, range(5))) == [(n, n * n) for n in range(5)]
    assert list(prefetched(lambda n: n, [])) == []


def end_abruptly(number: int) -> int:
    """Work that the operating system ends."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_process_that_was_ended_is_named(tmp_path: Path) -> None:
    with pytest.raises(TroubleshootError, match=r"predictions.processes"):
        list(share_out(end_abruptly, range(4), 2))


def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.lib.waiting_workers", str(tmp_path)]
    parent = subprocess.Popen(command, cwd=CHECKOUT)
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
