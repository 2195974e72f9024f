"""Damaged inputs: refused in a sentence or read, never a crash, a hang or a loss. Long form: `make fuzz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.core.records import IMAGES, PREDICTIONS, REJECTS
from tasks.engines import choose_engines
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tests.lib.fuzz_seeds import damaged, seeds
from tests.lib.reader_fuzz import KINDS, fuzz
from tests.lib.small_networks import small_folder
from tests.lib.written_campaigns import round_of, write_file, write_labelled

N_INPUTS = 2_000
N_FILES = 150


def test_every_damaged_input_is_read_or_refused() -> None:
    outcome = fuzz(N_INPUTS, seed=1)
    assert outcome.findings == []
    assert outcome.n_inputs == N_INPUTS
    assert {kind for kind, _ in outcome.counts} == set(KINDS)
    assert outcome.counts["image", "accepted"] > 0, "some damage must reach the decoders' depths"


def test_of_a_folder_of_damaged_images_every_one_is_scored_or_rejected(tmp_path: Path) -> None:
    rng, whole = np.random.default_rng(3), seeds()["image"]
    suffixes = (".png", ".jpg", ".bmp", ".webp", ".tif")
    for number in range(N_FILES):
        content, other = whole[number % len(whole)], whole[int(rng.integers(len(whole)))]
        content = content if number < len(whole) else damaged(rng, content, other)
        write_file(tmp_path / "pool" / f"{number % 7}" / f"{number}{suffixes[number % 5]}", content)
    write_labelled(tmp_path / "training", "t", 1)
    for seed in (2, 3):
        write_labelled(tmp_path / "familiar", f"f{seed}", seed)
    models = [
        small_folder(tmp_path / name, seed=seed).model_copy(update={"name": name})
        for seed, name in enumerate(("target", "rival"))
    ]
    values = [spec.model_dump(mode="json") for spec in models]
    plainly = {"engine": "torch", "processes": 1}
    round_ = round_of(tmp_path, target=values[0], competitors=values[1:], predictions=plainly)
    store, pool = round_.open_store(), list_images.fn(round_)
    images = [row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]
    assert len(images) + len(store.rows(pool, REJECTS)) == N_FILES
    maps = predict_pool.fn(round_, models, choose_engines.fn(round_, models, pool), pool)
    for name in ("target", "rival"):
        scored = [row["image_id"] for row in store.rows(maps[name], PREDICTIONS)]
        rejected = [row["item"] for row in store.rows(maps[name], REJECTS)]
        assert sorted(scored + rejected) == sorted(row["image_id"] for row in images)
        assert len(scored) >= 20
