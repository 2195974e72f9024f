"""6,000 rating tasks in a real Label Studio: publishing, polling, collecting; the SDK's listing beside ours.

Tasks hold the addresses of pictures, none is drawn. The answers that are polled are sent one by one, as by
people. Those that are collected come into their project with its tasks in one import, each with its author:
sending 6,000 takes long and is not what is measured. Times are wall clock, as the server is another process.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from label_studio_sdk import LabelStudio

from benchmarks.common import RESULTS, Table, report
from configs.settings import Settings, load_settings
from infra.local import services_down, services_up
from tasks.services.label_studio import OVERLAP, LabelStudioService
from tasks.services.label_studio_answers import ParsedRating, parse_rating
from tasks.services.label_studio_records import ProjectSpec, PublishReport, Task
from tasks.services.label_studio_screens import IMAGE, RATING, local_file_url, rating_screen

SCREEN = rating_screen([("road", "#804080"), ("car", "#400080")])
PROMISED_S = {"publish": 60.0, "poll": 2.0, "collect": 30.0}  # at N_TASKS
N_TASKS = 6000
N_LISTED = 1000  # in the comparison with the SDK, which takes minutes for 6,000
N_NEW = 10  # answers since the last poll
POLLS = 5


@dataclass(frozen=True)
class Server:
    """A running Label Studio: our service, the SDK's client, and projects that are removed at the end."""

    service: LabelStudioService
    client: Any
    made: list[int]

    def project(self) -> int:
        """Id of a new, empty rating project."""
        title = f"benchmark {uuid.uuid4().hex[:12]}"
        self.made.append(self.service.ensure_project(ProjectSpec(title, SCREEN, "A benchmark", "")))
        return self.made[-1]


@contextmanager
def running(settings: Settings) -> Iterator[Server]:
    """The Label Studio of these settings, started if need be, afterwards without the benchmark's projects."""
    services_up(settings, on_event=click.echo, parent_pid=os.getpid())
    access = load_settings({"MADLOOP_HOME": str(settings.home)}).require_label_studio()
    token = access.token.get_secret_value()
    client: Any = LabelStudio(base_url=access.url, api_key=token)
    with LabelStudioService(access.url, token) as service:
        server = Server(service, client, [])
        try:
            yield server
        finally:
            for project_id in server.made:
                client.projects.delete(id=project_id)


@contextmanager
def settings_of(*, own: bool) -> Iterator[Settings]:
    """Settings of the home as it is set, or of an empty one whose servers end with the benchmark."""
    if not own:
        yield load_settings()
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"MADLOOP_HOME": folder})
        try:
            yield settings
        finally:
            services_down(settings)


def tasks_of(count: int) -> list[Task]:
    """Rating tasks as the pipeline publishes them: keys, digests and addresses."""
    made = []
    for number in range(count):
        name = f"{number:064x}"
        data = {
            field: local_file_url(f"benchmark/{field}s/{name}.png") for field in ("image", "map", "overlay")
        }
        made.append(Task(name[-32:], {**data, "image_id": name, "map_digest": name[::-1]}))
    return made


def score_of(number: int) -> int:
    """The score that task `number` is given, 1 to 5."""
    return 1 + number % 5


def result_of(number: int) -> list[dict[str, Any]]:
    """The answer to task `number` as the screen sends it."""
    choice = {"choices": [str(score_of(number))]}
    return [{"from_name": RATING, "to_name": IMAGE, "type": "choices", "value": choice}]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds on the wall, and the result."""
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def publish(server: Server, tasks: Sequence[Task]) -> tuple[int, float]:
    """A project with these tasks, and the seconds it took; published again they must not double."""
    project_id = server.project()
    seconds, made = timed(lambda: server.service.publish_tasks(project_id, tasks))
    again = server.service.publish_tasks(project_id, tasks[:10])
    required = PublishReport(len(tasks), 0, 0), PublishReport(0, len(tasks[:10]), 0), len(tasks)
    if (made, again, server.service.progress(project_id).total) != required:
        raise AssertionError(f"{len(tasks)} tasks were to be published once, got {made}, then {again}")
    return project_id, seconds


def poll(server: Server, project_id: int, tasks: Sequence[Task]) -> float:
    """Median seconds of a poll that finds a few new answers among all tasks, the last of them a minute old.

    A poll asks one minute further back than it must. Here that minute begins with the first new answer: what
    was published before it counts as older.
    """
    listed = {task.key: task.task_id for task in server.service._listed(project_id)}
    numbers = range(0, len(tasks), len(tasks) // N_NEW)
    time.sleep(2.0)  # the answers are more than a second younger than the tasks
    for number in numbers:
        server.client.annotations.create(
            id=listed[tasks[number].key], result=result_of(number), lead_time=3.0
        )
    first = min(answer.updated_at for answer in server.service.answers_since(project_id, None))
    since = first + OVERLAP - timedelta(seconds=1)
    seconds = []
    for _ in range(POLLS):
        passed, answers = timed(lambda: server.service.answers_since(project_id, since))
        seconds.append(passed)
        if {answer.key for answer in answers} != {tasks[number].key for number in numbers}:
            raise AssertionError(f"{len(numbers)} new answers were to be found, got {len(answers)}")
    return statistics.median(seconds)


def answered_project(server: Server, tasks: Sequence[Task]) -> int:
    """A project with these tasks and an answer to each, both imported at once."""
    project_id, author = server.project(), server.client.users.whoami().id
    raw: list[dict[str, Any]] = [
        {
            "data": {**task.data, "key": task.key},
            "annotations": [{"result": result_of(n), "completed_by": author, "lead_time": 3.0}],
        }
        for n, task in enumerate(tasks)
    ]
    for start in range(0, len(raw), 500):
        server.client.projects.import_tasks(id=project_id, request=raw[start : start + 500])
    return project_id


def collect(server: Server, project_id: int, tasks: Sequence[Task]) -> float:
    """Seconds until all answers are there and understood."""

    def read() -> dict[str, object]:
        return {a.key: parse_rating(a) for a in server.service.answers_since(project_id, None)}

    seconds, found = timed(read)
    if found != {t.key: ParsedRating(score_of(n), out_of_domain=False) for n, t in enumerate(tasks)}:
        raise AssertionError(f"{len(tasks)} answers were to be collected, got {len(found)} or other scores")
    return seconds


def listing(server: Server, project_id: int, tasks: Sequence[Task], **choice: str) -> float:
    """Seconds of the SDK's listing of a project, everything that is not chosen at its default."""
    seconds, listed = timed(lambda: list(server.client.tasks.list(project=project_id, **choice)))
    if {task.data["key"] for task in listed} != {task.key for task in tasks}:
        raise AssertionError(f"{len(tasks)} tasks were to be listed by the SDK, got {len(listed)}")
    if choice:
        scores = {task.data["key"]: task.annotations[0]["result"][0]["value"]["choices"] for task in listed}
        wanted = {task.key: [str(score_of(n))] for n, task in enumerate(tasks)}
        if scores != wanted:
            raise AssertionError("the SDK's listing has other scores")
    return seconds


def table_of_promises(seconds: Mapping[str, float], n_tasks: int) -> Table:
    """What the issue asks for beside what was measured."""
    whats = {
        "publish": f"{n_tasks} tasks published",
        "poll": f"a poll with {N_NEW} new answers among {n_tasks} tasks, median of {POLLS}",
        "collect": f"{n_tasks} answers collected and parsed",
    }
    rows = [(whats[name], f"{seconds[name]:.2f}", f"{PROMISED_S[name]:.0f}") for name in whats]
    return Table("One project, wall clock.", ("what", "seconds", "at most, for 6,000"), tuple(rows))


@click.command()
@click.option("--tasks", "n_tasks", default=N_TASKS, show_default=True, help="Tasks in the project.")
@click.option("--listed", default=N_LISTED, show_default=True, help="Tasks in the comparison with the SDK.")
@click.option("--here", is_flag=True, help="Use the servers of MADLOOP_HOME instead of new ones.")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(n_tasks: int, listed: int, here: bool, folder: Path) -> None:
    """Measure, check, and write benchmarks/results/label_studio.md."""
    tasks = tasks_of(n_tasks)
    few = list(itertools.islice(tasks, listed))
    seconds: dict[str, float] = {}
    with settings_of(own=not here) as settings, running(settings) as server:
        project_id, seconds["publish"] = publish(server, tasks)
        seconds["poll"] = poll(server, project_id, tasks)
        seconds["collect"] = collect(server, answered_project(server, tasks), tasks)
        subset = answered_project(server, few)
        ours = statistics.median(collect(server, subset, few) for _ in range(3))
        bare = listing(server, subset, few)
        full = listing(server, subset, few, fields="all")
    compared = Table(
        f"A project of {len(few)} answered tasks listed as a whole, wall clock, ours the median of 3. "
        "A subset: the SDK's listing of 6,000 takes minutes.",
        ("what", "seconds", "ratio"),
        (
            ("ours: tasks with their answers", f"{ours:.2f}", ""),
            (
                "SDK, `tasks.list(project=...)`: tasks without their answers",
                f"{bare:.1f}",
                f"{bare / ours:.1f}",
            ),
            ('SDK, `fields="all"`: tasks with their answers', f"{full:.1f}", f"{full / ours:.1f}"),
        ),
    )
    ratios = {f"{name}_in_time": PROMISED_S[name] / seconds[name] for name in PROMISED_S}
    ratios |= {"default_listing": bare / ours, "listing_with_answers": full / ours}
    title = " ".join((__doc__ or "").split())
    report("label_studio", title, [table_of_promises(seconds, n_tasks), compared], ratios, folder)


if __name__ == "__main__":
    main()
