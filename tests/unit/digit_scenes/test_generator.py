"""The embedded data set: the same every time, divided cleanly, labelled truly."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.digit_scenes.generator import CLASSES, SceneSettings, generate, generator_digest
from infra.digit_scenes.recipes import ATTRIBUTES, Recipe, draw_recipes
from infra.digit_scenes.scenes import SCENE_PX, render
from infra.digit_scenes.sources import SPLITS, TILE_PX, Sources, load_sources
from tasks.errors import DataError

SETTINGS = SceneSettings(seed=3, training=6, familiar_test=4, pool=60, held_out=8)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return load_sources(0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """OUTPUT and TRUTH of a small data set."""
    root = tmp_path_factory.mktemp("scenes")
    assert generate(root / "demo", root / "truth", SETTINGS)
    return root / "demo", root / "truth"


def _digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def test_the_same_seed_writes_the_same_bytes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    output, truth = folders
    generate(tmp_path / "demo", tmp_path / "truth", SETTINGS)
    assert _digests(output) == _digests(tmp_path / "demo")
    assert _digests(truth) == _digests(tmp_path / "truth")


def test_another_seed_gives_other_scenes_and_names(folders: tuple[Path, Path], tmp_path: Path) -> None:
    generate(tmp_path / "demo", tmp_path / "truth", dataclasses.replace(SETTINGS, seed=4, pool=8))
    names = [_stems(folder / "pool" / "images") for folder in (folders[0], tmp_path / "demo")]
    assert not names[0] & names[1]


def test_a_finished_folder_is_left_alone_and_a_different_one_refused(
    folders: tuple[Path, Path],
) -> None:
    output, truth = folders
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert not generate(output, truth, SETTINGS)
    assert before == {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    with pytest.raises(DataError, match="Remove the folder"):
        generate(output, truth, dataclasses.replace(SETTINGS, pool=61))


def test_truth_may_not_lie_where_the_pipeline_looks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside"):
        generate(tmp_path / "demo", tmp_path / "demo" / "truth", SETTINGS)


def test_the_pipelines_folder_holds_no_truth_of_the_pool(folders: tuple[Path, Path]) -> None:
    output, truth = folders
    assert {path.name for path in (output / "pool").iterdir()} == {"images"}
    assert {p.name for p in output.iterdir()} == {"training", "familiar_test", "pool", "digit_scenes.json"}
    pool = _stems(output / "pool" / "images")
    assert pool == _stems(truth / "masks")
    assert not pool & _stems(truth / "held_out" / "images")


def test_every_split_has_its_number_of_scenes_with_masks_of_the_same_size(folders: tuple[Path, Path]) -> None:
    output, truth = folders
    places = {
        "training": (output / "training/images", output / "training/masks"),
        "familiar_test": (output / "familiar_test/images", output / "familiar_test/masks"),
        "pool": (output / "pool/images", truth / "masks"),
        "held_out": (truth / "held_out/images", truth / "held_out/masks"),
    }
    for split, (images, masks) in places.items():
        assert len(_stems(images)) == getattr(SETTINGS, split)
        assert _stems(images) == _stems(masks)
        for path in images.iterdir():
            with Image.open(path) as image, Image.open(masks / path.name) as mask:
                assert (image.mode, image.size) == ("RGB", (SCENE_PX, SCENE_PX))
                assert (mask.mode, mask.size) == ("L", (SCENE_PX, SCENE_PX))
                assert np.asarray(mask).max() < CLASSES.count


def test_every_scene_has_a_recipe_and_what_is_out_of_domain_is_listed(folders: tuple[Path, Path]) -> None:
    output, truth = folders
    listed = set((truth / "out_of_domain.txt").read_text().split())
    assert 0 < len(listed) < 0.2 * SETTINGS.pool
    for split in SPLITS:
        rows = list(csv.DictReader((truth / "recipes" / f"{split}.csv").read_text().splitlines()))
        folder = (truth if split == "held_out" else output) / split / "images"
        assert {row["stem"] for row in rows} == _stems(folder)
        outside = {row["stem"] for row in rows if row["out_of_domain"] == "1"}
        assert outside == (listed if split == "pool" else set())
    for stem in listed:
        assert not np.asarray(Image.open(truth / "masks" / f"{stem}.png")).any()


def test_splits_share_neither_digits_nor_photo_tiles(sources: Sources) -> None:
    digits = np.concatenate([sources.digit_indices[split] for split in SPLITS])
    assert sorted(digits.tolist()) == list(range(len(sources.labels)))
    tiles = [tile for split in SPLITS for tile in sources.tiles[split]]
    assert len(set(tiles)) == len(tiles) == 48
    for split in SPLITS:
        assert set(sources.labels[sources.digit_indices[split]]) == set(range(10))
    covered = [np.zeros(photo.shape[:2], int) for photo in sources.photos]
    for tile in tiles:
        covered[tile.photo][tile.top : tile.top + TILE_PX, tile.left : tile.left + TILE_PX] += 1
    assert max(cover.max() for cover in covered) == 1


def test_scenes_use_only_their_splits_sources(sources: Sources) -> None:
    for split in SPLITS:
        for recipe in draw_recipes(split, 50, 0, sources):
            assert set(recipe.digits) <= set(sources.digit_indices[split].tolist())
            assert recipe.tile is None or recipe.tile in sources.tiles[split]


def test_clean_splits_are_clean_and_the_pool_has_every_attribute(sources: Sources) -> None:
    for split in ("training", "familiar_test"):
        assert not any(recipe.attributes for recipe in draw_recipes(split, 50, 0, sources))
    pool = [recipe for recipe in draw_recipes("pool", 300, 0, sources) if not recipe.out_of_domain]
    assert set(ATTRIBUTES) == {name for recipe in pool for name in recipe.attributes}
    numbers = np.bincount([len(recipe.attributes) for recipe in pool], minlength=5) / len(pool)
    assert 0.15 < numbers[0] < 0.35
    assert 0.1 < numbers[3] + numbers[4] < 0.3


def test_a_larger_pool_begins_with_the_smaller_one(sources: Sources) -> None:
    assert draw_recipes("pool", 5, 0, sources) == draw_recipes("pool", 9, 0, sources)[:5]


def test_rendering_repeats_and_shows_the_recipes_digits(sources: Sources) -> None:
    for recipe in draw_recipes("training", 20, 0, sources):
        scene, again = render(recipe, sources), render(recipe, sources)
        assert scene.image.tobytes() == again.image.tobytes()
        shown = set(np.unique(scene.mask).tolist()) - {0}
        assert shown
        assert shown <= {int(sources.labels[index]) + 1 for index in recipe.digits}


def test_a_mask_lies_on_the_bright_strokes_of_a_clean_scene(sources: Sources) -> None:
    for recipe in draw_recipes("training", 20, 0, sources):
        scene = render(recipe, sources)
        grey = scene.image.mean(axis=2)
        assert grey[scene.mask > 0].mean() > grey[scene.mask == 0].mean() + 60


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_attribute_changes_the_scene(sources: Sources, attribute: str) -> None:
    plain = next(r for r in draw_recipes("pool", 50, 0, sources) if not r.attributes)
    tile = sources.tiles["pool"][0] if attribute == "photo" else None
    wild = Recipe(plain.stem, plain.split, plain.seed, plain.digits, tile, (attribute,))
    assert render(plain, sources).image.tobytes() != render(wild, sources).image.tobytes()


def test_the_generators_digest_is_stable_and_follows_the_seed() -> None:
    assert generator_digest(0) == generator_digest(0)
    assert generator_digest(0) != generator_digest(1)
