"""What the Label Studio service promises, on the real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from configs.settings import Settings
from tasks.core.brush_masks import regions_of
from tasks.core.rle import decode_brush, encode_brush
from tasks.errors import TerminalServiceError, TransientServiceError
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_answers import (
    Answer,
    NoRating,
    ParsedRating,
    brush_result,
    parse_rating,
    parse_regions,
)
from tasks.services.label_studio_records import Person, Progress, ProjectSpec, PublishReport, Task
from tasks.services.label_studio_screens import dense_screen, local_file_url, rating_screen
from tasks.services.label_studio_session import csrf_headers, log_in, open_client
from tests.lib.cutting_proxy import Cuts, cutting_proxy

pytestmark = pytest.mark.services

CLASSES = [("sky & sea", "#80a0ff"), ("road", "#804080"), ('"car" <1>', "#400080")]
PASSWORD = "a password of some length"


@pytest.fixture
def service(services: Settings) -> Iterator[LabelStudioService]:
    access = services.require_label_studio()
    with LabelStudioService(access.url, access.token.get_secret_value()) as opened:
        yield opened


@pytest.fixture
def prefix() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def spec(services: Settings, prefix: str) -> ProjectSpec:
    return ProjectSpec(
        title=f"{prefix} r1 rating rater-1",
        label_config=rating_screen(CLASSES),
        description="A test",
        instruction="<p>Rate the map.</p>",
        local_files=services.label_studio_files / prefix,
    )


@pytest.fixture
def person(service: LabelStudioService, prefix: str) -> Person:
    return service.ensure_person(f"{prefix}-rater", PASSWORD)


@pytest.fixture
def browser(services: Settings, person: Person) -> Iterator[httpx.Client]:
    """The person's session."""
    with open_client(services.require("label_studio"), timeout_s=60.0) as client:
        assert log_in(client, email=person.email, password=PASSWORD)
        yield client


def _tasks(prefix: str, count: int) -> list[Task]:
    addresses = {name: local_file_url(f"{prefix}/{name}.png") for name in ("image", "map", "overlay")}
    return [Task(key=f"{prefix}-{i:04d}", data={**addresses, "image_id": f"{i}"}) for i in range(count)]


def _choices(*values: str) -> list[dict[str, Any]]:
    return [
        {"from_name": "rating", "to_name": "image", "type": "choices", "value": {"choices": list(values)}}
    ]


def _submit(browser: httpx.Client, task_id: int, **body: Any) -> dict[str, Any]:
    answer = browser.post(f"/api/tasks/{task_id}/annotations/", json=body, headers=csrf_headers(browser))
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


def _task_ids(browser: httpx.Client, project_id: int) -> list[int]:
    params: dict[str, Any] = {"project": project_id, "include": "id", "page_size": 2000}
    return [task["id"] for task in browser.get("/api/tasks", params=params).json()["tasks"]]


def _latest(answers: list[Answer]) -> Any:
    return max(answer.updated_at for answer in answers)


def test_a_person_is_made_once_and_can_log_in(
    services: Settings, service: LabelStudioService, prefix: str
) -> None:
    made = service.ensure_person(f"{prefix}-a", PASSWORD)
    again = service.ensure_person(f"{prefix}-a", PASSWORD)

    assert made == again
    with open_client(services.require("label_studio"), timeout_s=60.0) as client:
        assert log_in(client, email=made.email, password=PASSWORD)
        whoami = client.get("/api/current-user/whoami").json()
    assert (whoami["id"], whoami["email"], whoami["first_name"]) == (made.user_id, made.email, made.name)


def test_a_person_whose_password_was_changed_is_reported_with_the_way_out(
    service: LabelStudioService, person: Person
) -> None:
    with pytest.raises(TerminalServiceError, match="reset_password"):
        service.ensure_person(person.name, "another password")


def test_a_password_the_server_refuses_is_reported(service: LabelStudioService, prefix: str) -> None:
    with pytest.raises(TerminalServiceError, match="refused the address or the password"):
        service.ensure_person(f"{prefix}-b", "short")


def test_a_project_is_made_once_and_follows_its_spec(
    service: LabelStudioService, spec: ProjectSpec, browser: httpx.Client
) -> None:
    project_id = service.ensure_project(spec)
    changed = ProjectSpec(spec.title, spec.label_config, "Other words", spec.instruction, spec.local_files)

    assert service.ensure_project(spec) == project_id
    assert service.ensure_project(changed) == project_id

    project = browser.get(f"/api/projects/{project_id}/").json()
    assert project["description"] == "Other words"
    assert (project["maximum_annotations"], project["show_instruction"]) == (1, True)
    storages = browser.get("/api/storages/localfiles", params={"project": project_id}).json()
    assert [storage["path"] for storage in storages] == [str(spec.local_files)]


def test_instructions_keep_served_pictures_and_lose_pictures_inside_the_text(
    service: LabelStudioService, spec: ProjectSpec, browser: httpx.Client
) -> None:
    """Why pictures of instructions are served as files: the server strips `data:` addresses and styles."""
    served = f'<p>5: <img src="{local_file_url("t/a b.png")}" width="200" alt="good"></p>'
    inside = '<p><img src="data:image/png;base64,iVBORw0KGgo=" style="width: 9px"></p>'
    told = ProjectSpec(spec.title, spec.label_config, "", served + inside)

    project_id = service.ensure_project(told)

    project = browser.get(f"/api/projects/{project_id}/").json()
    assert project["expert_instruction"] == served + "<p><img></p>"
    assert project["show_instruction"] is True
    assert service.ensure_project(told) == project_id


def test_a_title_that_contains_another_is_another_project(
    service: LabelStudioService, spec: ProjectSpec
) -> None:
    longer = ProjectSpec(spec.title + "0", spec.label_config, "", "", None)

    assert service.ensure_project(longer) != service.ensure_project(spec)


def test_an_empty_twin_of_a_project_is_removed(service: LabelStudioService, spec: ProjectSpec) -> None:
    twins = [service._api.projects.create(title=spec.title, label_config=spec.label_config) for _ in "ab"]

    assert service.ensure_project(spec) == twins[0].id
    assert len(service._projects_titled(spec.title)) == 1


def test_a_title_label_studio_cannot_take_is_refused_here(
    service: LabelStudioService, spec: ProjectSpec
) -> None:
    with pytest.raises(ValueError, match="3 to 50 characters, got 51"):
        service.ensure_project(ProjectSpec("x" * 51, spec.label_config, "", ""))


def test_tasks_published_twice_are_there_once_and_in_order(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client
) -> None:
    project_id = service.ensure_project(spec)
    tasks = _tasks(prefix, 1201)  # three chunks

    assert service.publish_tasks(project_id, tasks[:700]) == PublishReport(700, 0, 0)
    assert service.publish_tasks(project_id, tasks) == PublishReport(501, 700, 0)
    assert service.publish_tasks(project_id, tasks) == PublishReport(0, 1201, 0)

    assert service.progress(project_id) == Progress(total=1201, finished=0, skipped=0)
    assert [task.key for task in tasks] == [task.key for task in service._listed(project_id)]
    assert len(_task_ids(browser, project_id)) == 1201


@pytest.mark.filterwarnings("default::ResourceWarning")  # of the connection that was cut
def test_a_connection_lost_after_the_server_committed_doubles_nothing(
    services: Settings, service: LabelStudioService, spec: ProjectSpec, prefix: str
) -> None:
    access = services.require_label_studio()
    cuts = Cuts(path_end="/import", left=1)
    project_id = service.ensure_project(spec)

    with (
        cutting_proxy(access.url, cuts) as url,
        LabelStudioService(url, access.token.get_secret_value()) as cut,
    ):
        report = cut.publish_tasks(project_id, _tasks(prefix, 20))

    assert cuts.done == 1
    assert report == PublishReport(created=20, existing=0, removed=0)
    assert service.progress(project_id).total == 20


def test_twins_without_an_answer_are_removed_and_answered_ones_kept(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client
) -> None:
    project_id = service.ensure_project(spec)
    tasks = _tasks(prefix, 3)
    service.publish_tasks(project_id, tasks)
    request = [{"data": {**task.data, "key": task.key}} for task in tasks]
    service._api.projects.import_tasks(id=project_id, request=request)  # as a second process would
    ids = _task_ids(browser, project_id)
    _submit(browser, ids[4], result=_choices("3"))  # the younger twin of the second task

    report = service.publish_tasks(project_id, tasks)

    assert report == PublishReport(created=0, existing=3, removed=3)
    assert _task_ids(browser, project_id) == [ids[0], ids[2], ids[4]]


def test_two_tasks_of_one_key_are_refused_here(service: LabelStudioService, prefix: str) -> None:
    with pytest.raises(ValueError, match="different keys"):
        service.publish_tasks(1, _tasks(prefix, 1) * 2)


def test_answers_are_collected_with_edits_skips_and_their_authors(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client, person: Person
) -> None:
    project_id = service.ensure_project(spec)
    service.publish_tasks(project_id, _tasks(prefix, 5))
    assert service.answers_since(project_id, None) == []
    ids = _task_ids(browser, project_id)
    _submit(browser, ids[0], result=_choices("4"), lead_time=3.5)
    _submit(browser, ids[1], result=_choices("ood"))
    _submit(browser, ids[2], result=[], was_cancelled=True)
    _submit(browser, ids[3], result=[])

    answers = service.answers_since(project_id, None)

    parsed = [parse_rating(answer) for answer in answers]
    assert parsed == [
        ParsedRating(4, out_of_domain=False),
        ParsedRating(None, out_of_domain=True),
        NoRating("skipped"),
        NoRating("empty"),
    ]
    assert [answer.key for answer in answers] == [f"{prefix}-{i:04d}" for i in range(4)]
    assert [answer.task_id for answer in answers] == ids[:4]
    assert {answer.completed_by for answer in answers} == {person.user_id}
    assert (answers[0].lead_time, answers[0].data["image_id"]) == (3.5, "0")
    # an empty answer finishes a task for the server; it is ours to see that it says nothing
    assert service.progress(project_id) == Progress(total=5, finished=3, skipped=1)

    browser.patch(
        f"/api/annotations/{answers[0].annotation_id}/",
        json={"result": _choices("2")},
        headers=csrf_headers(browser),
    ).raise_for_status()
    later = {a.annotation_id: a for a in service.answers_since(project_id, _latest(answers))}

    edited = later[answers[0].annotation_id]
    assert parse_rating(edited) == ParsedRating(2, out_of_domain=False)
    assert edited.updated_at > answers[0].updated_at
    assert edited.created_at == answers[0].created_at


def test_only_answers_after_the_moment_and_its_overlap_come_back(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client
) -> None:
    project_id = service.ensure_project(spec)
    service.publish_tasks(project_id, _tasks(prefix, 1))
    _submit(browser, _task_ids(browser, project_id)[0], result=_choices("5"))
    moment = _latest(service.answers_since(project_id, None))

    assert len(service.answers_since(project_id, moment + timedelta(seconds=50))) == 1
    assert service.answers_since(project_id, moment + timedelta(seconds=70)) == []


def test_an_answer_in_anothers_name_shows_who_sent_it(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client, person: Person
) -> None:
    other = service.ensure_person(f"{prefix}-other", PASSWORD)
    project_id = service.ensure_project(spec)
    service.publish_tasks(project_id, _tasks(prefix, 1))
    _submit(browser, _task_ids(browser, project_id)[0], result=_choices("1"), completed_by=other.user_id)

    (answer,) = service.answers_since(project_id, None)

    assert answer.completed_by == other.user_id
    assert answer.updated_by == person.user_id


def test_a_pre_annotation_comes_back_pixel_for_pixel(
    service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client
) -> None:
    label_map = np.random.default_rng(0).integers(0, 3, size=(13, 17)).astype(np.uint8)
    names = [name for name, _ in CLASSES]
    prediction = brush_result(regions_of(label_map, names), width=17, height=13)
    project_id = service.ensure_project(
        ProjectSpec(f"{prefix} r1 masks a-1", dense_screen(CLASSES), "", "", spec.local_files)
    )
    task = Task("k", {"image": local_file_url(f"{prefix}/image.png")}, prediction)
    service.publish_tasks(project_id, [task])
    project = browser.get(f"/api/projects/{project_id}/").json()
    assert (project["model_version"], project["show_collab_predictions"]) == ("madloop", True)

    shown = browser.get(f"/api/projects/{project_id}/next").json()
    _submit(browser, shown["id"], result=shown["predictions"][0]["result"])
    (answer,) = service.answers_since(project_id, None)

    regions = parse_regions(answer.result, height=13, width=17, where="the answer")
    assert [region.label for region in regions] == names
    assert not any(region.is_human for region in regions)
    for index, region in enumerate(regions):
        expected = np.where(label_map == index, 255, 0)
        np.testing.assert_array_equal(expected, decode_brush(region.rle, height=13, width=17))


def test_a_pre_annotation_that_the_server_lost_is_sent_again_once(
    service: LabelStudioService, prefix: str, browser: httpx.Client
) -> None:
    """On sqlite an import that met a lock is repeated by the server without its predictions."""
    prediction = brush_result([("road", encode_brush(np.full((3, 4), 255, np.uint8)))], width=4, height=3)
    tasks = [Task(f"k{i}", {"image": "x"}, prediction) for i in range(2)]
    project_id = service.ensure_project(ProjectSpec(f"{prefix} r1 masks a-1", dense_screen(CLASSES), "", ""))
    bare = [{"data": {"image": "x", "key": task.key}} for task in tasks]
    service._api.projects.import_tasks(id=project_id, request=bare)

    for _ in range(2):
        assert service.publish_tasks(project_id, tasks) == PublishReport(created=0, existing=2, removed=0)

    assert [task.n_predictions for task in service._listed(project_id)] == [1, 1]
    assert browser.get(f"/api/projects/{project_id}/next").json()["predictions"][0]["result"] == prediction


def test_images_are_served_to_members_only(
    services: Settings, service: LabelStudioService, spec: ProjectSpec, prefix: str, browser: httpx.Client
) -> None:
    folder = services.label_studio_files / prefix / "a b"
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 3), (1, 2, 3)).save(folder / "x.png")
    address = local_file_url(f"{prefix}/a b/x.png")

    assert browser.get(address).status_code == 404  # before the project allows it
    service.ensure_project(spec)

    assert browser.get(address).content == (folder / "x.png").read_bytes()
    assert httpx.get(f"{services.label_studio_url}{address}", trust_env=False).status_code in (302, 401, 403)


def test_a_wrong_token_is_terminal_and_says_the_way_out(services: Settings) -> None:
    with (
        LabelStudioService(services.require("label_studio"), "0" * 40) as service,
        pytest.raises(TerminalServiceError, match=r"read the progress.*401.*MADLOOP_LABEL_STUDIO_TOKEN"),
    ):
        service.progress(1)


def test_a_deleted_project_is_terminal(service: LabelStudioService, prefix: str) -> None:
    with pytest.raises(TerminalServiceError, match=r"answered 404.*deleted the project"):
        service.progress(999_999)
    with pytest.raises(TerminalServiceError, match="404"):
        service.publish_tasks(999_999, _tasks(prefix, 1))


def test_data_the_screen_does_not_fit_is_terminal(service: LabelStudioService, spec: ProjectSpec) -> None:
    project_id = service.ensure_project(spec)

    with pytest.raises(TerminalServiceError, match="answered 400"):
        service.publish_tasks(project_id, [Task("k", {"image": "x"})])


def test_a_server_that_is_down_is_transient() -> None:
    with (
        LabelStudioService("http://127.0.0.1:9", "0" * 40) as service,
        pytest.raises(TransientServiceError, match="madloop services up"),
    ):
        service.progress(1)


def test_another_server_at_the_address_is_terminal(services: Settings, tmp_path: Path) -> None:
    with (
        LabelStudioService(services.require("mlflow"), "0" * 40) as service,
        pytest.raises(TerminalServiceError, match=r"Label Studio 1\.23|404"),
    ):
        service.progress(1)
