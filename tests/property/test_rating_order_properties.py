"""The order of a rater's tasks, for any list of them: nothing lost, repeats after what they repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.core.rating_needs import GAP, RatingNeed, hidden_repeats, in_order


@st.composite
def lists_of_needs(draw: st.DrawFn) -> list[RatingNeed]:
    """Any part of a rater's needs: tasks may be answered or published already."""
    count = draw(st.integers(0, 40))
    first = [RatingNeed(f"i{n}", "m", draw(st.sampled_from(["x"]))) for n in range(count)]
    share = draw(st.sampled_from([0.0, 0.05, 0.3, 0.5, 1.0]))
    again = hidden_repeats(first, share=share, seed=draw(st.integers(0, 5)), round_number=1)
    left = draw(st.lists(st.sampled_from([*first, *again]), unique=True)) if count else []
    return draw(st.permutations(left))


@given(lists_of_needs())
def test_nothing_is_lost_and_the_order_of_the_list_does_not_matter(needs: list[RatingNeed]) -> None:
    order = in_order(needs)
    assert sorted(order, key=lambda need: need.key) == sorted(needs, key=lambda need: need.key)
    assert in_order(needs[::-1]) == order


@given(lists_of_needs())
def test_repeats_come_after_as_many_others_as_there_are(needs: list[RatingNeed]) -> None:
    place = {need: index for index, need in enumerate(in_order(needs))}
    twice = {need.image_id for need in needs if need.repeat}
    once = sum(need.repeat == 0 and need.image_id not in twice for need in needs)
    for need in needs:
        first = RatingNeed(need.image_id, "m", "x")
        if need.repeat and first in place:
            assert place[need] - place[first] > min(GAP, once)
