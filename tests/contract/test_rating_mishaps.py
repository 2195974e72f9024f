"""What people and servers do to a round of rating, on the real Label Studio: no answer is lost by it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from configs.settings import Settings
from flows.people import remove_person
from infra import processes
from infra.local import services_up
from tasks.answer_log import DELETED, VALID
from tasks.errors import ServiceError, TerminalServiceError, Waiting
from tasks.label_studio_projects import remade_projects
from tasks.pseudonyms import Pseudonyms
from tasks.rating_answers import late_answers
from tasks.rating_polls import poll_ratings, reconcile_ratings
from tasks.ratings import collect_late_ratings
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_records import ProjectSpec, Task
from tasks.services.label_studio_screens import local_file_url, rating_screen
from tasks.services.label_studio_session import csrf_headers
from tests.lib.played_rounds import mined_round
from tests.lib.rater_sessions import Rater, rater_session
from tests.lib.rating_rounds import RatingRound

pytestmark = pytest.mark.services


@pytest.fixture
def rating(services: Settings, tmp_path: Path) -> RatingRound:
    """A round that was asked of two raters; a name of its own keeps its projects apart."""
    prefix = f"t{uuid.uuid4().hex[:6]}"
    raters = [f"{prefix}-ann", f"{prefix}-ben"]
    ratings = {"raters": raters, "repeat_share": 0.2, "gold_share": 0.2}
    return RatingRound(mined_round(tmp_path, name=prefix, ratings=ratings), services)


@pytest.fixture
def people(rating: RatingRound, services: Settings) -> Iterator[Callable[[int], Rater]]:
    """The first or second rater, at their browser; asks them first."""
    projects = rating.request()
    raters = rating.round.campaign.ratings.raters
    with ExitStack() as stack:

        def rater(index: int) -> Rater:
            name = raters[index]
            return stack.enter_context(rater_session(services, name, projects[name]))

        yield rater


def _rate_the_rest(rating: RatingRound, people: Callable[[int], Rater], choice: str = "3") -> None:
    """Everybody answers what is open, in the project there is now."""
    projects = rating.request()
    waiting = rating.collect()
    assert isinstance(waiting, Waiting)
    given = {(row["image_id"], row["rater"], row["repeat"]) for row in rating.log(VALID)}
    for index, name in enumerate(rating.round.campaign.ratings.raters):
        rater = Rater(people(index)._browser, projects[name])
        for need in rating.needs:
            if need.rater == name and (need.image_id, name, need.repeat) not in given:
                rater.rate(need, choice)


def test_deleted_tasks_come_back_and_deleted_answers_still_count(
    rating: RatingRound, people: Callable[[int], Rater]
) -> None:
    ann = people(0)
    answered, deleted_with_answer, open_ = rating.candidates_of(rating.round.campaign.ratings.raters[0])[:3]
    first = ann.rate(answered, "5")
    second = ann.rate(deleted_with_answer, "4")
    rating.collect()
    tasks = ann.task_ids()
    ann.delete("annotations", first)
    ann.delete("tasks", tasks[deleted_with_answer.key])
    ann.delete("tasks", tasks[open_.key])

    rating.request()

    assert open_.key in ann.task_ids()
    assert deleted_with_answer.key not in ann.task_ids(), "its answer is in the log"
    _rate_the_rest(rating, people)
    rated = rating.rated()
    assert (rated[answered]["score"], rated[deleted_with_answer]["score"], rated[open_]["score"]) == (5, 4, 3)
    assert {row["annotation_id"] for row in rating.log(DELETED)} == {first, second}


def test_a_deleted_project_is_made_anew_without_what_was_answered(
    rating: RatingRound, people: Callable[[int], Rater], caplog: pytest.LogCaptureFixture
) -> None:
    ann = people(0)
    name = rating.round.campaign.ratings.raters[0]
    need = rating.candidates_of(name)[0]
    ann.rate(need, "5")
    rating.collect()
    ann.delete("projects", ann.project_id)

    with caplog.at_level(logging.WARNING):
        projects = rating.request()

    assert projects[name] != ann.project_id
    called = Pseudonyms(rating.round.open_store()).of(name)
    assert f"project {ann.project_id} (rating, {called}, round 1) is gone" in caplog.text
    assert [p.numbers for p in remade_projects(rating.round)] == [(ann.project_id, projects[name])]
    _rate_the_rest(rating, people)
    assert rating.rated()[need]["score"] == 5


def test_a_removed_rater_s_last_answers_count_and_none_is_taken_for_deleted(
    rating: RatingRound, people: Callable[[int], Rater], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = rating.round.campaign.ratings.raters[0]
    before, after = rating.candidates_of(name)[:2]
    people(0).rate(before, "5")
    rating.collect()
    people(0).rate(after, "4")

    monkeypatch.setenv("MADLOOP_HOME", str(rating.settings.home))
    remove_person(name, force=True)

    poll_ratings(rating.round, rating.settings)
    reconcile_ratings(rating.round, rating.settings)
    given = {row["image_id"]: row["score"] for row in rating.log(VALID)}
    assert given == {before.image_id: 5, after.image_id: 4}
    assert len(rating.log()) == 2


def test_answers_in_anothers_name_or_changed_by_another_are_set_aside(
    rating: RatingRound, people: Callable[[int], Rater]
) -> None:
    ann, ben = people(0), people(1)
    first, second, third = rating.candidates_of(rating.round.campaign.ratings.raters[0])[:3]
    own = ann.rate(first, "5")
    rating.collect()
    Rater(ben._browser, ann.project_id).change(own, "1")
    author = ann._browser.get("/api/current-user/whoami").json()["id"]
    Rater(ben._browser, ann.project_id).rate(second, "1", completed_by=author)  # ben posts as ann
    Rater(ben._browser, ann.project_id).rate(third, "1")  # both have the task open, ben is first
    ann.rate(third, "4")

    _rate_the_rest(rating, people)

    rated = rating.rated()
    assert (rated[first]["score"], rated[second]["score"], rated[third]["score"]) == (5, 3, 4)
    foreign = [row for row in rating.log() if row["state"].startswith("foreign: submitted by user")]
    assert {row["image_id"] for row in foreign} == {first.image_id, second.image_id, third.image_id}


def test_an_answer_that_says_nothing_is_listed_and_the_next_one_counts(
    rating: RatingRound, people: Callable[[int], Rater]
) -> None:
    ann = people(0)
    empty, skipped = rating.candidates_of(rating.round.campaign.ratings.raters[0])[:2]
    ann.rate(empty, None)
    ann.rate(skipped, None, was_cancelled=True)
    assert rating.collect() == Waiting("ratings", 0, len(rating.needs), tuple(rating.request().items()))
    assert sorted(row["state"] for row in rating.log()) == ["empty", "skipped"]
    _rate_the_rest(rating, people)
    assert rating.rated()[empty]["score"] == 3


def test_an_edit_after_closing_is_late(rating: RatingRound, people: Callable[[int], Rater]) -> None:
    ann = people(0)
    need = rating.candidates_of(rating.round.campaign.ratings.raters[0])[0]
    answer = ann.rate(need, "5")
    _rate_the_rest(rating, people)
    ratings = rating.closed()
    ann.change(answer, "1")

    collect_late_ratings.fn(rating.round, rating.settings)

    assert [(row["annotation_id"], row["score"]) for row in late_answers(rating.round)] == [(answer, 1)]
    assert rating.closed() == ratings
    assert rating.rated()[need]["score"] == 5


def test_a_token_that_was_revoked_is_terminal_and_says_the_way_out(
    rating: RatingRound, people: Callable[[int], Rater], services: Settings
) -> None:
    """The token of a rater's own account, so that nobody else loses theirs."""
    browser = people(0)._browser
    token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
    with LabelStudioService(services.require("label_studio"), token) as service:
        project = people(0).project_id
        service.annotation_ids(project)
        browser.post("/api/current-user/reset-token/", headers=csrf_headers(browser)).raise_for_status()
        with pytest.raises(TerminalServiceError, match=r"401.*MADLOOP_LABEL_STUDIO_TOKEN"):
            service.annotation_ids(project)


def test_a_server_that_restarts_during_an_import_has_every_task_once(
    services: Settings, label_studio_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"t{uuid.uuid4().hex[:6]}"
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    access = services.require_label_studio()
    addresses = {name: local_file_url(f"{prefix}/{name}.png") for name in ("image", "map", "overlay")}
    tasks = [Task(f"{prefix}-{n:05d}", addresses) for n in range(6000)]
    spec = ProjectSpec(f"{prefix} r1 rating ann", rating_screen([("road", "#804080")]), "", "")
    broken: list[ServiceError] = []

    def publish() -> None:
        with LabelStudioService(access.url, access.token.get_secret_value()) as importing:
            try:
                importing.publish_tasks(project_id, tasks)
            except ServiceError as error:
                broken.append(error)

    with LabelStudioService(access.url, access.token.get_secret_value()) as service:
        project_id = service.ensure_project(spec)
        work = threading.Thread(target=publish)
        work.start()
        while service.progress(project_id).total == 0 and work.is_alive():
            time.sleep(0.02)
    _kill_label_studio(services)
    work.join()
    services_up(services, on_event=lambda _: None, parent_pid=os.getpid())

    with LabelStudioService(access.url, access.token.get_secret_value()) as service:
        before = service.progress(project_id).total
        report = service.publish_tasks(project_id, tasks)
        assert 0 < before < 6000, "killed in the middle"
        assert len(broken) == 1
        assert service.progress(project_id).total == 6000
        assert report.created == 6000 - report.existing
        keys = [task.key for task in service._listed(project_id)]
        assert sorted(keys) == [task.key for task in tasks]


def _kill_label_studio(services: Settings) -> None:
    """As a crash would; only what this test session started."""
    record = processes.read_record(services.services / "label_studio")
    assert record is not None
    for member in record.members():
        os.kill(member.pid, signal.SIGKILL)
    while record.members():  # the kernel takes a moment
        time.sleep(0.05)
