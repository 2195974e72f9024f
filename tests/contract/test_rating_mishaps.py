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
from typing import Any

import httpx
import pytest

from configs.logins import ensure_logins
from configs.settings import Settings
from infra import processes
from infra.local import services_up
from tasks.answer_log import DELETED, VALID
from tasks.core.rating_needs import RatingNeed
from tasks.errors import ServiceError, TerminalServiceError, Waiting
from tasks.label_studio_projects import remade_projects
from tasks.pseudonyms import Pseudonyms
from tasks.rating_answers import late_answers
from tasks.ratings import collect_late_ratings
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_records import ProjectSpec, Task
from tasks.services.label_studio_screens import local_file_url, rating_screen
from tasks.services.label_studio_session import csrf_headers, log_in, open_client
from tests.lib.rating_rounds import RatingRound

pytestmark = pytest.mark.services

CHOICE = {"from_name": "rating", "to_name": "image", "type": "choices"}


class Rater:
    """Somebody at a browser, in the own project or in somebody else's."""

    def __init__(self, browser: httpx.Client, project_id: int) -> None:
        self._browser = browser
        self.project_id = project_id

    def task_ids(self) -> dict[str, int]:
        """Our key -> id of the task on the server."""
        params = {"project": self.project_id, "include": "id,data", "page_size": 1000, "resolve_uri": "false"}
        found = self._browser.get("/api/tasks", params=params).raise_for_status()
        return {task["data"]["key"]: task["id"] for task in found.json()["tasks"]}

    def rate(self, need: RatingNeed, choice: str | None, **fields: Any) -> int:
        """Submit as the browser does; None is an answer without a choice. The id of the answer."""
        result = [] if choice is None else [{**CHOICE, "value": {"choices": [choice]}}]
        path = f"/api/tasks/{self.task_ids()[need.key]}/annotations/"
        sent = self._send("POST", path, json={"result": result, "lead_time": 4.0, **fields})
        return int(sent.json()["id"])

    def change(self, annotation_id: int, choice: str) -> None:
        """Edit an answer, one's own or not."""
        result = [{**CHOICE, "value": {"choices": [choice]}}]
        self._send("PATCH", f"/api/annotations/{annotation_id}/", json={"result": result})

    def delete(self, what: str, number: int) -> None:
        """Delete a task, an annotation or a project."""
        self._send("DELETE", f"/api/{what}/{number}/")

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        return self._browser.request(
            method, path, headers=csrf_headers(self._browser), **body
        ).raise_for_status()


@pytest.fixture
def rating(services: Settings, tmp_path: Path) -> RatingRound:
    """A round that was asked of two raters; a name of its own keeps its projects apart."""
    prefix = f"t{uuid.uuid4().hex[:6]}"
    raters = [f"{prefix}-ann", f"{prefix}-ben"]
    return RatingRound(
        tmp_path, services, name=prefix, ratings={"raters": raters, "repeat_share": 0.2, "gold_share": 0.2}
    )


@pytest.fixture
def people(rating: RatingRound, services: Settings) -> Iterator[Callable[[int], Rater]]:
    """The first or second rater, at their browser; asks them first."""
    projects = rating.request()
    raters = rating.round.campaign.ratings.raters
    logins = ensure_logins(services, raters)
    with ExitStack() as stack:

        def rater(index: int) -> Rater:
            login = logins[raters[index]]
            browser = stack.enter_context(open_client(services.require("label_studio"), timeout_s=60.0))
            assert log_in(browser, email=login.email, password=login.password.get_secret_value())
            return Rater(browser, projects[raters[index]])

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
    assert rating.collect() == Waiting("ratings", 0, len(rating.needs), tuple(rating.request().values()))
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
