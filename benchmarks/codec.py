"""Brush streams of all regions of a mask, both ways: ours against Label Studio's SDK.

Encoding starts from a class-index map and ends with one stream per class present; decoding starts from these
streams and ends with the map. The SDK has no maps, so each region is cut out of the map for it, and put back
from alpha 128, in numpy. Ours also verifies the streams, lets a person's change win over the pre-annotation
and finds conflicts; that is part of its time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from benchmarks.common import RESULTS, Table, interleaved_medians, report
from tasks.core.brush_masks import PAINTED_FROM, BrushRegion, compose_mask, regions_of
from tasks.core.label_maps import VOID, LabelMap
from tasks.core.rle import OPAQUE, decode_brush

SIZES = ((360, 480), (1500, 2000))  # H, W
N_CLASSES = 12
NAMES = tuple(f"class-{k}" for k in range(N_CLASSES))
NOISE_SHARE = 0.002

Streams = list[tuple[str, list[int]]]  # class name, brush stream


def fields(rng: np.random.Generator, height: int, width: int) -> LabelMap:
    """All classes in smooth fields: at each pixel the largest of twelve random surfaces."""
    coarse = rng.normal(size=(N_CLASSES, 18, 24)).astype(np.float32)
    smooth = [cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in coarse]
    winners: LabelMap = np.argmax(smooth, axis=0).astype(np.uint8)
    return winners


def noisy_fields(rng: np.random.Generator, height: int, width: int) -> LabelMap:
    """The same, with 0.2 % of the pixels given a class of their own choice, as thin structures do."""
    noisy = fields(rng, height, width)
    hit = rng.random(noisy.shape) < NOISE_SHARE
    noisy[hit] = rng.integers(0, N_CLASSES, int(hit.sum()))
    return noisy


def sdk_encoded(label_map: LabelMap) -> Streams:
    """Every class present, cut out and given to the SDK."""
    present = np.unique(label_map).tolist()
    return [(NAMES[k], mask2rle(np.where(label_map == k, OPAQUE, 0).astype(np.uint8))) for k in present]


def sdk_decoded(streams: Streams, height: int, width: int) -> LabelMap:
    """The SDK's alpha of every stream, put into one map; the last one wins."""
    label_map = np.full((height, width), VOID, dtype=np.uint8)
    for name, stream in streams:
        alpha = decode_rle(stream).reshape(height, width, 4)[..., 3]
        label_map[alpha >= PAINTED_FROM] = NAMES.index(name)
    return label_map


def our_encoded(label_map: LabelMap) -> Streams:
    """Ours, as masks are published."""
    return regions_of(label_map, NAMES)


def our_decoded(streams: Streams, height: int, width: int, base: LabelMap) -> LabelMap:
    """Ours, as masks are collected; every region counts as changed by a person, which is the longer way."""
    regions = [
        BrushRegion(name, decode_brush(stream, height=height, width=width), human=True)
        for name, stream in streams
    ]
    return compose_mask(regions, names=NAMES, base=base, height=height, width=width).label_map


def checked(label_map: LabelMap) -> None:
    """Fail unless all classes are there, streams are equal byte for byte, and both decode to the map."""
    height, width = label_map.shape
    streams = our_encoded(label_map)
    if streams != sdk_encoded(label_map) or len(streams) != N_CLASSES:
        raise AssertionError(
            f"the streams of {N_CLASSES} classes at {width} x {height} differ from the SDK's"
        )
    np.testing.assert_array_equal(label_map, sdk_decoded(streams, height, width))
    np.testing.assert_array_equal(label_map, our_decoded(streams, height, width, np.roll(label_map, 5)))


def measures_of(maps: list[LabelMap]) -> dict[str, dict[str, Callable[[], object]]]:
    """Direction -> method -> what is timed: every map once."""
    height, width = maps[0].shape
    streams = [our_encoded(label_map) for label_map in maps]
    bases = [np.roll(label_map, 5) for label_map in maps]

    def decode_ours() -> None:
        for these, base in zip(streams, bases, strict=True):
            our_decoded(these, height, width, base)

    return {
        "encode": {
            "ours": lambda: [our_encoded(label_map) for label_map in maps],
            "SDK": lambda: [sdk_encoded(label_map) for label_map in maps],
        },
        "decode": {
            "ours": decode_ours,
            "SDK": lambda: [sdk_decoded(these, height, width) for these in streams],
        },
    }


@click.command()
@click.option("--quick", is_flag=True, help="Few maps and rounds: whether it runs, not how fast.")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(quick: bool, folder: Path) -> None:
    """Measure, check, and write benchmarks/results/codec.md."""
    cv2.setNumThreads(1)
    n_maps, rounds = (1, 1) if quick else (3, 9)
    rows: list[tuple[str, ...]] = []
    ratios: dict[str, float] = {}
    for kind in (fields, noisy_fields):
        for height, width in SIZES:
            rng = np.random.default_rng(0)
            maps = [kind(rng, height, width) for _ in range(n_maps)]
            for label_map in maps:
                checked(label_map)
            size = f"{width}x{height}"
            for direction, measures in measures_of(maps).items():
                times = interleaved_medians(measures, rounds=rounds)
                ours, sdk = (times[name] / n_maps * 1e3 for name in ("ours", "SDK"))
                rows.append(
                    (kind.__name__, size, direction, f"{ours:.2f}", f"{sdk:.1f}", f"{sdk / ours:.1f}")
                )
                if kind is fields:
                    ratios[f"{direction}_{size}"] = sdk / ours
    ratios["smallest"] = min(ratios.values())
    caption = (
        f"CPU milliseconds for all regions of one map, {N_CLASSES} classes present; medians of {rounds} "
        f"interleaved rounds over {n_maps} maps, one thread. Streams equal the SDK's byte for byte, and both "
        f"decode to the map. `fields`: {' '.join((fields.__doc__ or '').split())} `noisy_fields`: "
        f"{' '.join((noisy_fields.__doc__ or '').split())} The ratios below are those of `fields`."
    )
    table = Table(caption, ("maps", "size", "direction", "ours, ms", "SDK, ms", "ratio"), tuple(rows))
    report("codec", " ".join((__doc__ or "").split()), [table], ratios, folder)


if __name__ == "__main__":
    main()
