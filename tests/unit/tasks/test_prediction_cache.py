"""Predictions: the same maps however they are sharded, each computed once."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef
from tasks.core.label_maps import map_digest
from tasks.core.records import IMAGES, PREDICTIONS, REJECTS
from tasks.engines import choose_engines
from tasks.errors import DataError
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.pool import list_images
from tasks.prediction_cache import PredictionCache, StoredMap, cached_predictions, maps_of
from tasks.predictions import predict_pool
from tasks.rounds import Round


@dataclass(frozen=True)
class OwnPool:
    """A round of the tiny campaign over a pool of its own that a test may change."""

    round_: Round
    folder: Path

    def predict(self, number: int = 1) -> ArtifactRef:
        """The maps of the target in a round."""
        round_ = self.round_.at(number)
        return predict_target(round_, list_images.fn(round_))

    def n_shards(self) -> int:
        """Shards that the store has of the target."""
        return len(self.round_.open_store().found_under(target_cache(self.round_.campaign).stage))


def predict_target(round_: Round, pool: ArtifactRef) -> ArtifactRef:
    """The maps of the target alone."""
    specs = [round_.campaign.target]
    return predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)["target"]


def target_cache(campaign: Campaign) -> PredictionCache:
    """Where the target's maps are kept."""
    return PredictionCache.of(campaign, campaign.target, by_onnx=False)


def own_pool(tiny: Campaign, root: Path, *, images: int, shard_size: int) -> OwnPool:
    """The first `images` images of the tiny pool, copied."""
    folder = root / "pool"
    folder.mkdir(parents=True)
    for path in sorted(tiny.pool.images.iterdir())[:images]:
        shutil.copy(path, folder)
    campaign = tiny.model_copy(
        update={
            "pool": tiny.pool.model_copy(update={"images": folder}),
            "predictions": tiny.predictions.model_copy(update={"shard_size": shard_size}),
        }
    )
    return OwnPool(Round(campaign, 1, str(root / "store")), folder)


def test_shards_of_any_size_give_the_same_predictions(tiny: Campaign, tmp_path: Path) -> None:
    digests, shards = set(), []
    for size in (1, 7, 64):
        pool = own_pool(tiny, tmp_path / str(size), images=12, shard_size=size)
        digests.add(pool.predict().digest)
        shards.append(pool.n_shards())
    assert len(digests) == 1
    assert shards == [12, 2, 1]


def test_the_stored_map_is_the_one_its_row_tells_of(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path, images=3, shard_size=2)
    store = pool.round_.open_store()
    predictions = pool.predict()
    held = maps_of(store, predictions)
    assert sorted(held) == [row["image_id"] for row in store.rows(predictions, PREDICTIONS)]
    for row in held.values():
        stored = read_label_map(store.storage.local_path(f"{row['maps_folder']}/{MAPS_FILE}"), row)
        assert stored.shape == (row["height"], row["width"]) == (64, 64)
        assert map_digest(stored) == row["map_digest"]
        assert 0 <= row["uncertainty_mean"] <= row["uncertainty_p95"] <= 1


def test_a_grown_pool_computes_its_new_images_only(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path, images=8, shard_size=4)
    before = pool.predict()
    assert pool.n_shards() == 2
    for path in sorted(tiny.pool.images.iterdir())[8:11]:
        shutil.copy(path, pool.folder)
    after = pool.predict(number=2)
    store = pool.round_.open_store()
    assert pool.n_shards() == 3
    assert [len(store.rows(ref, PREDICTIONS)) for ref in (before, after)] == [8, 11]
    assert pool.predict() == before


def test_an_image_that_changed_after_it_was_listed_is_rejected(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path, images=3, shard_size=64)
    ref = list_images.fn(pool.round_)
    (pool.folder / "scene001.png").write_bytes((pool.folder / "scene002.png").read_bytes())
    (pool.folder / "scene002.png").unlink()
    store = pool.round_.open_store()
    maps = predict_target(pool.round_, ref)
    assert len(store.rows(maps, PREDICTIONS)) == 1
    reasons = [row["reason"] for row in store.rows(maps, REJECTS)]
    assert sorted("has changed" in reason for reason in reasons) == [False, True]
    assert sorted("cannot be read" in reason for reason in reasons) == [False, True]
    assert pool.predict() == maps, "what was rejected in a round stays rejected in it"


def test_an_image_rejected_at_one_place_is_predicted_at_another(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path / "first", images=2, shard_size=64)
    listed = list_images.fn(pool.round_)
    (pool.folder / "scene001.png").unlink()
    damaged = predict_target(pool.round_, listed)
    other = own_pool(tiny, tmp_path / "second", images=2, shard_size=64)
    second = Round(other.round_.campaign.model_copy(update={"name": "second"}), 1, pool.round_.store)
    store, intact = second.open_store(), predict_target(second, list_images.fn(second))
    assert [len(store.rows(ref, PREDICTIONS)) for ref in (damaged, intact)] == [1, 2]
    assert [len(store.rows(ref, REJECTS)) for ref in (damaged, intact)] == [1, 0]


def test_what_may_change_a_pixel_has_a_cache_of_its_own(tiny: Campaign) -> None:
    smaller = tiny.model_copy(
        update={"predictions": tiny.predictions.model_copy(update={"comparison_size": 32})}
    )
    caches = [
        target_cache(tiny),
        target_cache(smaller),
        PredictionCache.of(tiny, tiny.target, by_onnx=True),
        PredictionCache.of(tiny, tiny.competitors[0], by_onnx=False),
    ]
    assert len({cache.digest for cache in caches}) == 4


def test_two_runners_shards_of_the_same_image_count_once(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path, images=4, shard_size=4)
    first = pool.predict()
    copy = own_pool(tiny, tmp_path / "other", images=3, shard_size=2)
    copy.predict()
    stage = target_cache(tiny).stage
    theirs, ours = tmp_path / "other/store/artefacts" / stage, tmp_path / "store/artefacts" / stage
    shutil.copytree(theirs, ours, dirs_exist_ok=True)
    store = pool.round_.open_store()
    predicted, _ = cached_predictions(store, target_cache(tiny))
    assert pool.n_shards() == 3
    assert len(predicted) == 4
    assert pool.predict() == first
    assert len(store.rows(list_images.fn(pool.round_), IMAGES)) == 24 + 12 + 4


def test_a_shard_that_was_removed_is_made_anew_and_its_maps_are_found(tiny: Campaign, tmp_path: Path) -> None:
    pool = own_pool(tiny, tmp_path, images=4, shard_size=2)
    store, predictions = pool.round_.open_store(), pool.predict()
    shard = store.found_under(target_cache(tiny).stage)[0]
    shutil.rmtree((tmp_path / "store" / shard.folder).parent)
    assert pool.predict() == predictions
    for row in maps_of(store, predictions).values():
        stored = read_label_map(store.storage.local_path(f"{row['maps_folder']}/{MAPS_FILE}"), row)
        assert map_digest(stored) == row["map_digest"]


def test_after_removing_what_the_error_of_a_damaged_map_names_all_is_well(
    tiny: Campaign, tmp_path: Path
) -> None:
    pool = own_pool(tiny, tmp_path, images=4, shard_size=2)
    store, predictions = pool.round_.open_store(), pool.predict()
    row = next(iter(maps_of(store, predictions).values()))
    file = tmp_path / "store" / row["maps_folder"] / MAPS_FILE
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(DataError, match=f"of {file} is damaged") as damaged:
        StoredMap.of(row).read(store)
    named = re.search("remove ([^,]+), with its complete.json", str(damaged.value))
    assert named is not None
    shutil.rmtree(tmp_path / "store" / named.group(1))
    assert pool.predict() == predictions
    for row in maps_of(store, predictions).values():
        assert map_digest(StoredMap.of(row).read(store)) == row["map_digest"]


def test_of_a_copy_in_a_read_cache_the_name_in_the_store_is_said(tmp_path: Path) -> None:
    path = tmp_path / "cache/bucket/artefacts/maps/key/attempt/maps.zst"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no map")
    with pytest.raises(
        DataError, match=r"; remove artefacts/maps/key, with its complete.json, from the store"
    ):
        read_label_map(path, {"offset": 0, "size_bytes": 6, "height": 1, "width": 1})
