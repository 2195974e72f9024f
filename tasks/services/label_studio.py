"""Label Studio: the only module that imports its client.

Everything here is idempotent as a whole: what is wanted is looked up by our own names (a project's title, a
task's `key`) before it is made, and looked up again afterwards. So a call that broke off half-way, before or
after the server committed, is simply made again. Transient errors are retried three times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from tasks.errors import ServiceError, TerminalServiceError, TransientServiceError
from tasks.services import label_studio_people as people
from tasks.services import label_studio_session as session
from tasks.services import label_studio_storages as storages
from tasks.services.label_studio_answers import Answer
from tasks.services.label_studio_records import (
    ANSWER_FIELDS,
    MODEL_VERSION,
    WITH_ANSWERS,
    ListedTask,
    Person,
    Progress,
    ProjectSpec,
    PublishReport,
    Task,
    as_answer,
    as_import,
    changed_since,
    chunks,
)

T = TypeVar("T")

OVERLAP = timedelta(minutes=1)  # answers are asked for again this far back, whatever the clocks do

DRAWINGS_PAGE = 100  # tasks with drawings that one request brings

_TRIES = 3
_PAGE = 1000
_NOT_FOUND = 404


class LabelStudioService:
    """A Label Studio server, opened with a token. A context manager; not shared between threads."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 120.0) -> None:
        """Prepare the connection; nothing is sent before the first call."""
        self._url = url.rstrip("/")
        self._http = session.open_client(self._url, timeout_s=timeout_s)
        # The client would repeat a failed import by itself, and an import that was committed would double.
        self._api: Any = LabelStudio(
            base_url=self._url, api_key=token, httpx_client=self._http, timeout=timeout_s, max_retries=0
        )
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        """The service itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def ensure_person(self, name: str, password: str, *, email: str | None = None) -> Person:
        """The account of a person who can log in with this password; made when there is none. Idempotent.

        Args:
            name: a person of the campaign.
            password: of the login.
            email: the login; default: `name@madloop.local`.

        Raises:
            TerminalServiceError: the account exists with another password, was removed, or was refused.
            TransientServiceError: the server does not answer.
        """
        address = email or people.first_address(name)
        return self._retried(
            f"let {name} log in",
            lambda: people.ensure_account(self._api, self._browser, name, address, password),
        )

    def find_person(self, name: str) -> int | None:
        """The user id of the account a person has now, None when there is none; a small request, no login."""
        return self._retried(f"find {name}", lambda: people.account_of(self._api, name))

    def has_working_login(self, name: str, *, email: str, password: str) -> bool:
        """Whether a person has an account and the server takes the password."""
        return self._retried(
            f"try the login of {name}",
            lambda: people.takes_password(self._api, self._browser, email=email, password=password),
        )

    def remove_person(self, name: str) -> bool:
        """Take a person out of the organisation; whether there was an account. Idempotent.

        The account and its answers stay on the server. It sees titles of projects, but opens none.
        """
        return self._retried(f"remove {name}", lambda: people.remove_account(self._api, name))

    def find_project(self, title: str) -> int | None:
        """The id of the project with exactly this title, None when there is none; a small request."""
        found = self._retried(f"find the project {title!r}", lambda: self._projects_titled(title))
        return int(found[0].id) if found else None

    def ensure_project(self, spec: ProjectSpec) -> int:
        """The id of the project with this title; made, or brought to this screen and these texts. Idempotent.

        Every task takes one answer (`maximum_annotations` 1), tasks come in the order of publishing.

        Raises:
            ValueError: a title Label Studio cannot take.
            TerminalServiceError: the server refuses, for example a screen that contradicts answers.
            TransientServiceError: the server does not answer.
        """
        if not 3 <= len(spec.title) <= 50:
            raise ValueError(f"`title` must have 3 to 50 characters, got {len(spec.title)}: {spec.title!r}")
        return self._retried(f"open the project {spec.title!r}", lambda: self._ensure_project(spec))

    def publish_tasks(self, project_id: int, tasks: Sequence[Task]) -> PublishReport:
        """Make sure that a project has each task exactly once. Idempotent by `key`.

        Missing ones are imported, in order, in chunks. Then the keys are read again: of twins, which a broken
        connection or a second process can leave, those without an answer are removed, the oldest kept.

        Raises:
            ValueError: two tasks of one key.
            TerminalServiceError: the server refuses, for example data the screen does not fit.
            TransientServiceError: the server does not answer.
        """
        if len({task.key for task in tasks}) != len(tasks):
            raise ValueError(f"`tasks` must have different keys, got {len(tasks)} tasks")
        what = f"publish {len(tasks)} tasks in project {project_id}"
        seen: list[set[str]] = []
        removed = self._retried(what, lambda: self._publish(project_id, tasks, seen))
        # Counted against the first look: later tries find the tasks of earlier ones.
        existing = sum(task.key in seen[0] for task in tasks)
        return PublishReport(created=len(tasks) - existing, existing=existing, removed=removed)

    def answers_since(
        self, project_id: int, since: datetime | None, *, page_size: int = _PAGE
    ) -> list[Answer]:
        """Answers that were made or edited since a moment, skips among them; drafts never.

        Asks one minute further back, so an answer may come again: tell them apart by `annotation_id` and
        `updated_at`. Deleted answers do not come; keep your own copy.

        Args:
            project_id: the project.
            since: the largest `updated_at` seen (the server's clock, with a time zone); None for all.
            page_size: tasks that one request brings: many for small answers, `DRAWINGS_PAGE` for drawings,
                each of which may take a megabyte.
        """
        what = f"read the answers of project {project_id}"
        query = changed_since(since - OVERLAP) if since is not None else WITH_ANSWERS
        return self._retried(what, lambda: self._answers(project_id, query, page_size))

    def annotation_ids(self, project_id: int) -> set[int]:
        """Ids of all answers that a project has now, skips among them: to notice which were deleted.

        Raises:
            TerminalServiceError: the project is gone.
            TransientServiceError: the server does not answer.
        """

        def read() -> set[int]:
            # `include` chooses the fields of annotations, too: their ids come alone.
            tasks = self._tasks(
                project_id,
                include="id,annotations",
                fields="all",
                query=json.dumps(WITH_ANSWERS),
                page_size=_PAGE,
            )
            return {int(raw["id"]) for task in tasks for raw in task.annotations or ()}

        return self._retried(f"list the answers of project {project_id}", read)

    def progress(self, project_id: int) -> Progress:
        """How far a project is; one small request."""
        project = self._retried(
            f"read the progress of project {project_id}", lambda: self._api.projects.get(id=project_id)
        )
        return Progress(
            total=project.task_number or 0,
            finished=project.finished_task_number or 0,
            skipped=project.skipped_annotations_number or 0,
        )

    def _browser(self) -> httpx.Client:
        """A client without the token, for a person's own session."""
        return session.open_client(self._url, timeout_s=self._timeout_s)

    def _ensure_project(self, spec: ProjectSpec) -> int:
        wanted = {
            "label_config": spec.label_config,
            "description": spec.description,
            "expert_instruction": spec.instruction,
        }
        if not self._projects_titled(spec.title):
            self._api.projects.create(
                title=spec.title,
                maximum_annotations=1,
                show_instruction=bool(spec.instruction),
                enable_empty_annotation=False,
                sampling="Sequential sampling",
                **wanted,
            )
        # Looked up again: a second process may have made the same project at the same moment.
        kept, *twins = self._projects_titled(spec.title)
        for twin in twins:
            if not twin.task_number:
                self._api.projects.delete(id=twin.id)
        project = self._api.projects.get(id=kept.id)
        changes = {name: value for name, value in wanted.items() if getattr(project, name) != value}
        if changes:
            self._api.projects.update(id=kept.id, **changes)
        if spec.local_files is not None:
            storages.ensure_local_files(self._api, kept.id, spec.local_files)
        if spec.bucket is not None:
            storages.ensure_bucket(self._api, kept.id, spec.bucket)
        return int(kept.id)

    def _projects_titled(self, title: str) -> list[Any]:
        """Projects of exactly this title: with tasks before those without, then the oldest first."""
        # The server's filter finds every title that contains the text, in any case.
        found = self._api.projects.list(title=title, include="id,title,task_number", page_size=_PAGE)
        exact = [project for project in found if project.title == title]
        return sorted(exact, key=lambda project: (not project.task_number, project.id))

    def _publish(self, project_id: int, tasks: Sequence[Task], seen: list[set[str]]) -> int:
        """Import what is missing, then remove younger twins; how many. `seen` gets the keys there were."""
        listed = self._listed(project_id)
        known = {task.key for task in listed}
        seen.append(known)
        missing = [task for task in tasks if task.key not in known]
        for chunk in chunks([as_import(task) for task in missing]):
            self._api.projects.import_tasks(id=project_id, request=chunk, return_task_ids=False)
        if missing:
            listed = self._listed(project_id)
        removed = self._remove_twins(project_id, listed)
        predictions = {task.key: task.prediction for task in tasks if task.prediction is not None}
        if predictions:
            gone = set(removed)
            left = [task for task in listed if task.task_id not in gone]
            self._complete_predictions(project_id, left, predictions)
        return len(removed)

    def _complete_predictions(
        self, project_id: int, listed: Sequence[ListedTask], predictions: Mapping[str, list[dict[str, Any]]]
    ) -> None:
        """Give each task its pre-annotation, and let the editor show them.

        On sqlite the server repeats a request that met a lock, and the repeated import has lost its
        predictions without a word.
        """
        for task in listed:
            if task.key in predictions and task.n_predictions == 0:
                self._api.predictions.create(
                    task=task.task_id, result=predictions[task.key], model_version=MODEL_VERSION
                )
        # Refused before the first prediction exists; without it annotators start from nothing.
        self._api.projects.update(id=project_id, model_version=MODEL_VERSION, show_collab_predictions=True)

    def _listed(self, project_id: int) -> list[ListedTask]:
        """A project's tasks, oldest first."""
        tasks = self._tasks(project_id, include="id,data,total_predictions", page_size=_PAGE)
        listed = [
            ListedTask(task.id, str(task.data.get("key")), task.total_predictions or 0) for task in tasks
        ]
        return sorted(listed, key=lambda task: task.task_id)

    def _remove_twins(self, project_id: int, listed: Sequence[ListedTask]) -> list[int]:
        """Ids of the tasks that were removed because another one has their key."""
        ids_by_key: dict[str, list[int]] = {}
        for task in listed:
            ids_by_key.setdefault(task.key, []).append(task.task_id)
        twins = [ids for ids in ids_by_key.values() if len(ids) > 1]
        if not twins:
            return []
        answered = {answer.task_id for answer in self._answers(project_id, WITH_ANSWERS, DRAWINGS_PAGE)}
        surplus: list[int] = []
        for ids in twins:
            kept = [task_id for task_id in ids if task_id in answered] or ids[:1]
            surplus += [task_id for task_id in ids if task_id not in kept]
        if surplus:
            selected = {"all": False, "included": surplus}
            self._api.actions.create(id="delete_tasks", project=project_id, selected_items=selected)
        return surplus

    def _answers(self, project_id: int, query: dict[str, Any], page_size: int) -> list[Answer]:
        tasks = self._tasks(
            project_id,
            include=ANSWER_FIELDS,
            fields="all",
            query=json.dumps(query),
            page_size=page_size,
        )
        return [as_answer(task, raw) for task in tasks for raw in task.annotations or ()]

    def _tasks(self, project_id: int, *, page_size: int, **choice: Any) -> Iterator[Any]:
        # Addresses are not resolved: that costs 18 s for 2000 tasks.
        pages = self._api.tasks.list(project=project_id, resolve_uri=False, page_size=page_size, **choice)
        while True:
            yield from pages.items
            if len(pages.items) < page_size:
                return
            try:
                pages = pages.next_page()
            except ApiError as error:
                if error.status_code == _NOT_FOUND:  # how the server says that there is no further page
                    return
                raise

    def _retried(self, what: str, call: Callable[[], T]) -> T:
        """The call's result; transient errors are tried again, all errors come out as ours."""
        for attempt in range(1, _TRIES + 1):
            try:
                return call()
            except (ApiError, httpx.HTTPError) as error:
                problem = self._problem(what, error)
                if attempt == _TRIES or not isinstance(problem, TransientServiceError):
                    raise problem from error
                time.sleep(0.5 * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def _problem(self, what: str, error: ApiError | httpx.HTTPError) -> ServiceError:
        """The one place where the client's errors become ours."""
        needed = f"Label Studio at {self._url} was required to {what}, but"
        if isinstance(error, httpx.HTTPStatusError):
            status, said = error.response.status_code, error.response.reason_phrase
        elif isinstance(error, ApiError):
            status, said = error.status_code or 0, _said(error.body)
        else:
            return TransientServiceError(
                f"{needed} cannot be reached: {error or type(error).__name__}. "
                "See `madloop services status`; start it with `madloop services up`."
            )
        if status >= 500 or status in (408, 429):
            return TransientServiceError(f"{needed} answered {status}: {said}. Try again later; see its log.")
        way_out = {
            401: "Set MADLOOP_LABEL_STUDIO_TOKEN to a valid token, or run `madloop services up`.",
            403: "Use the token of an administrator of that Label Studio.",
            404: "Somebody deleted the project or task there; publish the round again.",
        }.get(status, "Check that the address is a Label Studio 1.23 server and the request fits it.")
        return TerminalServiceError(f"{needed} answered {status}: {said}. {way_out}")


def _said(body: Any) -> str:
    """What the server says about an error, in one line."""
    if not isinstance(body, dict):
        return str(body)[:300]
    wrong = body.get("validation_errors")
    return f"{body.get('detail')}" + (f" {json.dumps(wrong)[:300]}" if wrong else "")
