"""Writes the embedded data set `digit scenes`: clean training and test sets, a wilder pool, and its truth.

Two folders come out. The pipeline is told of the first only; the second holds what people know:

    OUTPUT/training/{images,masks}      S(0), clean
    OUTPUT/familiar_test/{images,masks} T(0), clean
    OUTPUT/pool/images                  D, wilder, partly out of domain
    TRUTH/masks, TRUTH/out_of_domain.txt    the pool's truth
    TRUTH/held_out/{images,masks}       W, like the pool, never in it
    TRUTH/recipes/SPLIT.csv             what each scene was made of
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from configs.classes import Classes
from infra.digit_scenes.recipes import Recipe, draw_recipes
from infra.digit_scenes.scenes import Scene, render
from infra.digit_scenes.sources import SPLITS, Sources, load_sources, source_digest
from models.weights import write_atomically
from tasks.errors import DataError

GENERATOR_VERSION = 1  # raised with every change that alters a pixel, a name or a recipe
MARKER = "digit_scenes.json"
CLASSES = Classes(
    names=("background", *(f"digit_{digit}" for digit in range(10))),
    colours=(
        (0, 0, 0),
        (230, 25, 75),
        (60, 180, 75),
        (255, 225, 25),
        (67, 99, 216),
        (245, 130, 49),
        (145, 30, 180),
        (66, 212, 244),
        (240, 50, 230),
        (191, 239, 69),
        (250, 190, 212),
    ),
    background="background",
)

_DIGEST_SCENES = 4  # per split


@dataclass(frozen=True)
class SceneSettings:
    """How many scenes, and by which seed.

    Attributes:
        seed: of the whole data set, >= 0.
        training: scenes of S(0).
        familiar_test: scenes of T(0).
        pool: scenes of D.
        held_out: scenes of W.
    """

    seed: int = 0
    training: int = 240
    familiar_test: int = 120
    pool: int = 600
    held_out: int = 500


def generate(output: Path, truth: Path, settings: SceneSettings, *, progress: bool = False) -> bool:
    """Whether the data set was written now; False if it was already there in whole.

    Args:
        output: folder for what the pipeline may see.
        truth: folder for what only people know; outside `output`.
        settings: numbers and seed.
        progress: whether to show a progress bar.

    Raises:
        ValueError: `truth` lies inside `output`.
        DataError: `output` holds digit scenes of other settings or of another generator.
    """
    if truth.resolve().is_relative_to(output.resolve()):
        raise ValueError(
            f"`truth` must lie outside `output`, which the pipeline sees; got {truth} in {output}"
        )
    sources = load_sources(settings.seed)
    marker: dict[str, object] = {"settings": asdict(settings), "generator": _digest(sources, settings.seed)}
    if _is_complete(output / MARKER, marker):
        return False
    total = sum(getattr(settings, split) for split in SPLITS)
    with tqdm(total=total, desc="digit scenes", unit="scene", disable=not progress) as bar:
        for split in SPLITS:
            recipes = draw_recipes(split, getattr(settings, split), settings.seed, sources)
            for recipe in recipes:
                _write_scene(recipe, render(recipe, sources), output, truth)
                bar.update()
            write_atomically(truth / "recipes" / f"{split}.csv", _recipe_table(recipes))
            if split == "pool":
                outside = "".join(sorted(f"{recipe.stem}\n" for recipe in recipes if recipe.out_of_domain))
                write_atomically(truth / "out_of_domain.txt", outside.encode())
    write_atomically(output / MARKER, json.dumps(marker, sort_keys=True, indent=2).encode())
    return True


def generator_digest(seed: int = 0) -> str:
    """SHA-256 (hex) of the generator: its version, the source data, and the first scenes of each split."""
    return _digest(load_sources(seed), seed)


def _digest(sources: Sources, seed: int) -> str:
    digest = hashlib.sha256(f"{GENERATOR_VERSION}\n{source_digest(sources)}\n".encode())
    for split in SPLITS:
        for recipe in draw_recipes(split, _DIGEST_SCENES, seed, sources):
            scene = render(recipe, sources)
            digest.update(repr(recipe).encode() + scene.image.tobytes() + scene.mask.tobytes())
    return digest.hexdigest()


def _is_complete(path: Path, marker: dict[str, object]) -> bool:
    """Whether the marker at `path` is there and says the same as `marker`."""
    if not path.is_file():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    if found != marker:
        raise DataError(
            f"{path.parent} was to hold digit scenes of {marker}, but holds those of {found}. Remove the "
            f"folder, or give another one."
        )
    return True


def _write_scene(recipe: Recipe, scene: Scene, output: Path, truth: Path) -> None:
    image_folder = (truth if recipe.split == "held_out" else output) / recipe.split / "images"
    mask_folder = truth / "masks" if recipe.split == "pool" else image_folder.parent / "masks"
    _write_png(image_folder / f"{recipe.stem}.png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    _write_png(mask_folder / f"{recipe.stem}.png", scene.mask)


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _recipe_table(recipes: list[Recipe]) -> bytes:
    """The recipes as CSV; lists within a field are separated by blanks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stem", "split", "seed", "digits", "tile", "attributes", "out_of_domain"))
    for recipe in recipes:
        digits = " ".join(str(index) for index in recipe.digits)
        attributes = " ".join(recipe.attributes)
        tile = recipe.tile or ""
        writer.writerow(
            (recipe.stem, recipe.split, recipe.seed, digits, tile, attributes, int(recipe.out_of_domain))
        )
    return text.getvalue().encode()
