from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.core.ranking import (
    Candidate,
    RankingInput,
    RankingRule,
    Shortfall,
    select_candidates,
    shortfalls,
    unique_images,
    upper_bound,
)

NAN = float("nan")

# Six images of 100 px; class 0 is the background, class 1 has the window .10 to .30, class 2 has none.
DATA = RankingInput(
    image_ids=("a", "b", "c", "d", "e", "f"),
    competitors=("g", "h"),
    discrepancies=np.array([[0.5, 0.5, 0.9, 0.2, 0.7, NAN], [0.1, 0.0, 0.3, 0.4, 0.4, 0.6]]),
    target_areas=np.array([[70, 10, 20], [70, 30, 0], [60, 31, 9], [100, 0, 0], [75, 25, 0], [80, 15, 5]]),
    competitor_areas=np.array(
        [
            [[50, 20, 30], [100, 0, 0], [70, 30, 0], [88, 12, 0], [91, 9, 0], [60, 0, 40]],
            [[90, 10, 0], [100, 0, 0], [100, 0, 0], [100, 0, 0], [100, 0, 0], [100, 0, 0]],
        ]
    ),
    pixels=np.full(6, 100),
    groups=("s1", "s1", "s2", "s2", "s1", "s3"),
)
RULE = RankingRule(
    quota=2, classes=(1, 2), windows={1: (0.10, 0.30), 2: None}, max_per_group=None, excluded=frozenset()
)


def rows(candidates: list[Candidate]) -> list[tuple[Any, ...]]:
    return [(c.competitor, c.class_index, c.side, c.rank, c.image_id, c.discrepancy) for c in candidates]


def test_a_whole_selection_computed_by_hand() -> None:
    expected = [
        # c has .31 of class 1, d has none, f is undefined; a and b tie and a comes first
        ("g", 1, "target", 1, "e", 0.7),
        ("g", 1, "target", 2, "a", 0.5),
        # e has .09 of class 1 in g's map; d (.2) is third
        ("g", 1, "competitor", 1, "c", 0.9),
        ("g", 1, "competitor", 2, "a", 0.5),
        ("g", 2, "target", 1, "c", 0.9),
        ("g", 2, "target", 2, "a", 0.5),
        # f is undefined
        ("g", 2, "competitor", 1, "a", 0.5),
        ("h", 1, "target", 1, "f", 0.6),
        ("h", 1, "target", 2, "e", 0.4),
        ("h", 1, "competitor", 1, "a", 0.1),
        ("h", 2, "target", 1, "f", 0.6),
        ("h", 2, "target", 2, "c", 0.3),
        # h never predicts class 2
    ]
    chosen = select_candidates(DATA, RULE)
    assert rows(chosen) == expected
    assert unique_images(chosen) == ["a", "c", "e", "f"]


def test_the_area_is_that_of_the_map_that_forms_the_subgroup() -> None:
    areas = {
        (c.class_index, c.side): c.area_fraction for c in select_candidates(DATA, RULE) if c.image_id == "a"
    }
    assert areas[(1, "target")] == 0.10
    assert areas[(2, "target")] == 0.20
    assert areas[(2, "competitor")] == 0.30


def test_short_and_empty_subgroups_are_reported() -> None:
    assert shortfalls(select_candidates(DATA, RULE), DATA, RULE) == [
        Shortfall("g", "competitor", 2, 2, 1),
        Shortfall("h", "competitor", 1, 2, 1),
        Shortfall("h", "competitor", 2, 2, 0),
    ]


def test_a_cap_per_group_goes_on_down_the_list() -> None:
    chosen = rows(select_candidates(DATA, replace(RULE, max_per_group=1)))
    # a is of the same scene as e, and so is b; f is undefined: nobody is left
    assert [r for r in chosen if r[:3] == ("g", 1, "target")] == [("g", 1, "target", 1, "e", 0.7)]
    # c then d are of one scene, so a follows c as before; for h, f (s3) then e (s1)
    assert [r[4] for r in chosen if r[:3] == ("g", 1, "competitor")] == ["c", "a"]
    assert [r[4] for r in chosen if r[:3] == ("h", 1, "target")] == ["f", "e"]


def test_excluded_images_make_room_for_the_next() -> None:
    chosen = rows(select_candidates(DATA, replace(RULE, excluded=frozenset({"e", "c", "elsewhere"}))))
    assert [r[4] for r in chosen if r[:3] == ("g", 1, "target")] == ["a", "b"]
    assert [r[4] for r in chosen if r[:3] == ("g", 1, "competitor")] == ["a", "d"]


def test_ties_go_to_the_lower_id_whatever_the_order() -> None:
    ids = ("b", "a", "B", "a\0", "aa")
    data = RankingInput(
        image_ids=ids,
        competitors=("g",),
        discrepancies=np.full((1, 5), 0.5),
        target_areas=np.full((5, 1), 4),
        competitor_areas=np.zeros((1, 5, 1), int),
        pixels=np.full(5, 4),
        groups=None,
    )
    rule = RankingRule(quota=5, classes=(0,), windows={0: None}, max_per_group=None, excluded=frozenset())
    assert [c.image_id for c in select_candidates(data, rule)] == ["B", "a", "a\0", "aa", "b"]


def test_small_discrepancies_are_ranked_as_numbers_not_as_text() -> None:
    data = replace(DATA, discrepancies=np.array([[3e-7, 0.05, 0.0, 0.0, 1e-5, 0.5], [0.0] * 6]))
    chosen = select_candidates(data, replace(RULE, quota=4))
    assert [c.image_id for c in chosen if (c.competitor, c.class_index, c.side) == ("g", 1, "target")] == [
        "f", "b", "e", "a",
    ]  # fmt: skip


def test_no_images_and_no_competitors_select_nothing() -> None:
    empty = RankingInput((), ("g",), np.zeros((1, 0)), np.zeros((0, 3), int), np.zeros((1, 0, 3), int),
                         np.zeros(0, int), None)  # fmt: skip
    assert select_candidates(empty, RULE) == []
    assert len(shortfalls([], empty, RULE)) == 4
    alone = replace(
        DATA, competitors=(), discrepancies=np.zeros((0, 6)), competitor_areas=np.zeros((0, 6, 3), int)
    )
    assert select_candidates(alone, RULE) == []


def test_upper_bound_of_the_paper() -> None:
    assert upper_bound(5, 20, 25) == 5000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_ids": ("a", "a", "c", "d", "e", "f")}, "`image_ids` must be unique, got 'a'"),
        ({"competitors": ("g", "g")}, "`competitors` must be unique"),
        ({"discrepancies": np.zeros((2, 5))}, r"`discrepancies` must have shape \(2, 6\), got \(2, 5\)"),
        ({"discrepancies": np.full((2, 6), 1.5)}, r"`discrepancies` must be in 0\.\.1"),
        ({"target_areas": np.zeros(6, int)}, r"`target_areas` must be \(N, C\)"),
        ({"competitor_areas": np.zeros((2, 6, 4), int)}, "`competitor_areas` must have shape"),
        ({"pixels": np.zeros(6, int)}, "`pixels` must be at least 1"),
        ({"pixels": np.full(6, 99)}, "`target_areas` must be pixel counts"),
        ({"groups": ("s",)}, "`groups` must have shape"),
    ],
)
def test_data_that_does_not_fit_together_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(DATA, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quota": 0}, "`quota`"),
        ({"max_per_group": 0}, "`max_per_group`"),
        ({"classes": (1, 1)}, "`classes` must be unique"),
        ({"windows": {1: None}}, r"`windows` needs an entry for every class, got none for \[2\]"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RULE, **change)


def test_a_class_that_the_maps_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`classes` must be in 0\.\.2, got \[3\]"):
        select_candidates(DATA, replace(RULE, classes=(3,), windows={3: None}))


def test_a_cap_per_group_without_groups_is_refused() -> None:
    with pytest.raises(ValueError, match="`max_per_group` needs `groups`"):
        select_candidates(replace(DATA, groups=None), replace(RULE, max_per_group=1))
