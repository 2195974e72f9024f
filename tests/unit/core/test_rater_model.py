from __future__ import annotations

import numpy as np
import pytest

from tasks.core.consensus import Rating
from tasks.core.rater_model import fit_rater_model
from tasks.core.score_matrix import score_matrix

NAN = np.nan


def panel(seed: int, n: int, biases: list[float], deviations: list[float]) -> np.ndarray:
    """Scores that are not rounded, and hardly ever clipped."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(2.7, 3.3, n)[:, None]
    return np.clip(
        quality + np.array(biases) + np.array(deviations) * rng.standard_normal((n, len(biases))), 1, 5
    )


def test_two_raters_share_their_variance_and_their_difference() -> None:
    # differences 1, 1, 2, 0: mean 1, so biases -1/2 and 1/2; their variance 2/3 is twice that of a rater
    model = fit_rater_model(np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 5.0], [4.0, 4.0]]))
    np.testing.assert_allclose(model.bias, [-0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(model.inconsistency, [np.sqrt(1 / 3)] * 2, atol=1e-6)
    np.testing.assert_allclose(model.quality, [1.5, 2.5, 4.0, 4.0], atol=1e-6)
    np.testing.assert_allclose(model.quality_error, [np.sqrt(1 / 6)] * 4, atol=1e-6)
    np.testing.assert_allclose(model.bias_error, [np.sqrt(1 / 24)] * 2, atol=1e-6)
    assert np.isnan(model.inconsistency_error).all()
    assert model.converged


def test_raters_who_always_agree_have_the_inconsistency_of_rounding() -> None:
    model = fit_rater_model(np.array([[1.0] * 3, [3.0] * 3, [5.0] * 3]))
    np.testing.assert_allclose(model.inconsistency, np.sqrt(1 / 12))
    np.testing.assert_allclose(model.bias, 0.0, atol=1e-12)
    np.testing.assert_allclose(model.quality, [1, 3, 5])


def test_one_steady_rater_among_three_does_not_become_the_quality() -> None:
    model = fit_rater_model(panel(0, 2000, [0, 0, 0], [0.35, 0.5, 0.5]))
    np.testing.assert_allclose(model.inconsistency, [0.35, 0.5, 0.5], atol=0.04)


@pytest.mark.parametrize("n_raters", [3, 5, 12])
def test_estimates_are_near_the_truth_and_as_near_as_they_say(n_raters: int) -> None:
    biases, deviations = np.linspace(-0.2, 0.2, n_raters), np.linspace(0.35, 0.5, n_raters)
    of_bias, of_deviation = [], []
    for seed in range(60):
        scores = panel(seed, 200, biases.tolist(), deviations.tolist())
        scores[np.random.default_rng(seed).random(scores.shape) < 0.1] = NAN
        model = fit_rater_model(scores)
        assert model.converged
        of_bias.append((model.bias - biases) / model.bias_error)
        of_deviation.append((model.inconsistency - deviations) / model.inconsistency_error)
    for errors in (np.array(of_bias), np.array(of_deviation)):
        assert abs(errors.mean()) < 0.2
        assert 0.85 < errors.std() < 1.15


def test_what_cannot_be_compared_is_nan() -> None:
    # the third rater shares one map only, the last map has nobody, the one before it only the first rater
    scores = np.array(
        [[1, 2, NAN], [2, 3, NAN], [3, 3, 4], [4, NAN, NAN], [NAN, NAN, 2], [NAN, NAN, NAN]], dtype=float
    )
    model = fit_rater_model(scores)
    assert np.isnan(model.bias).tolist() == [False, False, True]
    assert np.isnan(model.inconsistency).tolist() == [False, False, True]
    assert np.isnan(model.quality).tolist() == [False, False, False, False, True, True]
    np.testing.assert_allclose(model.quality[3], 4 - model.bias[0])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (4, 0), (1, 3), (3, 1)])
def test_a_panel_without_comparisons_has_no_estimates(shape: tuple[int, int]) -> None:
    model = fit_rater_model(np.full(shape, 3.0))
    assert model.quality.shape == (shape[0],)
    assert model.bias.shape == (shape[1],)
    assert np.isnan(model.quality).all()
    assert np.isnan(model.inconsistency).all()


@pytest.mark.parametrize(
    "scores", [np.zeros(3), np.array([[0.5, 1]]), np.array([[5.1]]), np.array([[np.inf]])]
)
def test_what_is_no_table_of_scores_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`scores` must be"):
        fit_rater_model(scores)


def test_the_table_has_the_scores_that_count() -> None:
    answers = [
        Rating("b", "m", "r2", 0, 4, False),
        Rating("a", "m", "r1", 0, 2, False),
        Rating("a", "m", "r1", 1, 5, False),
        Rating("a", "m", "r2", 0, None, True),
        Rating("b", "m", "r1", 0, 3, True),
    ]
    table = score_matrix(answers)
    assert table.shown == (("a", "m"), ("b", "m"))
    assert table.raters == ("r1", "r2")
    np.testing.assert_array_equal(table.scores, [[2, NAN], [NAN, 4]])
