"""A Label Studio in memory, for what is asked of it and what is made of its answers; nothing is checked."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from configs.settings import Settings
from tasks.core.rating_needs import RatingNeed
from tasks.services.label_studio_answers import Answer
from tasks.services.label_studio_records import Person, ProjectSpec, Task
from tasks.services.label_studio_screens import RATING

START = datetime.datetime(2026, 1, 1, 10, tzinfo=datetime.UTC)


@dataclass
class FakeProject:
    """A project: its tasks by key, in the order of publishing, and its answers by annotation id."""

    title: str
    tasks: dict[str, Task] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)


@dataclass
class FakeLabelStudio:
    """The calls of `LabelStudioService` that the rating stages make.

    Attributes:
        projects: by id.
        asked_since: what was passed to `answers_since`, in order.
        clock: of the server; every answer takes a second.
    """

    projects: dict[int, FakeProject] = field(default_factory=dict)
    people: list[str] = field(default_factory=list)
    asked_since: list[datetime.datetime | None] = field(default_factory=list)
    clock: datetime.datetime = START
    _made: int = 0

    @contextmanager
    def connect(self, settings: Settings) -> Iterator[FakeLabelStudio]:
        """What stands in for `tasks.labelling.label_studio`."""
        yield self

    def find_person(self, name: str) -> int | None:
        return self.people.index(name) + 1 if name in self.people else None

    def ensure_person(self, name: str, password: str, *, email: str | None = None) -> Person:
        if name not in self.people:
            self.people.append(name)
        return Person(name, email or f"{name}@madloop.local", self.people.index(name) + 1)

    def find_project(self, title: str) -> int | None:
        return next((number for number, p in self.projects.items() if p.title == title), None)

    def ensure_project(self, spec: ProjectSpec) -> int:
        found = self.find_project(spec.title)
        if found is None:
            self._made += 1
            found = self._made
            self.projects[found] = FakeProject(spec.title)
        return found

    def publish_tasks(self, project_id: int, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self.projects[project_id].tasks.setdefault(task.key, task)

    def answers_since(
        self, project_id: int, since: datetime.datetime | None, *, page_size: int = 1000
    ) -> list[Answer]:
        self.asked_since.append(since)
        answers = self.projects[project_id].answers.values()
        return [a for a in answers if since is None or a.updated_at > since - datetime.timedelta(minutes=1)]

    def annotation_ids(self, project_id: int) -> set[int]:
        return set(self.projects[project_id].answers)

    def project_of(self, rater: str) -> FakeProject:
        """The newest project of a rater."""
        return [p for p in self.projects.values() if p.title.endswith(f" {rater}")][-1]

    def rate(self, need: RatingNeed, choice: str, *, by: int | None = None, seconds: float = 5.0) -> Answer:
        """A rater answers (or answers again) a published task; `by` is another user who sends it."""
        project = self.project_of(need.rater)
        task = project.tasks[need.key]
        self.clock += datetime.timedelta(seconds=1)
        author = self.people.index(need.rater) + 1
        old = next((a for a in project.answers.values() if a.key == need.key), None)
        self._made += old is None
        answer = Answer(
            annotation_id=self._made if old is None else old.annotation_id,
            task_id=list(project.tasks).index(need.key),
            key=task.key,
            data={**task.data, "key": task.key},
            completed_by=author if old is None else old.completed_by,
            updated_by=author if by is None else by,
            was_cancelled=False,
            result=[{"from_name": RATING, "value": {"choices": [choice]}}],
            lead_time=seconds,
            created_at=self.clock if old is None else old.created_at,
            updated_at=self.clock,
        )
        project.answers[answer.annotation_id] = answer
        return answer

    def rate_all(self, rater: str, choice: str = "3") -> None:
        """A rater answers everything that is open."""
        done = {answer.key for answer in self.project_of(rater).answers.values()}
        for key, task in self.project_of(rater).tasks.items():
            if key not in done:
                need = RatingNeed(task.data["image_id"], task.data["map_digest"], rater)
                self.rate(need if need.key == key else replace(need, repeat=1), choice)
