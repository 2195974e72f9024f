"""The material of the scenes, handwritten digits and photo tiles, and its division between the four splits.

Everything comes with scikit-learn: 1,797 digits of 8 x 8 pixels and two photographs. No split shares a digit
or a photo tile with another, so nothing learnt by heart on one helps on the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_sample_images

SPLITS = ("training", "familiar_test", "pool", "held_out")

# The pool and the held-out set are larger than their shares of digits suggest, so digits recur there, turned,
# scaled and coloured anew; the training set needs variety the most.
_DIGIT_SHARES = MappingProxyType({"training": 0.4, "familiar_test": 0.15, "pool": 0.25, "held_out": 0.2})
# Clean scenes show no photograph, so only the two wild splits are dealt tiles.
_TILE_SPLITS = ("pool", "held_out")
TILE_PX = 106  # photos are 427 x 640: four rows of six tiles each


@dataclass(frozen=True)
class Tile:
    """A square part of a photograph.

    Attributes:
        photo: 0 or 1, in the order of scikit-learn.
        top: first row in the photograph.
        left: first column in the photograph.
    """

    photo: int
    top: int
    left: int

    def __str__(self) -> str:
        return f"{self.photo}:{self.top}:{self.left}"


@dataclass(frozen=True)
class Sources:
    """All source material, and which split may use what.

    Attributes:
        digits: strokes 0..1, float32, shape (1797, 8, 8).
        labels: the digit each shows, int64, shape (1797,).
        photos: RGB, uint8, two of shape (427, 640, 3).
        digit_indices: per split, indices into `digits`, ascending.
        tiles: per split, the photo tiles it may cut from; none for the clean splits.
    """

    digits: NDArray[np.float32]
    labels: NDArray[np.int64]
    photos: tuple[NDArray[np.uint8], ...]
    digit_indices: Mapping[str, NDArray[np.int64]]
    tiles: Mapping[str, tuple[Tile, ...]]


def load_sources(seed: int) -> Sources:
    """The material, divided between the splits by `seed`; every split holds every digit class."""
    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    photos = tuple(np.asarray(photo, dtype=np.uint8) for photo in load_sample_images().images)
    rng = np.random.default_rng([seed, 0])
    return Sources(
        digits=(bunch.images / 16).astype(np.float32),
        labels=labels,
        photos=photos,
        digit_indices=_divide_digits(labels, rng),
        tiles=_divide_tiles(photos, rng),
    )


def source_digest(sources: Sources) -> str:
    """SHA-256 (hex) of the pixels and labels, whatever their division."""
    digest = hashlib.sha256()
    arrays: list[NDArray[Any]] = [sources.digits, sources.labels, *sources.photos]
    for array in arrays:
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _divide_digits(labels: NDArray[np.int64], rng: np.random.Generator) -> dict[str, NDArray[np.int64]]:
    """Indices per split, each digit class divided by the same shares."""
    parts: dict[str, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    bounds = np.cumsum(list(_DIGIT_SHARES.values()))[:-1]
    for label in range(10):
        indices = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.rint(bounds * len(indices)).astype(int)
        for split, part in zip(SPLITS, np.split(indices, cuts), strict=True):
            parts[split].append(part)
    return {split: np.sort(np.concatenate(part)) for split, part in parts.items()}


def _divide_tiles(
    photos: tuple[NDArray[np.uint8], ...], rng: np.random.Generator
) -> dict[str, tuple[Tile, ...]]:
    """Tiles that do not overlap, dealt in turn to the wild splits."""
    tiles = [
        Tile(number, top, left)
        for number, photo in enumerate(photos)
        for top in range(0, photo.shape[0] - TILE_PX + 1, TILE_PX)
        for left in range(0, photo.shape[1] - TILE_PX + 1, TILE_PX)
    ]
    order = [tiles[int(index)] for index in rng.permutation(len(tiles))]
    dealt: dict[str, tuple[Tile, ...]] = dict.fromkeys(SPLITS, ())
    for number, split in enumerate(_TILE_SPLITS):
        dealt[split] = tuple(order[number :: len(_TILE_SPLITS)])
    return dealt
