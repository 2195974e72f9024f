"""Asking annotators and checkers for what is next: one project per person, kind of work and round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.classes import Classes
from configs.settings import Settings
from tasks.core.brush_masks import regions_of
from tasks.core.check_marks import CheckMark
from tasks.core.mask_turns import Check, Draw
from tasks.core.records import IMAGES
from tasks.label_studio_projects import CHECK_WORK, MASK_WORK
from tasks.labelling import Screen, label_studio, open_project, picture_folder
from tasks.mask_answers import MaskLog
from tasks.mask_plan import Place, PlannedMask, Sources, place_of
from tasks.mask_polls import start_map
from tasks.mask_starts import Starts, starts_of
from tasks.pictures import decode_mask_png
from tasks.progress import progress
from tasks.rounds import Round
from tasks.served_pictures import PictureFolder
from tasks.services.label_studio_answers import brush_result
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import check_screen, dense_screen

MASK_INSTRUCTION = """<h3>Give every pixel its true class</h3>
<p>Some images start from a proposal that is often wrong, others start empty. Do not erase: paint the right
class over what is wrong. Leave only those pixels without a class that nobody could decide.</p>
<p>An image that comes back has numbered rings where something is wrong, and starts from your own mask.</p>
<p>Keys 1 to 9 choose a class, Enter submits.</p>"""
CHECK_INSTRUCTION = """<h3>Is this mask right?</h3>
<p>Compare the mask with the image. For every error choose its kind (keys 1 to 5), then click on it in the
right picture. Then send the mask back (key r) or, if there is no error, accept it (key a); Enter submits.</p>
<p><b>1 wrong class</b> &middot; <b>2 boundary</b> - more than a few pixels off &middot;
<b>3 missed object</b> &middot; <b>4 extra region</b> - nothing is there &middot;
<b>5 ambiguous</b> - nobody could decide; such a mask may be accepted.</p>"""

Row = dict[str, Any]


@dataclass(frozen=True)
class _Desk:
    """What tasks are made from."""

    round_: Round
    images: Mapping[str, Row]
    starts: Starts
    folder: PictureFolder


def publish_steps(
    round_: Round, settings: Settings, sources: Sources, masks: Iterable[PlannedMask], log: MaskLog
) -> tuple[tuple[str, int], ...]:
    """Publish what is next for every mask; returns (person, id of the project) of who has something to do.

    Idempotent: each step has a key of its own.
    """
    asked: dict[Place, list[tuple[PlannedMask, Draw | Check]]] = {}
    for mask in masks:
        step = mask.step(log)
        place = place_of(mask, step)
        if place is not None and isinstance(step, Draw | Check):
            asked.setdefault(place, []).append((mask, step))
    if not asked:
        return ()
    desk = _Desk(
        round_,
        {row["image_id"]: row for row in round_.open_store().rows(sources.pool, IMAGES)},
        starts_of(round_, sources.maps),
        picture_folder(round_, settings),
    )
    screens = {MASK_WORK: mask_project_screen, CHECK_WORK: check_project_screen}
    projects: list[tuple[str, int]] = []
    with (
        label_studio(settings) as service,
        progress("publishing masks", sum(map(len, asked.values())), "task") as shown,
    ):
        for (work, person), steps in sorted(asked.items()):
            screen = screens[work](round_.campaign.classes)
            number = open_project(service, round_, settings, person, screen).project_id
            service.publish_tasks(number, [_task(desk, mask, step) for mask, step in steps])
            projects.append((person, number))
            shown.advance(len(steps))
    return tuple(projects)


def mask_project_screen(classes: Classes) -> Screen:
    """What annotators see."""
    return Screen(
        MASK_WORK, dense_screen(classes.legend), "Draw the true mask of every image.", MASK_INSTRUCTION
    )


def check_project_screen(classes: Classes) -> Screen:
    """What checkers see."""
    return Screen(
        CHECK_WORK, check_screen(classes.legend), "Check the masks that others drew.", CHECK_INSTRUCTION
    )


def _task(desk: _Desk, mask: PlannedMask, step: Draw | Check) -> Task:
    return _drawing_task(desk, mask, step) if isinstance(step, Draw) else _check_task(desk, mask, step)


def _drawing_task(desk: _Desk, mask: PlannedMask, step: Draw) -> Task:
    row = desk.images[mask.image_id]
    start = start_map(desk.round_, desk.starts, mask.image_id, step.turn, step.start)
    if step.marks:
        picture = desk.folder.put_marked_image(row["uri"], mask.image_id, step.marks)
    else:
        picture = desk.folder.put_image(row["uri"], mask.image_id)
    data = mask.drawing_data(step) | {"image": picture, "note": marks_note(step.marks)}
    regions = None if start is None else regions_of(start, desk.round_.campaign.classes.names)
    result = None if not regions else brush_result(regions, width=row["width"], height=row["height"])
    return Task(key=data["key"], data=data, prediction=result)


def _check_task(desk: _Desk, mask: PlannedMask, step: Check) -> Task:
    classes, uri = desk.round_.campaign.classes, desk.images[mask.image_id]["uri"]
    drawn = decode_mask_png(desk.round_.open_store().blob(step.mask_digest, ".png"))
    data = mask.check_data(step) | {
        "image": desk.folder.put_image(uri, mask.image_id),
        "map": desk.folder.put_map(drawn, classes),
        "overlay": desk.folder.put_overlay(uri, mask.image_id, drawn, classes),
    }
    return Task(key=data["key"], data=data, prediction=None)


def marks_note(marks: Iterable[CheckMark]) -> str:
    """What stands above an image that came back: the kind of each numbered mark; else nothing."""
    kinds = ", ".join(f"{number} {mark.error_type}" for number, mark in enumerate(marks, start=1))
    return f"Came back from the check: {kinds}" if kinds else ""
