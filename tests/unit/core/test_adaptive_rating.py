"""Which ratings are needed, on panels small enough to follow by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tasks.core.adaptive_rating import (
    UNKNOWN_NOISE,
    AdaptiveRule,
    Answers,
    Ask,
    Panel,
    needed_ratings,
    rater_habits,
    rater_turns,
)
from tasks.core.worst_probability import Habit

RATERS = ("r1", "r2", "r3")
IDS = [f"i{n:02d}" for n in range(20)]
RULE = AdaptiveRule(size=4, failure_below=None, max_share=0.5, threshold=0.05)


def panel(test_size: int = 0) -> Panel:
    return Panel(IDS, RATERS, lambda out_of_domain: [i for i in IDS if i not in out_of_domain][:test_size])


def by_image(asks: frozenset[Ask]) -> dict[str, int]:
    return dict(Counter(ask.image_id for ask in asks))


def answered(asks: frozenset[Ask], scores: dict[str, int | None]) -> dict[Ask, int | None]:
    return {ask: scores[ask.image_id] for ask in asks}


def everything(scores: dict[str, int | None]) -> Answers:
    return {Ask(image_id, rater): scores[image_id] for image_id in IDS for rater in RATERS}


def test_first_raters_have_equal_shares_and_the_test_set_all_raters() -> None:
    first = needed_ratings(panel(), RULE, {})
    assert by_image(first) == dict.fromkeys(IDS, 1)
    assert sorted(Counter(ask.rater for ask in first).values()) == [6, 7, 7]
    in_full = needed_ratings(panel(test_size=3), RULE, {})
    assert by_image(in_full) == dict.fromkeys(IDS[:3], 3) | dict.fromkeys(IDS[3:], 1)


def test_raters_take_turns_whatever_the_order_of_images_and_names() -> None:
    turns = rater_turns(IDS, RATERS)
    assert turns == rater_turns(IDS[::-1], RATERS[::-1])
    assert set(map(tuple, turns.values())) == {("r1", "r2", "r3"), ("r2", "r3", "r1"), ("r3", "r1", "r2")}


def test_nothing_more_is_asked_before_a_batch_is_answered() -> None:
    first = needed_ratings(panel(), RULE, {})
    some = dict.fromkeys(sorted(first)[:-1], 1)
    assert needed_ratings(panel(), RULE, some) == first


def test_only_possible_failures_are_rated_on() -> None:
    scores: dict[str, int | None] = dict.fromkeys(IDS, 5) | dict.fromkeys(IDS[:6], 1)
    first = needed_ratings(panel(), RULE, {})
    second = needed_ratings(panel(), RULE, answered(first, scores))
    assert by_image(second - first) == dict.fromkeys(IDS[:6], 1)
    assert by_image(needed_ratings(panel(), RULE, everything(scores))) == {
        image_id: 3 if image_id in IDS[:6] else 1 for image_id in IDS
    }


def test_images_that_look_alike_are_all_rated_in_full() -> None:
    wary = AdaptiveRule(size=4, failure_below=None, max_share=0.5, threshold=1.0)
    assert by_image(needed_ratings(panel(), wary, everything(dict.fromkeys(IDS, 3)))) == dict.fromkeys(IDS, 3)


def test_good_images_are_no_failures_even_if_none_is_worse() -> None:
    bounded = AdaptiveRule(size=4, failure_below=3.0, max_share=0.5, threshold=0.05)
    assert by_image(needed_ratings(panel(), bounded, everything(dict.fromkeys(IDS, 5)))) == dict.fromkeys(
        IDS, 1
    )


def test_an_image_out_of_domain_is_rated_no_more_and_replaced_in_the_test_set() -> None:
    scores: dict[str, int | None] = dict.fromkeys(IDS, 5) | {"i00": None, "i10": None}
    final = by_image(needed_ratings(panel(test_size=3), RULE, everything(scores)))
    assert final["i10"] == 1
    assert {image_id for image_id in IDS[:4] if final[image_id] == 3} == set(IDS[:4])  # i03 replaces i00


def test_an_image_is_rated_on_if_the_declaration_of_its_rater_is_disregarded() -> None:
    declaring = sorted(RATERS)[0]
    answers = {ask: None if ask.rater == declaring else 5 for ask in everything(dict.fromkeys(IDS, 5))}
    bounded = AdaptiveRule(size=4, failure_below=3.0, max_share=0.5, threshold=0.05)
    first = {ask.image_id for ask in needed_ratings(panel(), bounded, {}) if ask.rater == declaring}
    believed = by_image(needed_ratings(panel(), bounded, answers))
    disbelieved = by_image(needed_ratings(replace(panel(), disregarded={declaring}), bounded, answers))
    assert believed == dict.fromkeys(IDS, 1)
    assert disbelieved == {image_id: 2 if image_id in first else 1 for image_id in IDS}


def test_without_a_place_in_the_failures_one_rater_is_enough() -> None:
    none = AdaptiveRule(size=0, failure_below=None, max_share=0.5, threshold=0.05)
    assert by_image(needed_ratings(panel(), none, everything(dict.fromkeys(IDS, 1)))) == dict.fromkeys(IDS, 1)


def test_answers_that_were_not_asked_for_change_nothing() -> None:
    scores: dict[str, int | None] = dict.fromkeys(IDS, 5) | dict.fromkeys(IDS[:6], 1)
    final = needed_ratings(panel(), RULE, everything(scores))
    needed_only = {ask: scores[ask.image_id] for ask in final}
    assert needed_ratings(panel(), RULE, needed_only) == final


def test_room_in_the_failures_is_a_share_of_all_images_in_the_domain() -> None:
    assert [RULE.failures_of(count) for count in (20, 8, 5, 0)] == [4, 4, 2, 0]


def test_habits_come_from_images_that_several_raters_scored() -> None:
    assert rater_habits({"x": {"a": 1}}, ["b", "a"]) == dict.fromkeys("ab", Habit(0.0, UNKNOWN_NOISE))
    scores = {str(i): {"a": 2 + i % 2, "b": 3 + i % 2} for i in range(20)} | {"alone": {"a": 5}}
    habits = rater_habits(scores, ["a", "b", "c"])
    assert [habits[name].bias for name in "abc"] == pytest.approx([-0.5, 0.5, 0.0])
    assert habits["c"].noise == pytest.approx(habits["a"].noise)


def test_numbers_out_of_range_and_missing_raters_are_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        AdaptiveRule(size=4, failure_below=None, max_share=0.5, threshold=1.5)
    for raters in ((), ("r1", "r1")):
        with pytest.raises(ValueError, match="one or more different names"):
            Panel(IDS, raters, lambda _: [])
