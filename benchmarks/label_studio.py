"""Label Studio with 6,000 ratings: publishing, polling and collecting, against the SDK's listing of tasks.

The SDK's `tasks.list` with its default fields gives tasks without their answers; with `fields="all"` the
answers are in it. Both are read for the first tasks only and scaled by the number of tasks: all of them would
take minutes.
"""

from __future__ import annotations

import datetime
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from label_studio_sdk import LabelStudio

from benchmarks.common import RESULTS, Table, report
from configs.settings import SERVICES, Settings, load_settings
from infra.local import services_down, services_up
from tasks.labelling import label_studio
from tasks.services.label_studio import OVERLAP, LabelStudioService
from tasks.services.label_studio_answers import Answer, ParsedRating, parse_rating
from tasks.services.label_studio_records import ProjectSpec, Task
from tasks.services.label_studio_screens import IMAGE, RATING, rating_screen

LIMITS_S = {"publish": 60.0, "poll": 2.0, "collect": 30.0}
CHUNK = 500
SCREEN = rating_screen([("background", "#202020"), ("object", "#d04040")])

T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """How much is measured: tasks of a project, new answers of a poll, tasks the SDK lists."""

    n_tasks: int
    n_new: int
    n_listed: int


FULL = Size(n_tasks=6000, n_new=20, n_listed=600)
QUICK = Size(n_tasks=60, n_new=5, n_listed=30)


@contextmanager
def own_services() -> Iterator[Settings]:
    """Settings of servers that are started in a temporary home, on any ports, and stopped afterwards."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings({"MADLOOP_HOME": home})
        settings.services.mkdir(parents=True)
        (settings.services / "ports.json").write_text(json.dumps(dict.fromkeys(SERVICES, 0)))
        try:
            services_up(settings, on_event=lambda event: click.echo(event, err=True))
            yield load_settings({"MADLOOP_HOME": home})
        finally:
            services_down(settings)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds on the clock, and the result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def new_project(service: LabelStudioService, what: str) -> int:
    """An empty project of ratings."""
    return service.ensure_project(ProjectSpec(f"bench {what} {time.time_ns()}", SCREEN, "", ""))


def tasks_of(n_tasks: int) -> list[Task]:
    """Tasks as ratings are published, with the addresses of pictures that nobody looks at."""
    pictures = {name: f"/data/local-files/?d=bench/{name}.png" for name in ("image", "map", "overlay")}
    return [Task(key=f"{n:064x}", data={"image_id": f"{n:064x}", **pictures}) for n in range(n_tasks)]


def choice(score: int) -> list[dict[str, Any]]:
    """The result of a rating."""
    value = {"choices": [str(score)]}
    return [{"from_name": RATING, "to_name": IMAGE, "type": "choices", "value": value}]


def import_answered(api: Any, project_id: int, tasks: list[Task], user_id: int) -> None:
    """Import tasks with an answer each, the n-th of score 1 + n modulo 5."""
    raw: list[dict[str, Any]] = [
        {
            "data": {**task.data, "key": task.key},
            "annotations": [{"result": choice(1 + n % 5), "completed_by": user_id, "lead_time": 8.0}],
        }
        for n, task in enumerate(tasks)
    ]
    for start in range(0, len(raw), CHUNK):
        api.projects.import_tasks(id=project_id, request=raw[start : start + CHUNK], return_task_ids=False)


def check_collected(answers: list[Answer], tasks: list[Task], user_id: int) -> None:
    """Fail unless every task has its one answer, of the right score and author."""
    scores = {a.key: parse_rating(a) for a in answers if a.is_by([user_id])}
    expected = {task.key: ParsedRating(1 + n % 5, out_of_domain=False) for n, task in enumerate(tasks)}
    if len(answers) != len(tasks) or scores != expected:
        raise AssertionError(
            f"the {len(tasks)} imported answers were to come back, got {len(answers)} that differ"
        )


def poll_seconds(service: LabelStudioService, api: Any, project_id: int, size: Size) -> float:
    """Seconds of a poll that finds a few new answers among many tasks, median of three."""
    since = datetime.datetime.now(datetime.UTC)
    for task in api.tasks.list(project=project_id, include="id", page_size=size.n_new).items:
        api.annotations.create(id=task.id, result=choice(3), lead_time=8.0)
    seconds = []
    for _ in range(3):
        took, answers = timed(lambda: service.answers_since(project_id, since))
        if len(answers) != size.n_new:
            raise AssertionError(f"{size.n_new} answers are new, but a poll found {len(answers)}")
        seconds.append(took)
    return sorted(seconds)[1]


def listing_seconds(api: Any, project_id: int, size: Size, **fields: str) -> float:
    """Seconds of the SDK's listing of all tasks: measured on the first, scaled."""

    def read() -> list[Any]:
        return list(itertools.islice(api.tasks.list(project=project_id, **fields), size.n_listed))

    took, listed = timed(read)
    if len(listed) != size.n_listed:
        raise AssertionError(f"{size.n_listed} tasks were asked for, but {len(listed)} were listed")
    return took * size.n_tasks / size.n_listed


def measured(settings: Settings, size: Size, *, quick: bool) -> dict[str, float]:
    """Seconds of everything that is compared."""
    access = settings.require_label_studio()
    api: Any = LabelStudio(base_url=access.url, api_key=access.token.get_secret_value(), timeout=600.0)
    user_id = api.users.whoami().id
    tasks = tasks_of(size.n_tasks)
    with label_studio(settings) as service:
        fresh, answered = new_project(service, "publish"), new_project(service, "collect")
        publish, made = timed(lambda: service.publish_tasks(fresh, tasks))
        published = time.monotonic()
        if made.created != size.n_tasks:
            raise AssertionError(f"{size.n_tasks} tasks were to be published, got {made}")
        import_answered(api, answered, tasks, user_id)
        collect, answers = timed(lambda: service.answers_since(answered, None))
        check_collected(answers, tasks, user_id)
        default = listing_seconds(api, answered, size)
        with_answers = listing_seconds(api, answered, size, fields="all")
        if not quick:  # a poll looks back a little; tasks that were just published would be in that
            time.sleep(max(0.0, published + OVERLAP.total_seconds() + 5 - time.monotonic()))
        poll = poll_seconds(service, api, fresh, size)
    return {
        "publish": publish, "poll": poll, "collect": collect, "default": default, "all": with_answers,
    }  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="Few tasks: whether it runs, not how fast.")
@click.option("--running", is_flag=True, help="On the Label Studio that runs, instead of one of its own.")
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(quick: bool, running: bool, folder: Path) -> None:
    """Measure, check, and write benchmarks/results/label_studio.md."""
    size = QUICK if quick else FULL
    if running:
        seconds = measured(load_settings(), size, quick=quick)
    else:
        with own_services() as settings:
            seconds = measured(settings, size, quick=quick)
    what = {
        "publish": f"publish {size.n_tasks} tasks, no pictures rendered",
        "poll": f"poll: {size.n_new} new answers among {size.n_tasks} tasks, median of 3",
        "collect": f"collect {size.n_tasks} answers, all new",
        "default": f"SDK: `tasks.list`, default fields, no answers, {size.n_tasks} tasks (scaled)",
        "all": f'SDK: `tasks.list`, `fields="all"`, {size.n_tasks} tasks (scaled)',
    }
    rows = tuple(
        (what[name], f"{took:.2f}", f"{LIMITS_S[name]:.0f}" if name in LIMITS_S else "")
        for name, took in seconds.items()
    )
    caption = (
        "Seconds on the clock, one run, server and client on one machine, sqlite. The answers that are "
        "collected were imported together with their tasks, author included; those of the poll were sent one "
        f"by one. The SDK's listings were read for {size.n_listed} tasks and scaled to {size.n_tasks}. Every "
        "answer that is collected is compared with what was imported."
    )
    table = Table(caption, ("what", "s", "wanted: at most, s"), rows)
    ratios = {
        "collect_to_default_listing": seconds["default"] / seconds["collect"],
        "collect_to_listing_with_answers": seconds["all"] / seconds["collect"],
        "poll_to_default_listing": seconds["default"] / seconds["poll"],
    }
    report("label_studio", " ".join((__doc__ or "").split()), [table], ratios, folder)


if __name__ == "__main__":
    main()
