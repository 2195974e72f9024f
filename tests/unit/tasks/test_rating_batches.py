"""Adaptive rating: batch by batch to a fixpoint, T as with the full panel, S from images with all raters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.core.digests import digest_of
from tasks.core.rating_needs import RatingNeed
from tasks.core.records import FAILURES, RATINGS
from tasks.decisions import Decision, note_decision
from tasks.errors import Waiting, WaitingForWord
from tasks.failures import cut_round_failures
from tasks.rating_batches import needs_so_far
from tasks.rounds import require
from tasks.test_sets import draw_round_test_set
from tests.lib.fake_label_studio import FakeLabelStudio
from tests.lib.rating_rounds import RatingRound, rating_round

RATERS = ("ann", "ben", "cleo")
N_IMAGES = 60

Answer = Callable[[RatingNeed, int], str]


def round_of_raters(root: Path, *, adaptive: bool, failures: dict[str, Any] | None = None) -> RatingRound:
    """Sixty candidates; T has at most 6 of them, S at most 5."""
    ratings = {"raters": list(RATERS), "adaptive": adaptive}
    return rating_round(
        root,
        n_images=N_IMAGES,
        ratings=ratings,
        test_set={"size": 6, "max_per_class": 60},
        failures=failures or {"size": 5},
    )


def needed(rating: RatingRound) -> list[RatingNeed]:
    """What is asked for by now."""
    return needs_so_far(rating.round, rating.sources.candidates, rating.sources.plan)


def score_of(need: RatingNeed, salt: int = 0) -> str:
    """What a rater says: most maps are good, some bad; of a few, one rater says out of domain."""
    chance = int(digest_of([salt, need.image_id]), 16)
    if chance % 9 == 8 and need.rater == RATERS[chance // 9 % 3]:
        return "ood"
    level = 1 if chance % 9 < 2 else 4
    return str(level + chance // 27 % 2 * (need.rater == "ann"))


def answer_everything(
    rating: RatingRound, service: FakeLabelStudio, salt: int = 0, answer: Answer = score_of
) -> int:
    """People answer whatever is published until nothing new comes; how many batches there were."""
    batches = 0
    while True:
        rating.request()
        open_ = [need for need in needed(rating) if not _is_done(service, need)]
        if not open_:
            return batches
        batches += 1
        for need in open_:
            service.rate(need, answer(need, salt))
        rating.collect()


def _is_done(service: FakeLabelStudio, need: RatingNeed) -> bool:
    return any(a.key == need.key for a in service.project_of(need.rater).answers.values())


def sets(rating: RatingRound) -> tuple[str, list[str]]:
    """Identity of T, and the images of S."""
    candidates, ratings = require(rating.round, "candidates"), rating.closed()
    test_set = draw_round_test_set.fn(rating.round, candidates, ratings)
    failures = cut_round_failures.fn(rating.round, candidates, ratings, test_set)
    store = rating.round.open_store()
    return test_set.digest, [row["image_id"] for row in store.rows(failures, FAILURES)]


def test_people_are_asked_batch_by_batch_and_less_in_all(tmp_path: Path, service: FakeLabelStudio) -> None:
    rating = round_of_raters(tmp_path, adaptive=True)
    rating.request()
    first = needed(rating)
    assert len(first) < len(rating.needs)
    assert rating.collect() == Waiting("ratings", 0, len(first), (("ann", 1), ("ben", 2), ("cleo", 3)))

    assert answer_everything(rating, service) > 1

    asked = needed(rating)
    assert len(first) < len(asked) < len(rating.needs)
    rows = rating.round.open_store().rows(rating.closed(), RATINGS)
    assert len(rows) == N_IMAGES, "every candidate has a rating"
    assert {row["stopped_early"] for row in rows if row["n_ratings"] < 3} == {True}
    assert {row["stopped_early"] for row in rows if row["n_ratings"] == 3} == {False}


def test_nothing_is_asked_twice_and_nothing_is_taken_back(tmp_path: Path, service: FakeLabelStudio) -> None:
    rating = round_of_raters(tmp_path, adaptive=True)
    rating.request()
    asked = set(needed(rating))
    for need in sorted(asked, key=lambda need: need.key):
        service.rate(need, score_of(need))
        rating.collect()
        now = set(needed(rating))
        assert asked <= now
    assert asked < now, "the second batch"
    answer_everything(rating, service)
    assert all(len(p.tasks) == len(p.answers) for p in service.projects.values())


@pytest.mark.parametrize("salt", range(4))
def test_the_test_set_is_that_of_the_full_panel_and_failures_have_all_raters(
    tmp_path: Path, service: FakeLabelStudio, salt: int
) -> None:
    adaptive = round_of_raters(tmp_path / "adaptive", adaptive=True)
    answer_everything(adaptive, service, salt)
    t_adaptive, s_adaptive = sets(adaptive)
    service.projects.clear()
    full = round_of_raters(tmp_path / "full", adaptive=False)
    answer_everything(full, service, salt)
    t_full, s_full = sets(full)

    assert t_adaptive == t_full
    assert len(s_adaptive) == 5
    assert len(s_full) == 5
    store = adaptive.round.open_store()
    n_ratings = {r["image_id"]: r["n_ratings"] for r in store.rows(adaptive.closed(), RATINGS)}
    assert {n_ratings[image_id] for image_id in s_adaptive} == {3}


def test_images_that_a_disregarded_declaration_stopped_are_rated_on(
    tmp_path: Path, service: FakeLabelStudio
) -> None:
    rating = round_of_raters(tmp_path, adaptive=True)
    rating.request()
    for need in needed(rating):
        service.rate(need, "ood" if need.rater == "ben" else "1")
    while isinstance(waiting := rating.collect(), Waiting) and not isinstance(waiting, WaitingForWord):
        rating.request()
        for need in needed(rating):
            if not _is_done(service, need):
                service.rate(need, "1")
    assert isinstance(waiting, WaitingForWord)
    asked = set(needed(rating))

    note_decision(rating.round, Decision(1, "ben", "disregard", "owner", "2026-01-02T10:00:00+00:00"))

    assert isinstance(rating.collect(), Waiting)
    others = {need.image_id for need in set(needed(rating)) - asked if need.rater != "ben"}
    assert {need.image_id for need in asked if need.repeat == 0} >= others
    assert others
    answer_everything(rating, service)
    rows = rating.round.open_store().rows(rating.closed(), RATINGS)
    assert not any(row["stopped_early"] for row in rows if row["image_id"] in sets(rating)[1])


@pytest.mark.parametrize("salt", [2, 3, 4])
def test_a_disregarded_declaration_leaves_the_failures_those_of_the_full_panel(
    tmp_path: Path, service: FakeLabelStudio, salt: int
) -> None:
    """S has room for a share of the images in the domain, so what is in the domain decides how many."""

    def answer(need: RatingNeed, salt: int) -> str:
        level = 1 + int(digest_of([salt, need.image_id]), 16) % 5
        return "ood" if need.rater == "ben" and level > 3 else str(level)

    found = []
    for adaptive in (True, False):
        service.projects.clear()
        failures = {"size": N_IMAGES, "max_share": 0.5, "failure_below": None}
        rating = round_of_raters(tmp_path / str(adaptive), adaptive=adaptive, failures=failures)
        answer_everything(rating, service, salt, answer)
        assert isinstance(rating.collect(), WaitingForWord)
        note_decision(rating.round, Decision(1, "ben", "disregard", "owner", "2026-01-02T10:00:00+00:00"))
        answer_everything(rating, service, salt, answer)
        found.append(sets(rating))
        if adaptive:
            assert len(needed(rating)) < len(rating.needs)
    assert found[0] == found[1]
    assert len(found[0][1]) == 27


@pytest.mark.parametrize("adaptive", [False, True])
def test_repeats_come_with_what_they_repeat(tmp_path: Path, service: FakeLabelStudio, adaptive: bool) -> None:
    rating = round_of_raters(tmp_path, adaptive=adaptive)
    rating.request()
    asked = needed(rating)
    first = {(need.image_id, need.rater) for need in asked if need.repeat == 0}
    repeats = {(need.image_id, need.rater) for need in asked if need.repeat}
    assert repeats
    assert repeats <= first
