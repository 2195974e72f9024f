"""What a rater is shown: keys, hidden repeats, and an own order with repeats well after what they repeat."""

from __future__ import annotations

import pytest

from tasks.core.rating_needs import (
    GAP,
    RatingNeed,
    hidden_repeats,
    in_order,
    need_of_task,
)


def needs(count: int, rater: str = "x") -> list[RatingNeed]:
    return [RatingNeed(f"image-{i}", "m", rater) for i in range(count)]


def repeats(first: list[RatingNeed], share: float, **changes: int) -> list[RatingNeed]:
    return hidden_repeats(first, share=share, **{"seed": 3, "round_number": 1, **changes})


def test_the_key_of_a_need_is_the_same_in_every_run() -> None:
    """Written down: with other keys, everything that is with people now would be asked again."""
    assert RatingNeed("a", "m", "x").key == "99b37fcd702c0d8708e346288396613a"


def test_a_task_is_known_by_its_key_alone() -> None:
    need = RatingNeed("a", "m", "x", repeat=1)
    data = {"key": need.key, "image_id": "a", "map_digest": "m"}
    assert need_of_task(data, "x") == need
    assert need_of_task(data, "y") is None, "a task of another rater's project"
    assert need_of_task(data | {"image_id": "b"}, "x") is None, "its data were changed"
    assert need_of_task({"text": "somebody's own task"}, "x") is None


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(100, 0.05, 5), (12, 0.05, 1), (1, 0.5, 0), (0, 0.5, 0), (10, 0.0, 0)]
)
def test_the_number_of_repeats_is_rounded_up(count: int, share: float, expected: int) -> None:
    assert len(repeats(needs(count), share)) == expected


def test_repeats_are_drawn_by_seed_round_and_rater() -> None:
    first = needs(40)
    chosen = repeats(first, 0.1)
    assert chosen == repeats(first[::-1], 0.1)
    assert set(chosen) < set(repeats(first, 0.2)), "with a larger share, the same and more"
    assert {need.repeat for need in chosen} == {1}
    others = [
        repeats(first, 0.1, seed=4),
        repeats(first, 0.1, round_number=2),
        repeats(needs(40, "y"), 0.1),
    ]
    images = {need.image_id for need in chosen}
    assert all({need.image_id for need in other} != images for other in others)


def test_every_rater_has_another_order() -> None:
    orders = [[need.image_id for need in in_order(needs(20, rater))] for rater in ("x", "y")]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_ten_tasks_stand_between_an_image_and_its_repeat() -> None:
    first = needs(60)
    order = in_order([*first, *repeats(first, 0.5)])
    place = {need: index for index, need in enumerate(order)}
    distances = [place[need] - place[RatingNeed(need.image_id, "m", "x")] for need in order if need.repeat]
    assert len(distances) == 30
    assert min(distances) > GAP


def test_a_short_list_has_as_many_between_as_there_are() -> None:
    first = needs(3)
    again = RatingNeed("image-1", "m", "x", repeat=1)
    order = in_order([*first, again])
    assert order.index(again) - order.index(first[1]) == 3


def test_the_repeat_of_what_was_answered_before_comes_at_any_place() -> None:
    again = RatingNeed("image-1", "m", "x", repeat=1)
    left = [need for need in needs(5) if need.image_id != "image-1"]
    assert sorted(in_order([again, *left]), key=lambda n: n.key) == sorted(
        [again, *left], key=lambda n: n.key
    )
    assert in_order([again]) == [again]
