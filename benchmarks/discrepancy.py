"""Joint histograms of one target and five competitors: ours against the peer's evaluator.

The peer's evaluator is stated again here from its description: for every pair of maps a mask of the valid
pixels, the pairs of labels as int64, one bincount; and it builds each matrix twice. Both are measured: as
described, and with a single build, which is the fair comparison of methods. Ours counts void as a class of
its own and refuses values out of range; both are part of its time. How much faster ours is depends on how
flat maps are: `scenes` are flatter than what networks give for real streets (`streets`, where that data is).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RESULTS, Table, interleaved_medians, report
from configs.load import load_campaign
from configs.settings import CHECKOUT
from models.decoding import decode_image
from models.inference import InputImage, predict
from models.zoo import load_model
from tasks.core.confusion import joint_histogram
from tasks.core.label_maps import LabelMap
from tasks.image_files import find_image_files, read_bytes

SIZE, N_CLASSES, N_COMPETITORS = 513, 21, 5

Maps = tuple[LabelMap, tuple[LabelMap, ...]]  # a target's map and those of its competitors
Histogram = NDArray[np.int64]


def single_build(target: LabelMap, competitor: LabelMap) -> Histogram:
    """The peer's matrix: a bincount of the int64 label pairs of valid pixels, (C, C) int64."""
    valid = (target >= 0) & (target < N_CLASSES)
    pairs = N_CLASSES * target[valid].astype(np.int64) + competitor[valid]
    counts = np.bincount(pairs, minlength=N_CLASSES**2)
    return counts.reshape(N_CLASSES, N_CLASSES)


def as_described(target: LabelMap, competitor: LabelMap) -> Histogram:
    """The peer's matrix as its evaluator adds it to a sum: built twice."""
    single_build(target, competitor)
    return single_build(target, competitor)


def plain_bincount(target: LabelMap, competitor: LabelMap) -> Histogram:
    """What every count must equal: (C+1, C+1) int64, index C = void; nothing is left out."""
    wide = [np.minimum(m.astype(np.int64), N_CLASSES).ravel() for m in (target, competitor)]
    size = N_CLASSES + 1
    return np.bincount(size * wide[0] + wide[1], minlength=size**2).reshape(size, size)


def scenes(rng: np.random.Generator) -> Maps:
    """Like a photo in VOC's classes: a background, three to six objects, each model with errors."""
    target = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(int(rng.integers(3, 7))):
        _draw_object(target, rng)
    return target, tuple(_changed(target, rng) for _ in range(N_COMPETITORS))


def _draw_object(canvas: LabelMap, rng: np.random.Generator) -> None:
    angles = np.sort(rng.uniform(0, 2 * np.pi, 24))
    reach = rng.uniform(25, 110) * rng.uniform(0.75, 1.25, 24)
    outline = rng.uniform(0, SIZE, 2) + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cv2.fillPoly(canvas, [outline.astype(np.int32)], int(rng.integers(1, N_CLASSES)))


def _changed(target: LabelMap, rng: np.random.Generator) -> LabelMap:
    """The map as another model might give it: edges elsewhere, one object more, one class mistaken."""
    shift = cv2.resize(rng.normal(0, 6, (16, 16, 2)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    places = ((columns + shift[..., 0]).astype(np.float32), (rows + shift[..., 1]).astype(np.float32))
    changed = cv2.remap(target, *places, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    _draw_object(changed, rng)
    changed[changed == rng.choice(np.unique(changed))] = rng.integers(0, N_CLASSES)
    return np.asarray(changed, np.uint8)


def fields(rng: np.random.Generator) -> Maps:
    """All 21 classes in smooth fields: the largest of 21 random surfaces; competitors share most of them."""
    coarse = rng.normal(size=(N_CLASSES, 24, 24)).astype(np.float32)

    def largest(surfaces: NDArray[np.float32]) -> LabelMap:
        smooth = [cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for part in surfaces]
        winners: LabelMap = np.argmax(smooth, axis=0).astype(np.uint8)
        return winners

    others = (coarse + rng.normal(0, 0.4, coarse.shape).astype(np.float32) for _ in range(N_COMPETITORS))
    return largest(coarse), tuple(largest(surfaces) for surfaces in others)


def noise(rng: np.random.Generator) -> Maps:
    """The worst case: every pixel of every map a class of its own choice."""
    maps = rng.integers(0, N_CLASSES, (N_COMPETITORS + 1, SIZE, SIZE), dtype=np.uint8)
    return maps[0], tuple(maps[1:])


def streets(n_images: int) -> list[Maps]:
    """Maps that real networks give for real street scenes, at 513 x 513; none where the data is not there."""
    preset = CHECKOUT / "configs" / "presets" / "camvid.yaml"
    campaign = load_campaign(preset)
    if not Path(str(campaign.pool.images)).is_dir():
        return []
    uris = find_image_files(campaign.pool.images, what="pool").uris[::37][:n_images]
    pictures = [InputImage(decode_image(read_bytes(uri), where=uri), "", "") for uri in uris]
    models = [
        load_model(spec, campaign.classes.names, "cpu") for spec in (campaign.target, *campaign.competitors)
    ]
    maps = [[predict(m, p, height=SIZE, width=SIZE).label_map for m in models] for p in pictures]
    return [(of[0], tuple(of[1:])) for of in maps]


def checked(images: list[Maps]) -> None:
    """Fail unless ours equals the plain bincount, and the peer's its part without void, on every pair."""
    for target, competitors in images:
        for competitor in competitors:
            expected = plain_bincount(target, competitor)
            np.testing.assert_array_equal(expected, joint_histogram(target, competitor, N_CLASSES))
            np.testing.assert_array_equal(expected[:-1, :-1], single_build(target, competitor))


def all_pairs(count: Callable[[LabelMap, LabelMap], Histogram], images: list[Maps]) -> None:
    """Count every pair of target and competitor once."""
    for target, competitors in images:
        for competitor in competitors:
            count(target, competitor)


@click.command()
@click.option("--quick", is_flag=True, help="Few images and rounds: whether it runs, not how fast.")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(quick: bool, folder: Path) -> None:
    """Measure, check, and write benchmarks/results/discrepancy.md."""
    cv2.setNumThreads(1)
    n_images, rounds = (2, 2) if quick else (12, 15)
    methods = {
        "ours": lambda a, b: joint_histogram(a, b, N_CLASSES),
        "peer, single build": single_build,
        "peer, as described": as_described,
    }
    rows: list[tuple[str, ...]] = []
    ratios: dict[str, float] = {}
    kinds: dict[str, list[Maps]] = {"streets": [] if quick else streets(n_images)}
    for kind in (scenes, fields, noise):
        rng = np.random.default_rng(0)
        kinds[kind.__name__] = [kind(rng) for _ in range(n_images)]
    for name, images in kinds.items():
        if not images:
            continue
        checked(images)
        measures = {name: partial(all_pairs, count, images) for name, count in methods.items()}
        times = {n: t / len(images) for n, t in interleaved_medians(measures, rounds=rounds).items()}
        for method, seconds in times.items():
            rows.append((name, method, f"{seconds * 1e3:.3f}", f"{seconds / times['ours']:.1f}"))
        ratios[name] = times["peer, as described"] / times["ours"]
        ratios[f"{name}_single_build"] = times["peer, single build"] / times["ours"]
    caption = (
        f"CPU milliseconds for the {N_COMPETITORS} joint histograms of one image ({N_COMPETITORS - 1} for "
        f"streets), {SIZE} x {SIZE}, {N_CLASSES} classes; medians of {rounds} interleaved rounds over "
        f"{n_images} images, one thread. Counts equal those of a plain bincount on every pair."
    )
    table = Table(caption, ("maps", "method", "ms", "times ours"), tuple(rows))
    report("discrepancy", " ".join((__doc__ or "").split()), [table], ratios, folder)


if __name__ == "__main__":
    main()
