from __future__ import annotations

import pytest

from tasks.core.sampling import (
    Rated,
    TestSetRule,
    ceil_share,
    cut_failures,
    draw_test_set,
    drawing_order,
    floor_share,
    largest_set,
)

ORDER = list("abcdefghijkl")
CLASSES = dict.fromkeys(ORDER, 1) | {"c": 2, "d": None, "e": None, "f": None}


def test_order_depends_on_the_set_of_ids_the_seed_and_the_round_only() -> None:
    order = drawing_order(ORDER, seed=3, round_number=1)
    assert sorted(order) == ORDER
    assert drawing_order(ORDER[::-1], seed=3, round_number=1) == order
    assert drawing_order(ORDER, seed=4, round_number=1) != order
    assert drawing_order(ORDER, seed=3, round_number=2) != order


def test_order_stays_what_it_was() -> None:
    """The order is recorded once and must come out the same on every machine."""
    assert "".join(drawing_order(ORDER, seed=0, round_number=1)) == "ahbldkegjicf"


def test_test_set_passes_over_full_classes_and_images_out_of_domain() -> None:
    rule = TestSetRule(size=5, max_share=1.0, max_per_class=2)
    # a, (b is out), c, d, e, (f: two without foreground), g, (h and on: two of class 1)
    assert draw_test_set(ORDER, main_classes=CLASSES, out_of_domain={"b"}, rule=rule) == [
        "a",
        "c",
        "d",
        "e",
        "g",
    ]


def test_test_set_is_a_share_of_all_candidates() -> None:
    rule = TestSetRule(size=30, max_share=1 / 3, max_per_class=100)
    assert draw_test_set(ORDER, main_classes=CLASSES, out_of_domain={"a"}, rule=rule) == ["b", "c", "d", "e"]


def test_test_set_may_fall_short_or_be_empty() -> None:
    rule = TestSetRule(size=30, max_share=1.0, max_per_class=1)
    assert draw_test_set(ORDER, main_classes=CLASSES, out_of_domain=set(), rule=rule) == ["a", "c", "d"]
    assert draw_test_set([], main_classes={}, out_of_domain=set(), rule=rule) == []


def test_images_without_an_entry_and_twins_are_refused() -> None:
    rule = TestSetRule(size=1, max_share=1.0, max_per_class=1)
    with pytest.raises(ValueError, match="got none for 'x'"):
        draw_test_set(["x"], main_classes={}, out_of_domain=set(), rule=rule)
    with pytest.raises(ValueError, match="'x' more than once"):
        draw_test_set(["x", "x"], main_classes={"x": 1}, out_of_domain=set(), rule=rule)


RATED = [
    Rated("a", 2.0, 0.3),
    Rated("b", 1.0, 0.1),
    Rated("c", 2.0, 0.9),
    Rated("d", 3.0, 0.9),
    Rated("e", 2.0, 0.3),
    Rated("f", 5.0, 0.9),
]


def test_failures_are_the_worst_first_with_ties_by_discrepancy_then_id() -> None:
    assert cut_failures(RATED, size=100, failure_below=None) == ["b", "c", "a", "e", "d", "f"]


def test_a_failure_is_below_the_bound() -> None:
    assert cut_failures(RATED, size=100, failure_below=3.0) == ["b", "c", "a", "e"]


def test_failures_are_at_most_a_number() -> None:
    assert cut_failures(RATED, size=3, failure_below=None) == ["b", "c", "a"]
    assert cut_failures(RATED, size=0, failure_below=None) == []
    assert cut_failures([], size=1, failure_below=None) == []


def test_a_set_is_at_most_a_share_and_a_number() -> None:
    assert [largest_set(count, 100, 0.5) for count in (6, 5, 0)] == [3, 2, 0]
    assert largest_set(6, 1, 0.5) == 1


@pytest.mark.parametrize(
    "bad", [Rated("a", float("nan"), 0.1), Rated("a", 0.5, 0.1), Rated("a", 1, float("nan"))]
)
def test_images_that_are_not_rated_are_refused(bad: Rated) -> None:
    with pytest.raises(ValueError, match=r"needs a mean opinion score of 1\.\.5"):
        cut_failures([bad], size=1, failure_below=None)


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.29, 29), (90, 1 / 3, 30), (89, 1 / 3, 29), (7, 1.0, 7), (1, 0.5, 0)],
)
def test_a_share_is_the_fraction_it_was_meant_to_be(count: int, share: float, expected: int) -> None:
    assert floor_share(count, share) == expected


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="max_share"):
        TestSetRule(size=1, max_share=1.1, max_per_class=1)
    with pytest.raises(ValueError, match="max_per_class"):
        TestSetRule(size=1, max_share=1.0, max_per_class=0)
    with pytest.raises(ValueError, match="size"):
        cut_failures([], size=-1, failure_below=None)
    with pytest.raises(ValueError, match="size"):
        largest_set(1, -1, 1.0)
    for share in (floor_share, ceil_share):
        with pytest.raises(ValueError, match=r"in 0\.\.1, got 1\.5"):
            share(1, 1.5)
    with pytest.raises(ValueError, match="seed"):
        drawing_order([], seed=-1, round_number=0)
