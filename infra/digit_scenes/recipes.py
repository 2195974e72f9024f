"""What a scene is made of, drawn before any pixel: the recipe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from infra.digit_scenes.sources import SPLITS, Sources, Tile

# What may be wild about a scene of the pool or the held-out set.
ATTRIBUTES = (
    "rotation",
    "scale",
    "inversion",
    "photo",
    "clutter",
    "blur",
    "noise",
    "occlusion",
    "low_contrast",
)
_PROBABILITIES = np.array([0.12, 0.1, 0.2, 0.16, 0.12, 0.08, 0.1, 0.06, 0.06])
OUT_OF_DOMAIN_KINDS = ("photo_only", "texture", "noise_only")

_CLEAN_SHARE, _HARD_SHARE = 0.25, 0.2  # of wild scenes; the rest are mildly off
_OUT_OF_DOMAIN_SHARE = 0.04  # of the pool


@dataclass(frozen=True)
class Recipe:
    """All that a scene depends on, besides the source material.

    Attributes:
        stem: file name without suffix; a hash, so that it says nothing about the scene.
        split: one of SPLITS.
        seed: of every draw while rendering.
        digits: indices of the source digits; none out of domain.
        tile: photo tile of the background, if it is a photograph.
        attributes: what is wild about it, in the order of ATTRIBUTES; or one of OUT_OF_DOMAIN_KINDS.
        out_of_domain: whether it is no digit scene at all.
    """

    stem: str
    split: str
    seed: int
    digits: tuple[int, ...]
    tile: Tile | None
    attributes: tuple[str, ...]
    out_of_domain: bool = False


def draw_recipes(split: str, count: int, seed: int, sources: Sources) -> list[Recipe]:
    """The first `count` recipes of a split; asking for more leaves the first ones as they are.

    Args:
        split: one of SPLITS. "training" and "familiar_test" are clean, "pool" and "held_out" wild; only the
            pool holds scenes out of domain.
        count: number of scenes.
        seed: of the data set.
        sources: `load_sources(seed)`.
    """
    return [_draw(split, number, seed, sources) for number in range(count)]


def _draw(split: str, number: int, seed: int, sources: Sources) -> Recipe:
    rng = np.random.default_rng([seed, 1 + SPLITS.index(split), number])
    stem = hashlib.sha256(f"{seed}/{split}/{number}".encode()).hexdigest()[:12]
    scene_seed = int(rng.integers(2**32))
    available = sources.digit_indices[split]
    digits = tuple(int(index) for index in rng.choice(available, size=int(rng.integers(2, 5)), replace=False))
    if split in ("training", "familiar_test"):
        return Recipe(stem, split, scene_seed, digits, None, ())
    tiles = sources.tiles[split]
    tile = tiles[int(rng.integers(len(tiles)))]
    attributes = _wild_attributes(rng)
    if split == "pool" and rng.random() < _OUT_OF_DOMAIN_SHARE:
        kind = OUT_OF_DOMAIN_KINDS[int(rng.integers(len(OUT_OF_DOMAIN_KINDS)))]
        photo = tile if kind == "photo_only" else None
        return Recipe(stem, split, scene_seed, (), photo, (kind,), out_of_domain=True)
    return Recipe(stem, split, scene_seed, digits, tile if "photo" in attributes else None, attributes)


def _wild_attributes(rng: np.random.Generator) -> tuple[str, ...]:
    """No attribute for a clean scene, one or two for a mildly wild one, three or four for a hard one."""
    luck = rng.random()
    if luck < _CLEAN_SHARE:
        return ()
    n = int(rng.integers(3, 5)) if luck > 1 - _HARD_SHARE else int(rng.integers(1, 3))
    chosen = rng.choice(len(ATTRIBUTES), size=n, replace=False, p=_PROBABILITIES)
    return tuple(ATTRIBUTES[int(index)] for index in sorted(chosen))
