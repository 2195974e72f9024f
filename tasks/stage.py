"""The one way a stage becomes a Prefect task.

Prefect's caching and result persistence stay off: whether a stage is done is what the artefact store says
(docs/decisions/0001-done-is-what-the-store-says.md). Only errors that another try may heal are retried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from tasks.errors import TransientServiceError

P = ParamSpec("P")
R = TypeVar("R")


def stage_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Decorator: a Prefect task called `name` that retries transient service errors and caches nothing."""
    return task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=3,
        retry_delay_seconds=[2, 10, 30],
        retry_condition_fn=_is_transient,
    )


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the task failed with an error that another try may heal."""
    try:
        state.result()
    except TransientServiceError:
        return True
    except BaseException:  # noqa: BLE001 - the question is only which kind of error it was
        return False
    return False
