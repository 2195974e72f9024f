"""Probabilities of quality: by hand, and against ranks drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from tasks.core.worst_probability import QUALITY, Habit, quality_posterior, score_probability

HABITS = {"a": Habit(0.0, 0.7), "b": Habit(0.3, 0.5), "c": Habit(-0.3, 0.9)}


def test_a_score_is_the_normal_mass_that_is_rounded_or_clipped_to_it() -> None:
    at_two = np.flatnonzero(np.isclose(QUALITY, 2.0))[0]
    given = [score_probability(score, HABITS["b"])[at_two] for score in (1, 2, 5)]
    # mean 2.3, noise 0.5: below 1.5 is 1.6 standard deviations down, above 4.5 is 4.4 up
    assert given == pytest.approx([ndtr(-1.6), ndtr(0.4) - ndtr(-1.6), ndtr(-4.4)], rel=1e-9)


@pytest.mark.parametrize("habit", [*HABITS.values(), Habit(-2.0, 0.3)])
def test_scores_exhaust_what_may_happen(habit: Habit) -> None:
    np.testing.assert_allclose(
        1.0, sum(score_probability(score, habit) for score in range(1, 6)), rtol=0, atol=1e-12
    )


def test_scores_without_noise_to_speak_of_say_the_quality() -> None:
    exact = {"a": Habit(0.0, 1e-3)}
    posterior = quality_posterior({f"i{score}": {"a": score} for score in range(1, 6)}, exact)
    # 2.5 rounds to either, and its cell is 0.05 wide
    assert [posterior.below(2.525)[f"i{score}"] for score in (1, 2)] == pytest.approx([1, 1])
    assert [posterior.below(2.475)[f"i{score}"] for score in (3, 4, 5)] == pytest.approx([0, 0, 0])
    assert posterior.below(0.0) == dict.fromkeys(posterior.row_of, 0.0)
    assert posterior.below(9.0) == pytest.approx(dict.fromkeys(posterior.row_of, 1.0))


def test_images_that_are_alike_share_the_places_among_the_worst() -> None:
    images = {str(i): {"a": 3} for i in range(8)}
    posterior = quality_posterior(images, HABITS)
    assert posterior.below(posterior.worst_below(images, 2)) == pytest.approx(dict.fromkeys(images, 0.25))


def test_none_and_all_can_be_the_worst() -> None:
    images = {"x": {"a": 3}, "y": {"a": 4}}
    posterior = quality_posterior(images, HABITS)
    assert posterior.below(posterior.worst_below(images, 0)) == {"x": 0.0, "y": 0.0}
    assert posterior.below(posterior.worst_below(images, 5)) == pytest.approx({"x": 1.0, "y": 1.0})
    assert quality_posterior({}, HABITS).worst_below((), 3) == pytest.approx(5.025)


def test_an_image_without_scores_has_the_prior_and_a_biased_rater_is_seen_through() -> None:
    scores = {f"a{i}": {"a": 1 + i % 5} for i in range(50)} | {"new": {}, "kind": {"b": 3}, "stern": {"c": 3}}
    below = quality_posterior(scores, HABITS).below(3.0)
    assert below["stern"] < below["new"] < below["kind"]


def test_probabilities_are_near_those_of_ranks() -> None:
    """Against the oracle: qualities drawn from the posterior, the lowest counted."""
    rng = np.random.default_rng(5)
    scores: dict[str, dict[str, int]] = {}
    for i, quality in enumerate(rng.normal(2.8, 0.9, 200)):
        heard = {rater: quality + rng.normal(h.bias, h.noise) for rater, h in HABITS.items()}
        scores[f"{i:03d}"] = {rater: int(np.clip(np.round(x), 1, 5)) for rater, x in heard.items()}
    posterior = quality_posterior(scores, HABITS)
    ours = posterior.below(posterior.worst_below(scores, 40))
    cumulative = np.array([posterior.cumulative[posterior.row_of[i]] for i in scores])
    counted = np.zeros(200)
    for _ in range(2000):
        cell = (cumulative[:, 1:] < rng.random((200, 1))).sum(axis=1)
        drawn = cell + rng.random(200)  # uniform within the cell
        counted[np.argsort(drawn)[:40]] += 1
    assert sum(ours.values()) == pytest.approx(40)
    np.testing.assert_allclose(counted / 2000, list(ours.values()), rtol=0, atol=0.06)


def test_many_contradicting_scores_are_still_a_distribution() -> None:
    raters = {f"r{i}": Habit(0.0, 0.3) for i in range(60)}
    posterior = quality_posterior({"x": {r: 1 + 4 * (i % 2) for i, r in enumerate(raters)}}, raters)
    np.testing.assert_allclose(1.0, posterior.cumulative[0, -1])


def test_scores_and_habits_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`score` must be 1\.\.5, got 6"):
        quality_posterior({"x": {"a": 6}}, HABITS)
    for bias, noise in ((0.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(ValueError, match="finite bias and a noise above 0"):
            Habit(bias, noise)
