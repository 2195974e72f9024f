"""Accounts of people on the real Label Studio: added, removed, added again, and their answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner, Result

from configs.settings import Settings, read_logins
from flows.__main__ import madloop
from tasks.errors import ConfigError, TerminalServiceError
from tasks.labelling import OpenProject, Screen, find_project, label_studio, open_project
from tasks.rounds import Round
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import local_file_url, rating_screen
from tasks.services.label_studio_session import csrf_headers, log_in, open_client
from tests.lib.written_campaigns import campaign_of

pytestmark = pytest.mark.services

SCREEN = Screen("rating", rating_screen([("ground", "#808080"), ("disc", "#dc3c3c")]), "A test", "")
GOOD = [{"from_name": "rating", "to_name": "image", "type": "choices", "value": {"choices": ["4"]}}]


@pytest.fixture
def name() -> str:
    return f"p{uuid.uuid4().hex[:8]}"


@pytest.fixture
def service(services: Settings) -> Iterator[LabelStudioService]:
    with label_studio(services) as opened:
        yield opened


@pytest.fixture
def round_(services: Settings, name: str, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """A round that asks this person alone; its store is no store of the command's."""
    root = tmp_path_factory.mktemp("campaign")
    campaign = campaign_of(root, name=f"c-{name}", ratings={"raters": [name]})
    return Round(campaign, 1, str(root / "store"))


def people(services: Settings, *arguments: str) -> Result:
    """`madloop people` of the home whose servers run."""
    return CliRunner().invoke(madloop, ["people", *arguments], env={"MADLOOP_HOME": str(services.home)})


@contextmanager
def browser_of(services: Settings, name: str) -> Iterator[httpx.Client]:
    """The session of somebody who has a login."""
    login = read_logins(services)[name]
    with open_client(services.require("label_studio"), timeout_s=60.0) as client:
        assert log_in(client, email=login.email, password=login.password.get_secret_value())
        yield client


def answered_project(services: Settings, service: LabelStudioService, round_: Round, name: str) -> int:
    """The person's project, with one task that the person answered."""
    project = open_project(service, round_, services, name, SCREEN).project_id
    pictures = {shown: local_file_url(f"{name}/{shown}.png") for shown in ("image", "map", "overlay")}
    service.publish_tasks(project, [Task(f"{name}-1", pictures)])
    with browser_of(services, name) as browser:
        params = {"project": project, "include": "id"}
        (task,) = browser.get("/api/tasks", params=params).json()["tasks"]
        sent = browser.post(
            f"/api/tasks/{task['id']}/annotations/", json={"result": GOOD}, headers=csrf_headers(browser)
        )
        assert sent.status_code == 201, sent.text
    return project


def test_an_added_person_can_log_in_and_the_password_is_printed_on_demand_only(
    services: Settings, name: str
) -> None:
    added = people(services, "add", name, "--role", "rater", "--role", "checker")
    assert added.exit_code == 0, added.stderr
    login = read_logins(services)[name]
    password = login.password.get_secret_value()
    assert f"login         {name}@madloop.local" in added.stdout
    assert str(services.people_file) in added.stdout
    assert "roles         rater, checker" in added.stdout
    assert password not in added.stdout

    again = people(services, "add", name, "--show-password")
    assert f"password      {password}" in again.stdout
    assert read_logins(services)[name] == login
    with browser_of(services, name) as browser:
        assert browser.get("/api/current-user/whoami").json()["first_name"] == name


def test_a_removed_person_opens_no_project_and_the_answers_keep_their_owner(
    services: Settings, service: LabelStudioService, round_: Round, name: str
) -> None:
    project = answered_project(services, service, round_, name)
    user_id = service.find_person(name)

    assert people(services, "remove", name).exit_code == 0
    assert service.find_person(name) is None
    with browser_of(services, name) as browser:
        assert browser.get(f"/api/projects/{project}/").status_code == 403
        assert browser.get(f"/api/projects/{project}/next").status_code == 403
    assert find_project(service, round_, "rating", name) == OpenProject(project, frozenset({user_id}))
    (answer,) = service.answers_since(project, None)
    assert (answer.completed_by, answer.is_by({user_id})) == (user_id, True)

    again = people(services, "remove", name)
    assert (again.exit_code, "had no account on this server" in again.stdout) == (0, True)


def test_a_removed_person_of_a_campaign_is_reported_with_the_way_out(
    services: Settings, service: LabelStudioService, round_: Round, name: str
) -> None:
    open_project(service, round_, services, name, SCREEN)
    people(services, "remove", name)
    with pytest.raises(ConfigError, match=r"was removed from Label Studio.*madloop people add") as caught:
        open_project(service, round_, services, name, SCREEN)
    assert name not in str(caught.value).replace(round_.campaign.name, ""), "Prefect would keep the name"


def test_who_is_added_again_gets_a_further_account_and_the_same_project(
    services: Settings, service: LabelStudioService, round_: Round, name: str
) -> None:
    project = answered_project(services, service, round_, name)
    first = service.find_person(name)
    people(services, "remove", name)

    added = people(services, "add", name)
    assert (added.exit_code, f"{name}+2@madloop.local" in added.stdout) == (0, True)
    second = open_project(service, round_, services, name, SCREEN)
    assert second == OpenProject(project, frozenset({first, service.find_person(name)}))
    assert len(second.accounts) == 2
    assert find_project(service, round_, "rating", name) == second
    assert read_logins(services)[name].roles == ("rater",)
    with browser_of(services, name) as browser:
        assert browser.get(f"/api/projects/{project}/").status_code == 200


def test_an_account_removed_by_hand_is_reported_with_the_way_out(
    services: Settings, service: LabelStudioService, name: str
) -> None:
    people(services, "add", name)
    service.remove_person(name)
    password = read_logins(services)[name].password.get_secret_value()
    with pytest.raises(TerminalServiceError, match=f"madloop people remove {name}"):
        service.ensure_person(name, password)
    assert people(services, "remove", name).exit_code == 0
    assert people(services, "add", name).exit_code == 0


def test_the_list_says_on_demand_which_logins_work(
    services: Settings, service: LabelStudioService, name: str
) -> None:
    people(services, "add", name)
    lines = {line.split()[0]: line for line in people(services, "list", "--check").stdout.splitlines()}
    assert lines[name].endswith("works")
    service.remove_person(name)
    lines = {line.split()[0]: line for line in people(services, "list", "--check").stdout.splitlines()}
    assert lines[name].endswith("does not work")
