"""The stages of rating against a Label Studio in memory: what is asked, read, closed and late."""

from __future__ import annotations

import datetime
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from configs.logins import mark_removed
from tasks.answer_log import DELETED, VALID, append_to_log
from tasks.core.records import ANSWERS, RATED_ANSWERS, RATINGS
from tasks.errors import Waiting
from tasks.label_studio_projects import remade_projects
from tasks.pseudonyms import Pseudonyms
from tasks.rating_answers import late_answers
from tasks.rating_polls import poll_ratings
from tasks.ratings import collect_late_ratings
from tests.lib.fake_label_studio import FakeLabelStudio
from tests.lib.rating_rounds import RatingRound, rating_round

RATERS = ("ann", "ben")


@pytest.fixture
def campaign(tmp_path: Path, service: FakeLabelStudio) -> RatingRound:
    started = rating_round(tmp_path)
    started.request()
    return started


def test_everybody_is_asked_everything_once_and_tasks_do_not_tell_what_they_are(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    published = [task.key for rater in RATERS for task in service.project_of(rater).tasks.values()]
    assert sorted(published) == sorted(need.key for need in campaign.needs)
    assert len(published) == 2 * (6 + 1 + 1), "candidates, a repeat, a gold image"
    assert {
        frozenset(task.data) for project in service.projects.values() for task in project.tasks.values()
    } == {frozenset({"key", "image_id", "map_digest", "image", "map", "overlay"})}
    before = {number: list(project.tasks) for number, project in service.projects.items()}
    campaign.request()
    assert {number: list(project.tasks) for number, project in service.projects.items()} == before


def test_a_round_waits_for_all_and_closes_with_the_answers_that_counted(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    service.rate_all("ann", "2")
    assert campaign.collect() == Waiting("ratings", 8, 16, (("ben", 2),)), "ann has nothing to do"
    service.rate_all("ben", "4")

    ratings = campaign.closed()

    store = campaign.round.open_store()
    rows = store.rows(ratings, RATINGS)
    assert [row["mean_opinion_score"] for row in rows] == [3.0] * 6
    used = store.rows(ratings, RATED_ANSWERS)
    assert sum(row["counts"] for row in used) == 12
    assert len(used) == 16
    assert all(row["annotation_id"] and row["submitted_at"] for row in used)


def test_repeats_and_gold_do_not_move_the_mean_opinion_score(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    asked = set(campaign.candidates)
    for need in campaign.needs:
        service.rate(need, "4" if need in asked else "1")
    rows = campaign.round.open_store().rows(campaign.closed(), RATINGS)
    assert {row["mean_opinion_score"] for row in rows} == {4.0}
    assert len(rows) == 6, "gold images are no candidates"


def test_a_second_look_asks_from_the_newest_answer_on(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    campaign.collect()
    newest = service.rate(campaign.needs[0], "3").updated_at
    campaign.collect()
    service.asked_since.clear()
    campaign.collect()
    assert service.asked_since == [newest, None], "ann has answered, ben has not"


def test_an_edit_within_the_overlap_is_seen(campaign: RatingRound, service: FakeLabelStudio) -> None:
    need = campaign.candidates[0]
    service.rate(need, "3")
    campaign.collect()
    service.rate(need, "5")
    campaign.collect()
    assert [row["score"] for row in campaign.log(VALID)] == [3, 5]
    for rater in RATERS:
        service.rate_all(rater)
    assert campaign.rated()[need]["score"] == 5


def test_answers_that_the_log_lacks_are_read_before_closing(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    """An answer with a time from before the last look: the server was put back, or its clock was."""
    for rater in RATERS:
        service.rate_all(rater)
    poll_ratings(campaign.round, campaign.settings)  # killed after that
    answer = service.rate(campaign.candidates_of("ann")[0], "1")
    stale = answer.updated_at - datetime.timedelta(hours=1)
    project = service.project_of("ann")
    project.answers.pop(answer.annotation_id)
    project.answers[99] = replace(answer, annotation_id=99, updated_at=stale)

    campaign.closed()

    assert 99 in {row["annotation_id"] for row in campaign.log(VALID)}


def test_a_deleted_answer_is_noted_and_still_counts(campaign: RatingRound, service: FakeLabelStudio) -> None:
    need = campaign.candidates[0]
    answer = service.rate(need, "5")
    campaign.collect()
    del service.project_of(need.rater).answers[answer.annotation_id]
    del service.project_of(need.rater).tasks[need.key]
    for rater in RATERS:
        service.rate_all(rater)

    assert campaign.rated()[need]["score"] == 5
    assert [row["annotation_id"] for row in campaign.log(DELETED)] == [answer.annotation_id]


def test_a_rater_who_has_finished_may_be_removed(campaign: RatingRound, service: FakeLabelStudio) -> None:
    service.rate_all("ann")
    mark_removed(campaign.settings, "ann")
    assert campaign.request() == {"ben": 2}
    service.rate_all("ben")
    campaign.closed()


def test_what_a_rater_did_is_read_who_was_replaced_since(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    service.rate_all("ann")
    ratings = campaign.round.campaign.ratings.model_copy(update={"raters": ("cleo", "ben")})
    changed = replace(
        campaign.round, campaign=campaign.round.campaign.model_copy(update={"ratings": ratings})
    )
    poll_ratings(changed, campaign.settings)
    assert {row["rater"] for row in campaign.log(VALID)} == {"ann"}


def test_a_deleted_task_is_published_again_unless_it_was_answered(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    done, open_ = campaign.candidates_of("ann")[:2]
    service.rate(done, "3")
    campaign.collect()
    tasks = service.project_of("ann").tasks
    del tasks[done.key], tasks[open_.key]

    campaign.request()

    assert open_.key in tasks
    assert done.key not in tasks


def test_a_deleted_project_is_made_anew_and_seen(
    campaign: RatingRound, service: FakeLabelStudio, caplog: pytest.LogCaptureFixture
) -> None:
    need = campaign.candidates_of("ann")[0]
    service.rate(need, "5")
    campaign.collect()
    del service.projects[1]

    with caplog.at_level(logging.WARNING):
        campaign.request()

    called = Pseudonyms(campaign.round.open_store()).of("ann")
    assert f"project 1 (rating, {called}, round 1) is gone" in caplog.text
    (remade,) = remade_projects(campaign.round)
    assert (remade.work, remade.person, remade.numbers[0]) == ("rating", "ann", 1)
    assert need.key not in service.project_of("ann").tasks, "its answer is in the log"
    for rater in RATERS:
        service.rate_all(rater)
    campaign.closed()
    assert len(campaign.log(DELETED)) == 1


def test_an_answer_changed_by_somebody_else_is_set_aside_and_the_raters_own_counts(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    need = campaign.candidates[0]
    service.rate(need, "5")
    campaign.collect()
    service.rate(need, "1", by=77)
    for rater in RATERS:
        service.rate_all(rater)

    assert campaign.rated()[need]["score"] == 5
    assert [row["state"] for row in campaign.log() if row["state"].startswith("foreign")] == [
        "foreign: submitted by user 1, last changed by user 77, not the project's rater"
    ]


def test_a_late_answer_is_reported_and_changes_nothing(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    for rater in RATERS:
        service.rate_all(rater)
    ratings = campaign.closed()
    assert late_answers(campaign.round) == []
    need = campaign.candidates[0]
    service.clock += datetime.timedelta(days=7)
    service.rate(need, "1")

    collect_late_ratings.fn(campaign.round, campaign.settings)

    (late,) = late_answers(campaign.round)
    assert (late["image_id"], late["rater"], late["score"]) == (need.image_id, need.rater, 1)
    assert campaign.closed() == ratings
    assert campaign.request() == {}


def test_late_answers_of_an_open_round_are_not_looked_for(
    campaign: RatingRound, service: FakeLabelStudio
) -> None:
    collect_late_ratings.fn(campaign.round, campaign.settings)
    assert service.asked_since == []


def test_a_label_studio_that_is_away_does_not_stop_a_run_whose_ratings_are_closed(
    campaign: RatingRound,
    service: FakeLabelStudio,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for rater in RATERS:
        service.rate_all(rater)
    campaign.closed()
    monkeypatch.undo()

    with caplog.at_level(logging.WARNING):
        collect_late_ratings.fn(campaign.round, campaign.settings)

    assert "Late ratings of round 1 could not be looked for" in caplog.text


def test_tasks_that_are_not_ours_are_left_alone(campaign: RatingRound, service: FakeLabelStudio) -> None:
    need = campaign.candidates[0]
    answer = service.rate(need, "3")
    answers = service.project_of(need.rater).answers
    answers[50] = replace(answer, annotation_id=50, data={"text": "somebody's own"})
    answers[51] = replace(answer, annotation_id=51, data={**answer.data, "image_id": "another"})
    campaign.collect()
    assert [row["annotation_id"] for row in campaign.log()] == [answer.annotation_id]


def test_what_was_rated_in_an_earlier_round_is_not_asked_again(
    tmp_path: Path, service: FakeLabelStudio
) -> None:
    second = rating_round(tmp_path)
    need = second.candidates[0]
    row = {
        "image_id": need.image_id, "map_digest": need.map_digest, "rater": need.rater, "repeat": 0,
        "annotation_id": 5, "score": 2, "out_of_domain": False, "seconds": 1.0,
        "submitted_at": "2025-01-01T10:00:00+00:00", "state": "valid", "campaign": "small", "round": 0,
    }  # fmt: skip
    append_to_log(second.round, ANSWERS, [row])
    second.request()
    assert need.key not in service.project_of(need.rater).tasks
    assert second.collect() == Waiting("ratings", 1, 16, (("ann", 1), ("ben", 2)))
