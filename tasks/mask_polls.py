"""Reading drawings and checks from Label Studio into their logs."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from configs.settings import Settings
from tasks.answer_log import CHECKS_LOG, DRAWINGS_LOG, append_to_log, deletions, last_seen, read_log
from tasks.core.label_maps import LabelMap
from tasks.core.records import IMAGES
from tasks.errors import DataError
from tasks.label_studio_projects import CHECK_WORK, MASK_WORK, people_asked
from tasks.labelling import OpenProject, find_project, label_studio
from tasks.mask_answers import Canvas, check_key, check_row, drawing_key, drawing_row
from tasks.mask_plan import Sources
from tasks.mask_starts import Starts, starts_of
from tasks.pictures import decode_mask_png
from tasks.rounds import Round
from tasks.services.label_studio import DRAWINGS_PAGE
from tasks.services.label_studio_answers import Answer

Row = dict[str, Any]


def poll_masks(round_: Round, settings: Settings, sources: Sources) -> None:
    """Write what is new in the projects of this round to the logs, whoever the campaign names now.

    Only what has changed since the newest answer in the log is asked for; what was deleted since is noted.
    """
    asked = {work: people_asked(round_, work) for work in (MASK_WORK, CHECK_WORK)}
    if not any(asked.values()):
        return
    images = {row["image_id"]: row for row in round_.open_store().rows(sources.pool, IMAGES)}
    starts = starts_of(round_, sources.maps)

    def drawn(answer: Answer, annotator: str) -> Row:
        return _drawing(round_, answer, annotator, images[answer.data["image_id"]], starts)

    def checked(answer: Answer, checker: str) -> Row:
        image = images[answer.data["image_id"]]
        return check_row(answer, checker, (image["height"], image["width"]))

    with label_studio(settings) as service:
        for log, work, key_of, to_row in (
            (DRAWINGS_LOG, MASK_WORK, drawing_key, drawn),
            (CHECKS_LOG, CHECK_WORK, check_key, checked),
        ):
            logged = read_log(round_, log.record)
            rows: list[Row] = []
            for person in asked[work]:
                project = find_project(service, round_, work, person)
                if project is None:
                    continue  # somebody deleted it
                own = [r for r in logged if r[log.person] == person and r["round"] == round_.number]
                new = service.answers_since(project.project_id, last_seen(own), page_size=DRAWINGS_PAGE)
                ours = (a for a in new if _is_ours(a.data, key_of(a.data, person), images))
                rows += _rows(ours, own, project, person, to_row)
                rows += deletions(own, service.annotation_ids(project.project_id), _now())
            append_to_log(round_, log.record, [row | round_.labels for row in rows])


def _is_ours(data: Mapping[str, Any], key: str, images: Mapping[str, Row]) -> bool:
    """Whether this code published a task, as it is, about an image of the round.

    Anybody may add a task to a project, or change the data of one; such a task is left alone.

    Args:
        data: of the task.
        key: that a task with this data would have.
        images: of the round.
    """
    return data.get("key") == key and data["image_id"] in images


def _rows(
    answers: Iterable[Answer],
    own: list[Row],
    project: OpenProject,
    person: str,
    to_row: Callable[[Answer, str], Row],
) -> Iterator[Row]:
    """Rows of the answers that the log does not have yet; one by somebody else is set aside."""
    logged = {(row["annotation_id"], row["submitted_at"]) for row in own}
    for answer in answers:
        if (answer.annotation_id, answer.updated_at.isoformat()) not in logged:
            row = to_row(answer, person)
            if not answer.is_by(project.accounts):
                row["state"] = f"foreign: {answer.authors}, not the person of this project"
            yield row


def _drawing(round_: Round, answer: Answer, annotator: str, image: Row, starts: Starts) -> Row:
    """A drawing as a row of the log; one on a start that the round does not have cannot be used."""
    shape, store = (image["height"], image["width"]), round_.open_store()
    try:
        base = start_map(round_, starts, image["image_id"], answer.data["turn"], answer.data["start"])
    except DataError as error:
        row = drawing_row(store, answer, annotator, Canvas(starts.names, None, shape))
        return row | {"state": f"stale: {error}"}
    return drawing_row(store, answer, annotator, Canvas(starts.names, base, shape))


def start_map(round_: Round, starts: Starts, image_id: str, turn: int, start: str) -> LabelMap | None:
    """What a drawing starts from: in turn 1 a map of the round, later the author's mask that came back.

    Raises:
        DataError: the round has no such start, or the mask is missing or damaged in the store.
    """
    if turn == 1:
        return starts.map_of(image_id, start)
    return decode_mask_png(round_.open_store().blob(start, ".png"))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
