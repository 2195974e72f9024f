"""What goes to Label Studio and comes back, as records, and how it is written in the server's JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.services.label_studio_answers import Answer

MODEL_VERSION = "madloop"  # the name Label Studio shows over pre-annotations
CHUNK_TASKS = 500
CHUNK_BYTES = 20_000_000

# `include` chooses the fields of a task and of the annotations inside it alike.
ANSWER_FIELDS = (
    "id,data,annotations,result,completed_by,updated_by,was_cancelled,lead_time,created_at,updated_at"
)


@dataclass(frozen=True)
class Person:
    """An account of Label Studio."""

    name: str
    email: str
    user_id: int


@dataclass(frozen=True)
class ServedBucket:
    """A folder of an object store whose pictures Label Studio shows through presigned links.

    Attributes:
        bucket: name of the bucket.
        prefix: of the keys, without a slash at its end; there is at least one object below.
        endpoint: address of the object store; None for AWS, and where Label Studio's operator has set it,
            since from anybody else Label Studio takes no address of a private network.
        region: of the bucket, None for the default.
        access_key: of who may read and list the folder; goes to Label Studio's database.
        secret_key: belongs to it.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class ProjectSpec:
    """What a project is to be.

    Attributes:
        title: 3 to 50 characters, unique on the server; the project's identity.
        label_config: XML of the screen.
        description: one sentence for the list of projects.
        instruction: HTML shown before the first task.
        local_files: folder below Label Studio's document root whose files its tasks show; None for none.
        bucket: folder of an object store whose files its tasks show; None for none.
    """

    title: str
    label_config: str
    description: str
    instruction: str
    local_files: Path | None = None
    bucket: ServedBucket | None = None


@dataclass(frozen=True)
class Task:
    """A task to publish.

    Attributes:
        key: our own identity; a project never has two tasks of one key.
        data: what the screen shows and what answers need; gets `key` added.
        prediction: result of the pre-annotation, None for none.
    """

    key: str
    data: dict[str, Any]
    prediction: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class ListedTask:
    """A task as the server lists it: its id, our key, and how many pre-annotations it has."""

    task_id: int
    key: str
    n_predictions: int


@dataclass(frozen=True)
class PublishReport:
    """What publishing did: tasks made, tasks that were there, and younger twins removed."""

    created: int
    existing: int
    removed: int


@dataclass(frozen=True)
class Progress:
    """How far a project is, in tasks; a skipped task is not finished."""

    total: int
    finished: int
    skipped: int


def as_import(task: Task) -> dict[str, Any]:
    """The task as the import request takes it."""
    raw: dict[str, Any] = {"data": {**task.data, "key": task.key}}
    if task.prediction is not None:
        raw["predictions"] = [{"model_version": MODEL_VERSION, "result": task.prediction}]
    return raw


def chunks(tasks: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The tasks in order, in requests of bounded count and size."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for task in tasks:
        n_bytes = len(json.dumps(task))
        if chunk and (len(chunk) == CHUNK_TASKS or size + n_bytes > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(task)
        size += n_bytes
    if chunk:
        yield chunk


def _condition(name: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


# Tasks that have an answer or were skipped.
WITH_ANSWERS: dict[str, Any] = {
    "filters": {
        "conjunction": "or",
        "items": [
            _condition("total_annotations", "greater", "Number", 0),
            _condition("cancelled_annotations", "greater", "Number", 0),
        ],
    }
}


def changed_since(moment: datetime) -> dict[str, Any]:
    """Tasks changed after a moment; sending and editing an answer both change its task."""
    # Any other way of writing the moment, a numerical time zone for one, is answered with 500.
    value = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    condition = _condition("updated_at", "greater", "Datetime", value)
    return {"filters": {"conjunction": "and", "items": [condition]}}


def as_answer(task: Any, raw: dict[str, Any]) -> Answer:
    """One annotation of a listed task as our record."""
    return Answer(
        annotation_id=raw["id"],
        task_id=task.id,
        key=str(task.data.get("key")),
        data=task.data,
        completed_by=_user(raw.get("completed_by")),
        updated_by=_user(raw.get("updated_by")),
        was_cancelled=bool(raw.get("was_cancelled")),
        result=raw.get("result") or [],
        lead_time=raw.get("lead_time"),
        created_at=datetime.fromisoformat(raw["created_at"]),
        updated_at=datetime.fromisoformat(raw["updated_at"]),
    )


def _user(value: Any) -> int | None:
    """A user's id; the server gives it bare in lists and inside an object elsewhere."""
    found: int | None = value.get("id") if isinstance(value, dict) else value
    return found
