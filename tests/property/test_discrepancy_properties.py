from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.confusion import joint_histogram
from tasks.core.discrepancy import accuracy_discrepancy, class_areas_of, miou_discrepancy
from tasks.core.label_maps import class_areas
from tests.lib.oracles import slow_accuracy_discrepancy, slow_joint_histogram, slow_miou_discrepancy
from tests.lib.strategies import blocky_stacks, stacks

C = 5
many = settings(deadline=None, max_examples=200)


@many
@given(st.one_of(stacks(2, C, max_side=20), blocky_stacks(2, C)))
def test_joint_histogram_equals_the_oracle(maps: np.ndarray) -> None:
    histogram = joint_histogram(maps[0], maps[1], C)
    assert histogram.tolist() == slow_joint_histogram(maps[0], maps[1], C)
    assert joint_histogram(maps[0].T, maps[1].T, C).tolist() == histogram.tolist()
    assert joint_histogram(maps[1], maps[0], C).tolist() == histogram.T.tolist()


@many
@given(stacks(2, C), st.integers(1, 12))
def test_discrepancies_equal_the_oracle_bit_for_bit(maps: np.ndarray, min_class_px: int) -> None:
    histogram = joint_histogram(maps[0], maps[1], C)
    rows = histogram.tolist()
    ours = float(miou_discrepancy(histogram, min_class_px=min_class_px))
    np.testing.assert_array_equal(ours, slow_miou_discrepancy(rows, min_class_px))
    np.testing.assert_array_equal(float(accuracy_discrepancy(histogram)), slow_accuracy_discrepancy(rows))
    assert np.isnan(ours) or 0 <= ours <= 1


@many
@given(stacks(8, C), st.integers(1, 4), st.permutations(range(4)))
def test_a_value_is_the_same_bits_alone_in_a_batch_and_in_any_order(
    maps: np.ndarray, min_class_px: int, order: list[int]
) -> None:
    batch = np.stack([joint_histogram(maps[i], maps[i + 4], C) for i in range(4)])
    alone = np.array([miou_discrepancy(h, min_class_px=min_class_px) for h in batch])
    for layout in (batch, np.asfortranarray(batch), batch.reshape(2, 2, C + 1, C + 1)):
        together = miou_discrepancy(layout, min_class_px=min_class_px).ravel()
        assert together.tobytes() == alone.tobytes()
    assert miou_discrepancy(batch[order], min_class_px=min_class_px).tobytes() == alone[order].tobytes()
    accuracies = np.array([accuracy_discrepancy(h) for h in batch])
    assert accuracy_discrepancy(np.asfortranarray(batch)).tobytes() == accuracies.tobytes()


@many
@given(stacks(2, C), st.permutations(range(C)))
def test_new_class_indices_change_no_bit(maps: np.ndarray, names: list[int]) -> None:
    table = np.arange(256, dtype=np.uint8)
    table[:C] = names
    before, after = (joint_histogram(m[0], m[1], C) for m in (maps, table[maps]))
    assert miou_discrepancy(before).tobytes() == miou_discrepancy(after).tobytes()
    assert accuracy_discrepancy(before).tobytes() == accuracy_discrepancy(after).tobytes()


@many
@given(stacks(2, C))
def test_discrepancies_are_symmetric_and_more_classes_or_void_change_nothing(maps: np.ndarray) -> None:
    histogram = joint_histogram(maps[0], maps[1], C)
    void_band = np.full((2, 3, maps.shape[2]), 255, dtype=np.uint8)
    banded = np.concatenate((maps, void_band), axis=1)
    for other in (histogram.T, joint_histogram(*maps, C + 9), joint_histogram(*banded, C)):
        assert miou_discrepancy(histogram).tobytes() == miou_discrepancy(other).tobytes()
        assert accuracy_discrepancy(histogram).tobytes() == accuracy_discrepancy(other).tobytes()


@many
@given(stacks(2, C))
def test_areas_from_the_histogram_are_the_areas_of_the_maps(maps: np.ndarray) -> None:
    in_a, in_b = class_areas_of(joint_histogram(maps[0], maps[1], C))
    assert in_a.tolist() == class_areas(maps[0], C).tolist()
    assert in_b.tolist() == class_areas(maps[1], C).tolist()
