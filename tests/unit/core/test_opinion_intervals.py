from __future__ import annotations

import numpy as np
import pytest

from tasks.core.opinion_intervals import opinion_intervals

NAN = np.nan


def test_the_variance_is_pooled_over_the_images() -> None:
    # squares about the means: 2 of two scores, 2 of three; together 4 with 1 + 2 degrees of freedom
    found = opinion_intervals(np.array([[2.0, 4.0, NAN], [2.0, 3.0, 4.0]]))
    t = 3.182446305284263  # 97.5 % point of Student's t with 3 degrees of freedom
    half = t * np.sqrt(4 / 3) / np.sqrt([2, 3])
    assert found.degrees == 3
    assert found.rater_variance == pytest.approx(4 / 3)
    np.testing.assert_allclose(found.mean, [3, 3])
    np.testing.assert_allclose(found.low, np.maximum(1, 3 - half))
    np.testing.assert_allclose(found.high, np.minimum(5, 3 + half))


def test_an_interval_stays_on_the_scale() -> None:
    found = opinion_intervals(np.array([[1.0, 1.0], [1.0, 3.0], [5.0, 5.0]]))
    assert found.low[0] == 1.0
    assert found.high[2] == 5.0


def test_a_single_score_has_the_interval_of_the_others_variance() -> None:
    found = opinion_intervals(np.array([[3.0, NAN], [2.0, 2.5], [3.0, 3.5]]), confidence=0.5)
    assert found.degrees == 2
    # 75 % point of Student's t with 2 degrees of freedom is sqrt(2/3)
    assert found.high[0] - 3 == pytest.approx(np.sqrt(2 / 3) * np.sqrt(0.125))


def test_what_cannot_be_known_is_nan() -> None:
    alone = opinion_intervals(np.array([[3.0, NAN], [NAN, 4.0], [NAN, NAN]]))
    np.testing.assert_array_equal(alone.mean, [3, 4, NAN])
    assert np.isnan([*alone.low, *alone.high, alone.rater_variance]).all()
    assert alone.degrees == 0


def test_nineteen_of_twenty_intervals_hold_the_mean_of_a_large_panel() -> None:
    rng = np.random.default_rng(0)
    quality = rng.uniform(2.5, 3.5, 2000)
    found = opinion_intervals(quality[:, None] + 0.4 * rng.standard_normal((2000, 3)))
    assert ((found.low <= quality) & (quality <= found.high)).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("confidence", [0.0, 1.0, NAN])
def test_a_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="`confidence`"):
        opinion_intervals(np.full((2, 2), 3.0), confidence=confidence)
