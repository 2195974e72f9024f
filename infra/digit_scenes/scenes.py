"""A recipe -> the scene: an RGB image and its true label map.

Classes: 0 background, 1..10 the digits 0..9. A clean scene has a plain or softly shaded dark ground and
bright strokes; what else may happen is named in `recipes.ATTRIBUTES`. A pixel belongs to a digit where the
stroke covers at least half of it and nothing lies on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from infra.digit_scenes.recipes import Recipe
from infra.digit_scenes.sources import TILE_PX, Sources, Tile

SCENE_PX = 96
_STROKE_LEVEL = 0.45  # of a smoothly enlarged digit: where its stroke ends
_STROKE_EDGE = 4.0  # slope of the anti-aliased edge
_PLACE_TRIES = 40

Pixels = NDArray[np.float32]  # RGB 0..1, shape (96, 96, 3)


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        image: RGB, uint8, shape (96, 96, 3).
        mask: 0 background, 1..10 the digits 0..9, uint8, shape (96, 96).
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def render(recipe: Recipe, sources: Sources) -> Scene:
    """The scene of `recipe`; the same recipe gives the same pixels."""
    rng = np.random.default_rng(recipe.seed)
    attributes = set(recipe.attributes)
    pixels = _background(recipe, sources, rng)
    mask = np.zeros((SCENE_PX, SCENE_PX), np.uint8)
    if "clutter" in attributes:
        _add_clutter(pixels, rng)
    pixels = _add_digits(pixels, mask, recipe, sources, rng=rng)
    if "occlusion" in attributes:
        _add_occlusion(pixels, mask, rng)
    if "blur" in attributes:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.9, 1.7)))
    noise = rng.uniform(0.08, 0.16) if attributes & {"noise", "noise_only"} else 0.015
    pixels = pixels + rng.normal(0, noise, pixels.shape).astype(np.float32)
    return Scene(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8), mask)


def _background(recipe: Recipe, sources: Sources, rng: np.random.Generator) -> Pixels:
    if recipe.tile is not None:
        return _photo(recipe.tile, sources, rng, dim="photo_only" not in recipe.attributes)
    if "texture" in recipe.attributes:
        return _texture(rng)
    level = rng.uniform(0.62, 0.9) if "inversion" in recipe.attributes else rng.uniform(0.08, 0.35)
    start = _colour(level, 0.12, rng)
    end = start + rng.uniform(-0.1, 0.1, 3) * (rng.random() < 0.6)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:SCENE_PX, 0:SCENE_PX] / (SCENE_PX - 1)
    ramp = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle) + 0.5
    return np.asarray(start + (end - start) * ramp[..., None], dtype=np.float32)


def _photo(tile: Tile, sources: Sources, rng: np.random.Generator, *, dim: bool) -> Pixels:
    """A crop of the tile, mirrored at random; as a ground for digits flattened towards dark."""
    top, left = rng.integers(TILE_PX - SCENE_PX + 1, size=2)
    rows = slice(tile.top + top, tile.top + top + SCENE_PX)
    columns = slice(tile.left + left, tile.left + left + SCENE_PX)
    pixels = sources.photos[tile.photo][rows, columns].astype(np.float32) / 255
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if dim:
        pixels = pixels * np.float32(rng.uniform(0.4, 0.7))
    return np.ascontiguousarray(pixels)


def _texture(rng: np.random.Generator) -> Pixels:
    """Smooth coloured blobs without any digit."""
    coarse = rng.random((int(rng.integers(4, 20)),) * 2 + (3,)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (SCENE_PX, SCENE_PX), interpolation=cv2.INTER_CUBIC), np.float32)


def _colour(level: float, spread: float, rng: np.random.Generator) -> Pixels:
    """A colour whose channels lie around `level`."""
    return (level + rng.uniform(-spread, spread, 3)).clip(0, 1).astype(np.float32)


def _add_clutter(pixels: Pixels, rng: np.random.Generator) -> None:
    """Draw thin lines, rings and specks, in place, below the digits."""
    for _ in range(int(rng.integers(4, 9))):
        colour = tuple(float(value) for value in _colour(rng.uniform(0.3, 0.9), 0.25, rng))
        first, second = (tuple(int(v) for v in rng.integers(0, SCENE_PX, 2)) for _ in range(2))
        thickness = int(rng.integers(1, 3))
        if rng.random() < 0.6:
            cv2.line(pixels, first, second, colour, thickness, cv2.LINE_AA)
        else:
            cv2.circle(pixels, first, int(rng.integers(2, 14)), colour, thickness, cv2.LINE_AA)


def _add_digits(
    pixels: Pixels, mask: NDArray[np.uint8], recipe: Recipe, sources: Sources, *, rng: np.random.Generator
) -> Pixels:
    """`pixels` with the recipe's digits on them; their classes go into `mask`."""
    stroke = _stroke_colour(recipe, pixels, rng)
    taken = np.zeros((SCENE_PX, SCENE_PX), bool)
    for index in recipe.digits:
        cover = _place(sources.digits[index], recipe, taken, rng)
        if cover is None:
            continue  # no room left: the scene has a digit less
        taken |= cv2.dilate(cover, np.ones((3, 3), np.uint8)) > 0.05
        own = (stroke + rng.uniform(-0.08, 0.08, 3)).clip(0, 1).astype(np.float32)
        pixels = pixels + cover[..., None] * (own - pixels)
        mask[cover >= 0.5] = sources.labels[index] + 1
    return pixels.astype(np.float32)


def _stroke_colour(recipe: Recipe, ground: Pixels, rng: np.random.Generator) -> Pixels:
    """Bright on dark, dark on bright for an inversion, and hardly off the ground for low contrast."""
    inverted = "inversion" in recipe.attributes
    if "low_contrast" in recipe.attributes:
        step = rng.uniform(0.16, 0.24) * (-1 if inverted else 1)
        return np.asarray((ground.mean(axis=(0, 1)) + step).clip(0, 1), dtype=np.float32)
    return _colour(rng.uniform(0.04, 0.25) if inverted else rng.uniform(0.72, 0.95), 0.14, rng)


def _place(
    digit: NDArray[np.float32], recipe: Recipe, taken: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """How far the digit covers each pixel, 0..1, at a free place; None if no place was found."""
    for _ in range(_PLACE_TRIES):
        size = rng.uniform(26, 40)
        if "scale" in recipe.attributes:
            size = rng.uniform(14, 19) if rng.random() < 0.5 else rng.uniform(46, 60)
        turn = rng.uniform(-8, 8)
        if "rotation" in recipe.attributes:
            turn = rng.uniform(25, 65) * (1 if rng.random() < 0.5 else -1)
        margin = size / 2
        x, y = rng.uniform(margin - 3, SCENE_PX - margin + 3, 2)
        cover = _cover(digit, size=size, turn=turn, centre=(x, y))
        if not (taken & (cover > 0.05)).any():
            return cover
    return None


def _cover(
    digit: NDArray[np.float32], *, size: float, turn: float, centre: tuple[float, float]
) -> NDArray[np.float32]:
    """The digit enlarged to `size` px, turned by `turn` degrees, around `centre`, as coverage 0..1."""
    scale = size / digit.shape[0]
    matrix = cv2.getRotationMatrix2D(((digit.shape[1] - 1) / 2, (digit.shape[0] - 1) / 2), turn, scale)
    matrix[:, 2] += np.array(centre) - (np.array(digit.shape[::-1]) - 1) / 2
    smooth = cv2.warpAffine(digit, matrix, (SCENE_PX, SCENE_PX), flags=cv2.INTER_CUBIC)
    return np.asarray(((smooth - _STROKE_LEVEL) * _STROKE_EDGE + 0.5).clip(0, 1), np.float32)


def _add_occlusion(pixels: Pixels, mask: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Lay one or two bars over the scene, in place; what they hide is background."""
    for _ in range(int(rng.integers(1, 3))):
        bar = np.zeros(mask.shape, np.uint8)
        first, second = (tuple(int(v) for v in rng.integers(0, SCENE_PX, 2)) for _ in range(2))
        cv2.line(bar, first, second, 1, int(rng.integers(4, 9)))
        pixels[bar > 0] = _colour(rng.uniform(0.1, 0.9), 0.2, rng)
        mask[bar > 0] = 0
