"""Brush streams against Label Studio's SDK, and masks from painted-over annotations against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle, mask2rle

from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.rle import decode_brush, encode_brush, encode_classes
from tests.lib.brush_drawings import N_CLASSES, painted_over, stream_of
from tests.lib.oracles import editor_stream, slow_composed
from tests.lib.strategies import blocky_stacks, stacks

NAMES = [f"class-{k}" for k in range(N_CLASSES)]
many = settings(deadline=None, max_examples=150)


def test_a_thousand_painted_over_annotations_compose_to_what_plain_loops_find() -> None:
    rng = np.random.default_rng(7)
    uncovered_px = conflict_px = 0
    for _ in range(1000):
        drawing = painted_over(rng)
        height, width = drawing.shape
        regions = []
        for region in drawing.regions:
            stream = stream_of(region)
            alpha = decode_brush(stream, height=height, width=width)
            assert region.alpha == alpha.tolist()
            assert region.alpha == decode_rle(stream).reshape(height, width, 4)[..., 3].tolist()
            regions.append(BrushRegion(NAMES[region.class_index], alpha, region.human))

        mask = compose_mask(regions, names=NAMES, base=drawing.base, height=height, width=width)

        expected = slow_composed(drawing.regions, drawing.base, height, width)
        assert expected.rows == mask.label_map.tolist()
        assert expected.uncovered == {(y, x) for y, x in np.argwhere(mask.uncovered).tolist()}
        assert expected.conflicts == {(y, x) for y, x in np.argwhere(mask.conflicts).tolist()}
        assert (len(expected.uncovered), len(expected.conflicts)) == (mask.uncovered_px, mask.conflict_px)
        uncovered_px += mask.uncovered_px
        conflict_px += mask.conflict_px
    assert uncovered_px > 0
    assert conflict_px > 0


@many
@given(st.one_of(stacks(1, N_CLASSES), blocky_stacks(1, N_CLASSES)))
def test_streams_of_all_classes_equal_those_of_the_sdk(maps: np.ndarray) -> None:
    streams = encode_classes(maps[0], range(N_CLASSES))
    expected = [np.where(maps[0] == k, 255, 0).astype(np.uint8) for k in range(N_CLASSES)]
    assert [mask2rle(alpha) for alpha in expected] == streams
    assert [encode_brush(alpha) for alpha in expected] == streams


@many
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 9)), min_size=1, max_size=60))
def test_the_editors_own_streams_are_read_as_the_sdk_reads_them(runs: list[tuple[int, int]]) -> None:
    """Runs that start and end within a pixel, and literals of any length between them."""
    values = [value for value, count in runs for _ in range(count)]
    values += [0] * (-len(values) % 4)
    stream = editor_stream(values)
    assert values[3::4] == decode_rle(stream).reshape(-1, 4)[:, 3].tolist()
    assert values[3::4] == decode_brush(stream, height=1, width=len(values) // 4)[0].tolist()


@many
@given(stacks(1, N_CLASSES), st.booleans())
def test_a_pre_annotation_survives_the_round_trip_untouched(maps: np.ndarray, human: bool) -> None:
    height, width = maps[0].shape
    regions = [
        BrushRegion(name, decode_brush(stream, height=height, width=width), human)
        for name, stream in regions_of(maps[0], NAMES)
    ]
    mask = compose_mask(regions, names=NAMES, base=maps[0], height=height, width=width)
    assert maps[0].tolist() == mask.label_map.tolist()
    assert not mask.conflicts.any()
