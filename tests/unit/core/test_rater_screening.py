from __future__ import annotations

import numpy as np
import pytest

from tasks.core.consensus import Rating
from tasks.core.rater_measures import Count
from tasks.core.rater_screening import ScreenedRater, screen_raters

QUALITY = [1 + i % 5 for i in range(200)]


def rated(scores: dict[str, list[int | None]], *, repeat: int = 0, prefix: str = "i") -> list[Rating]:
    """Scores by rater, None for out of domain."""
    return [
        Rating(f"{prefix}{i}", "map", rater, repeat, score, score is None)
        for rater, given in scores.items()
        for i, score in enumerate(given)
    ]


def noisy(seed: int, bias: float = 0.0, noise: float = 0.7) -> list[int | None]:
    rng = np.random.default_rng(seed)
    values = np.array(QUALITY) + bias + noise * rng.standard_normal(len(QUALITY))
    return list(np.clip(np.floor(values + 0.5), 1, 5).astype(int).tolist())


def flags(found: list[ScreenedRater]) -> dict[str, str]:
    return {rater.rater: "; ".join(rater.flags) for rater in found}


def good(count: int) -> dict[str, list[int | None]]:
    return {f"good{i}": noisy(i) for i in range(count)}


def test_a_good_panel_has_no_flags() -> None:
    assert set(flags(screen_raters(rated(good(5)), gold={})).values()) == {""}


def test_a_biased_rater_is_flagged_with_the_threshold() -> None:
    scores = {**good(2), "bad": noisy(9, bias=-1.5)}
    found = flags(screen_raters(rated(scores), gold={}))
    assert found["bad"].startswith("scores lie -")
    assert "from the panel's median, allowed is 0.50" in found["bad"]
    assert {found["good0"], found["good1"]} == {""}


def test_an_inconsistent_rater_is_flagged_with_the_threshold() -> None:
    scores = {**good(4), "bad": noisy(9, noise=2.0)}
    found = flags(screen_raters(rated(scores), gold={}))
    assert "allowed is 1.25 times as much" in found.pop("bad")
    assert set(found.values()) == {""}


def test_a_rater_with_one_answer_to_everything_is_flagged() -> None:
    scores = {**good(2), "bad": [3] * len(QUALITY)}
    found = {r.rater: r for r in screen_raters(rated(scores), gold={})}
    assert np.isnan(found["bad"].correlation.spearman)
    assert any(f.startswith("rank correlation 0.00") for f in found["bad"].flags)


def test_a_rater_unlike_the_own_first_answers_is_flagged() -> None:
    scores = {**good(2), "bad": noisy(7)}
    again = {**scores, "bad": [6 - s for s in scores["bad"] if s is not None]}
    found = screen_raters(rated(scores) + rated(again, repeat=1), gold={})
    assert "repeats within one score of the first answer, 100% of the others'" in flags(found)["bad"]
    assert {r.rater: r.repeats for r in found}["good0"] == Count(200, 200)


def test_a_rater_wrong_about_gold_images_is_flagged() -> None:
    golden = {(f"gold{i}", "map"): 5.0 for i in range(20)}
    on_gold: dict[str, list[int | None]] = {"good0": [5] * 20, "good1": [4] * 20, "bad": [3] * 20}
    answers = rated({**good(2), "bad": noisy(7)}) + rated(on_gold, prefix="gold")
    found = screen_raters(answers, gold=golden)
    assert "0 of 20 gold images right within one score, required are 80%" in flags(found)["bad"]
    assert {r.rater: r.gold for r in found}["good1"] == Count(20, 20)


@pytest.mark.parametrize(
    ("declared", "has_flag"), [((0, 0, 2), False), ((0, 0, 3), True), ((1, 2, 6), False)]
)
def test_out_of_domain_is_flagged_above_three_times_the_median(
    declared: tuple[int, ...], has_flag: bool
) -> None:
    scores = {f"r{i}": noisy(i) for i in range(3)}
    for rater, n in zip(scores.values(), declared, strict=True):
        rater[:n] = [None] * n
    found = flags(screen_raters(rated(scores), gold={}))
    assert ("out of domain, more than 3 times" in found["r2"]) == has_flag
    assert found["r0"] == found["r1"] == ""


def test_bt500_needs_eight_raters() -> None:
    few, many = (screen_raters(rated(good(n)), gold={}) for n in (7, 8))
    assert {r.bt500 for r in few} == {None}
    assert all(r.bt500 is not None and r.bt500.n_scores == 200 for r in many)


@pytest.mark.parametrize("n_raters", [1, 2])
def test_of_one_or_two_raters_nobody_is_called_biased_or_inconsistent(n_raters: int) -> None:
    scores = {"a": noisy(0), "b": noisy(1, bias=-2.0, noise=2.0)}
    chosen = dict(list(scores.items())[:n_raters])
    assert set(flags(screen_raters(rated(chosen), gold={})).values()) == {""}


@pytest.mark.parametrize(
    "second", [Rating("0", "map", "good0", 0, 5, False), Rating("0", "map", "good0", 0, None, True)]
)
def test_two_answers_of_one_rater_about_one_map_are_refused(second: Rating) -> None:
    answers = [Rating("0", "map", "good0", 0, 1, False), Rating("0", "map", "good1", 0, 1, False)]
    for order in ([*answers, second], [second, *answers]):
        with pytest.raises(ValueError, match="got two of 'good0' about image 0; drop the older one"):
            screen_raters(order, gold={})


def test_no_ratings_have_no_raters() -> None:
    assert screen_raters([], gold={}) == []


def test_a_rater_without_scores_is_listed() -> None:
    answers = rated({**good(2), "silent": [None] * 5})
    silent = {r.rater: r for r in screen_raters(answers, gold={})}["silent"]
    assert silent.n_scores == 0
    assert np.isnan(silent.bias)
    assert silent.out_of_domain == Count(5, 5)


def test_gold_images_are_no_candidates_that_could_be_out_of_domain() -> None:
    answers = rated(good(3)) + rated({"good0": [None] * 4}, prefix="gold")
    gold = {(f"gold{i}", "map"): 5.0 for i in range(4)}
    first = screen_raters(answers, gold=gold)[0]
    assert first.out_of_domain == Count(0, 200)
    assert first.gold == Count(0, 4)
