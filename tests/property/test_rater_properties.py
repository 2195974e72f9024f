from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.core.rater_model import fit_rater_model

many = settings(deadline=None, max_examples=100)


def score_tables(*, low: int = 1, high: int = 5) -> st.SearchStrategy[np.ndarray]:
    """(n, r) whole scores, some of them missing."""
    return hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 12), st.integers(2, 6)),
        elements=st.sampled_from([*map(float, range(low, high + 1)), np.nan]),
    )


@many
@given(score_tables(), st.randoms(use_true_random=False))
def test_the_rater_model_does_not_depend_on_the_order(scores: np.ndarray, random: object) -> None:
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    model, shuffled = fit_rater_model(scores), fit_rater_model(scores[np.ix_(rows, columns)])
    np.testing.assert_allclose(shuffled.quality, model.quality[rows], atol=1e-4)
    np.testing.assert_allclose(shuffled.bias, model.bias[columns], atol=1e-4)
    np.testing.assert_allclose(shuffled.inconsistency, model.inconsistency[columns], atol=1e-4)


@many
@given(score_tables(low=2, high=4), st.sampled_from([-1.0, -0.5, 0.5, 1.0]))
def test_a_shift_of_all_scores_moves_the_quality_alone(scores: np.ndarray, shift: float) -> None:
    model, moved = fit_rater_model(scores), fit_rater_model(scores + shift)
    np.testing.assert_allclose(moved.quality, model.quality + shift, atol=1e-4)
    np.testing.assert_allclose(moved.bias, model.bias, atol=1e-4)
    np.testing.assert_allclose(moved.inconsistency, model.inconsistency, atol=1e-4)


@many
@given(score_tables(low=2, high=4).filter(lambda s: not np.isnan(s).any()), st.sampled_from([-1.0, 0.5, 1.0]))
def test_a_shift_of_one_rater_moves_that_bias(scores: np.ndarray, shift: float) -> None:
    shifted = scores.copy()
    shifted[:, 0] += shift
    model, moved = fit_rater_model(scores), fit_rater_model(shifted)
    differences = moved.bias - model.bias
    np.testing.assert_allclose(differences[0] - differences[1:], shift, atol=1e-4)
    np.testing.assert_allclose(moved.inconsistency, model.inconsistency, atol=1e-4)


@many
@given(score_tables().filter(lambda s: not np.isnan(s).any()))
def test_biases_of_a_full_table_are_the_differences_of_the_means(scores: np.ndarray) -> None:
    means = scores.mean(axis=0)
    model = fit_rater_model(scores)
    np.testing.assert_allclose(model.bias, means - means.mean(), atol=1e-6)
    assert (model.inconsistency >= np.sqrt(1 / 12) - 1e-12).all()
