from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.confusion import confusion, joint_histogram
from tasks.core.consensus import Rating, consensus
from tasks.core.discrepancy import miou_discrepancy
from tasks.core.label_maps import class_areas, main_class
from tasks.core.rle import decode_brush, encode_brush
from tasks.core.sampling import (
    Rated,
    TestSetRule,
    cut_failures,
    draw_test_set,
    drawing_order,
    largest_set,
)
from tasks.core.scores import image_miou, set_iou
from tasks.core.simulated_people import simulated_mask
from tests.lib.oracles import slow_failures, slow_main_class, slow_set_iou, slow_test_set
from tests.lib.strategies import blocky_stacks, stacks

C = 4
IDS = [f"{i:02d}" for i in range(14)]
SHARES = [Fraction(1, 3), Fraction(1, 2), Fraction(29, 100), Fraction(1)]
many = settings(deadline=None, max_examples=150)


@many
@given(
    st.permutations(IDS),
    st.lists(st.none() | st.integers(0, 2), min_size=14, max_size=14),
    st.sets(st.sampled_from(IDS)),
    st.tuples(st.integers(0, 14), st.sampled_from(SHARES), st.integers(1, 4)),
)
def test_test_set_equals_the_oracle(
    order: list[str], mains: list[int | None], out: set[str], numbers: tuple[int, Fraction, int]
) -> None:
    size, share, cap = numbers
    main_classes = dict(zip(IDS, mains, strict=True))
    drawn = draw_test_set(
        order, main_classes=main_classes, out_of_domain=out, rule=TestSetRule(size, float(share), cap)
    )
    largest = min(size, math.floor(14 * share))
    assert drawn == slow_test_set(order, main_classes, out, largest, cap)


@many
@given(
    st.dictionaries(
        st.sampled_from(IDS),
        st.tuples(st.sampled_from([1.0, 2.0, 7 / 3, 3.0, 5.0]), st.sampled_from([0.0, 0.5, 1.0])),
    ),
    st.integers(0, 14),
    st.none() | st.sampled_from([2.0, 3.0]),
    st.sampled_from(SHARES),
)
def test_failures_equal_the_oracle(
    scores: dict[str, tuple[float, float]], size: int, below: float | None, share: Fraction
) -> None:
    rated = [Rated(i, mos, d) for i, (mos, d) in scores.items()]
    expected = slow_failures(scores, size, below, math.floor(len(scores) * share))
    room = largest_set(len(scores), size, float(share))
    assert cut_failures(rated, size=room, failure_below=below) == expected
    assert cut_failures(rated[::-1], size=room, failure_below=below) == expected


@many
@given(st.sets(st.text(max_size=4)), st.integers(0, 2**40), st.integers(0, 9))
def test_a_drawing_order_is_a_permutation_that_ignores_the_input_order(
    ids: set[str], seed: int, n: int
) -> None:
    order = drawing_order(list(ids), seed=seed, round_number=n)
    assert sorted(order) == sorted(ids)
    assert drawing_order(sorted(ids, reverse=True), seed=seed, round_number=n) == order


@many
@given(stacks(6, C, max_side=5))
def test_set_iou_equals_the_oracle(maps: np.ndarray) -> None:
    truths, predictions = list(maps[:3]), list(maps[3:])
    histograms = np.array([joint_histogram(t, p, C) for t, p in zip(truths, predictions, strict=True)])
    scores = set_iou(confusion(histograms))
    mean, ious = slow_set_iou(truths, predictions, C)
    assert scores.mean_iou == pytest.approx(mean, abs=1e-12, nan_ok=True)
    assert scores.class_iou.tolist() == pytest.approx(ious, abs=0, rel=0, nan_ok=True)


@many
@given(stacks(2, C))
def test_image_miou_is_one_minus_the_discrepancy(maps: np.ndarray) -> None:
    histogram = joint_histogram(maps[0], maps[1], C)
    expected = 1 - float(miou_discrepancy(histogram))
    assert image_miou(confusion(histogram)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@many
@given(stacks(1, C), st.lists(st.integers(0, C - 1), unique=True))
def test_main_class_equals_the_oracle(maps: np.ndarray, foreground: list[int]) -> None:
    assert main_class(class_areas(maps[0], C), foreground) == slow_main_class(maps[0], foreground)


@many
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("mn"), st.sampled_from("rst"), st.integers(0, 1)),
        unique=True,
    ),
    st.data(),
)
def test_a_consensus_does_not_depend_on_the_order_of_the_answers(
    keys: list[tuple[str, str, str, int]], data: st.DataObject
) -> None:
    scores = st.sampled_from([None, 1, 2, 3, 4, 5])
    ratings = [Rating(*key, score=(s := data.draw(scores)), out_of_domain=s is None) for key in keys]
    together = consensus(ratings)
    assert consensus(ratings[::-1]) == together
    assert [(c.image_id, c.map_digest) for c in together] == sorted({key[:2] for key in keys})


@many
@given(stacks(2, C, max_side=8), st.floats(0, 1), st.integers(0, 99))
def test_every_painted_pixel_is_the_truth_or_the_start(maps: np.ndarray, anchoring: float, seed: int) -> None:
    truth, start = maps
    painted = simulated_mask(truth, start, anchoring=anchoring, seed=seed, annotator="a", image_id="i")
    left = painted != truth
    assert np.array_equal(painted[left], start[left])
    assert not (left & ((truth == 255) | (start == 255))).any()
    again = simulated_mask(truth, start, anchoring=anchoring, seed=seed, annotator="a", image_id="i")
    assert np.array_equal(painted, again)


@many
@given(st.one_of(stacks(1, 4), blocky_stacks(1, 4)), st.integers(0, 3))
def test_brush_streams_are_read_back(maps: np.ndarray, value: int) -> None:
    alpha = maps[0]
    height, width = alpha.shape
    stream = encode_brush(alpha)
    assert np.array_equal(decode_brush(stream, height=height, width=width), alpha)
    assert np.array_equal(decode_brush([*stream, value], height=height, width=width), alpha)


@many
@given(stacks(2, C), st.booleans())
def test_an_untouched_prediction_composes_to_itself(maps: np.ndarray, human: bool) -> None:
    """Whoever is said to have drawn the regions: they do not overlap, so nothing can be in conflict."""
    label_map, base = maps
    height, width = label_map.shape
    names = [f"class-{k}" for k in range(C)]
    regions = [
        BrushRegion(name, decode_brush(stream, height=height, width=width), human)
        for name, stream in regions_of(label_map, names)
    ]
    mask = compose_mask(regions, names=names, base=base, height=height, width=width)
    assert np.array_equal(mask.label_map, label_map)
    assert mask.uncovered_px == (label_map == 255).sum()
    assert mask.conflict_px == 0
