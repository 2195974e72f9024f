from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.core.agreement import ordinal_alpha
from tasks.core.consensus import Rating
from tasks.core.opinion_intervals import opinion_intervals
from tasks.core.rater_model import fit_rater_model
from tasks.core.rater_screening import screen_raters
from tests.lib.oracles import slow_ordinal_alpha

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
def test_the_rater_model_does_not_depend_on_the_order(scores: np.ndarray, random: Random) -> None:
    rows, columns = list(range(scores.shape[0])), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
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


@many
@given(score_tables(), st.permutations(range(6)))
def test_alpha_equals_the_oracle_in_any_order_of_raters(scores: np.ndarray, order: list[int]) -> None:
    alpha = ordinal_alpha(scores)
    np.testing.assert_allclose(alpha, slow_ordinal_alpha(scores.tolist()), atol=1e-12)
    np.testing.assert_allclose(ordinal_alpha(scores[:, [i for i in order if i < scores.shape[1]]]), alpha)
    assert np.isnan(alpha) or alpha <= 1


@many
@given(score_tables())
def test_alpha_is_the_same_on_the_scale_turned_round(scores: np.ndarray) -> None:
    np.testing.assert_allclose(ordinal_alpha(6 - scores), ordinal_alpha(scores), atol=1e-12)


@many
@given(score_tables())
def test_intervals_hold_the_mean_and_stay_on_the_scale(scores: np.ndarray) -> None:
    found = opinion_intervals(scores)
    known = ~np.isnan(found.low)
    assert (known == (~np.isnan(found.mean) & (found.degrees > 0))).all()
    assert (found.low[known] >= 1).all()
    assert (found.low[known] <= found.mean[known]).all()
    assert (found.mean[known] <= found.high[known]).all()
    assert (found.high[known] <= 5).all()
    turned = opinion_intervals(6 - scores)
    np.testing.assert_allclose(turned.low, 6 - found.high, atol=1e-12)


@many
@given(score_tables(), st.data())
def test_the_screening_does_not_depend_on_the_order_of_the_answers(
    scores: np.ndarray, data: st.DataObject
) -> None:
    answers = [
        Rating(
            f"i{row}", "map", f"r{column}", 0, None if np.isnan(score) else int(score), bool(np.isnan(score))
        )
        for (row, column), score in np.ndenumerate(scores)
    ]
    gold = {("i0", "map"): 3.0}
    found = screen_raters(answers, gold=gold)
    assert repr(screen_raters(data.draw(st.permutations(answers)), gold=gold)) == repr(found)
    assert [rater.rater for rater in found] == [f"r{i}" for i in range(scores.shape[1])]
