from __future__ import annotations

from collections import Counter

import pytest

from tasks.core.mask_shares import assign_authors, assign_checkers, assign_doubles

IDS = [f"image-{i}" for i in range(12)]
PEOPLE = ["ann", "bob", "cid"]


def test_two_people_who_draw_and_check_each_check_what_the_other_drew() -> None:
    authors = assign_authors(IDS, "failure", ["ann", "bob"])
    assert Counter(authors.values()) == {"ann": 6, "bob": 6}
    checkers = assign_checkers(authors, "failure", ["ann", "bob"])
    assert {(authors[i], checkers[i]) for i in IDS} == {("ann", ("bob",)), ("bob", ("ann",))}


def test_people_who_draw_and_check_each_check_about_as_many() -> None:
    checkers = assign_checkers(assign_authors(IDS, "test", PEOPLE), "test", PEOPLE)
    counts = Counter(people[0] for people in checkers.values())
    assert sum(counts.values()) == 12
    assert max(counts.values()) <= 5


def test_an_exact_share_is_drawn_twice() -> None:
    authors = assign_authors(IDS, "test", PEOPLE)
    assert assign_doubles(authors, "test", PEOPLE, 0.0) == {}
    assert len(assign_doubles(authors, "test", PEOPLE, 0.25)) == 3
    assert assign_doubles(authors, "test", PEOPLE, 1.0).keys() == set(IDS)
    assert assign_doubles(authors, "test", PEOPLE, 0.25) != assign_doubles(authors, "failure", PEOPLE, 0.25)


def test_sets_without_enough_people_are_refused() -> None:
    authors = assign_authors(IDS, "test", ["ann"])
    with pytest.raises(ValueError, match="`checkers` must hold somebody besides ann for image"):
        assign_checkers(authors, "test", ["ann"])
    with pytest.raises(ValueError, match="`annotators` must hold somebody besides ann for image"):
        assign_doubles(authors, "test", ["ann"], 1.0)
    with pytest.raises(ValueError, match="`annotators` must hold somebody, got nobody"):
        assign_authors(IDS, "test", [])
    with pytest.raises(ValueError, match=r"must be in 0..1, got 1.5"):
        assign_doubles(authors, "test", PEOPLE, 1.5)
    assert assign_checkers({}, "test", []) == {}
