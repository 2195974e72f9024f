from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from tasks.core.scores import image_miou, set_iou


def test_sums_come_before_ratios() -> None:
    # class 0: 3 + 0 hits, unions 4 + 2 -> 1/2; class 1: 0 + 2 hits, unions 1 + 4 -> 2/5
    confusions = np.array([[[3, 1], [0, 0]], [[0, 2], [0, 2]]])
    scores = set_iou(confusions)
    assert scores.class_iou.tolist() == [0.5, 0.4]
    assert scores.mean_iou == pytest.approx(0.45)
    assert scores.pixel_accuracy == pytest.approx(5 / 8)
    assert scores.false_positive_px.tolist() == [0, 0]


def test_a_class_without_a_true_pixel_is_left_out_and_its_false_positives_are_reported() -> None:
    scores = set_iou(np.array([[[8, 2, 0], [0, 0, 0], [0, 0, 0]]]))
    assert scores.mean_iou == 0.8
    assert scores.class_iou[0] == 0.8
    assert np.isnan(scores.class_iou[1:]).all()
    assert scores.false_positive_px.tolist() == [0, 2, 0]


@pytest.mark.parametrize("confusions", [np.zeros((0, 2, 2), int), np.zeros((3, 2, 2), int)])
def test_an_empty_set_has_no_score(confusions: np.ndarray) -> None:
    scores = set_iou(confusions)
    assert math.isnan(scores.mean_iou)
    assert math.isnan(scores.pixel_accuracy)
    assert np.isnan(scores.class_iou).all()


def test_set_iou_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    truth, guess = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    confusions = np.zeros((5, 4, 4), int)
    np.add.at(confusions, (np.arange(500) % 5, truth, guess), 1)
    assert set_iou(confusions).class_iou == pytest.approx(jaccard_score(truth, guess, average=None))


def test_image_miou_counts_classes_of_truth_or_prediction() -> None:
    assert image_miou(np.array([[8, 2, 0], [0, 0, 0], [0, 0, 0]])) == pytest.approx(0.4)
    assert math.isnan(image_miou(np.zeros((2, 2), int)))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, C, C\)"):
        set_iou(np.zeros((2, 2), int))
    with pytest.raises(ValueError, match=r"\(C, C\)"):
        image_miou(np.zeros((2, 3), int))
