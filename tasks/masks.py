"""Masks: dense labels of failures and test images, drawn by annotators in one shuffled list.

An image of S starts from the target's map; an image of T starts from an empty map (or a competitor's), never
from the target's, or the truth would lean to the target.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.classes import Classes
from configs.settings import Settings
from tasks.answer_log import VALID, append_to_log, newest_valid, read_log
from tasks.artifacts import ArtifactRef, ArtifactStore, Draft, StageKey
from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap
from tasks.core.records import DRAWINGS, FAILURES, IMAGES, MASKS, TEST_SETS
from tasks.core.rle import decode_brush
from tasks.errors import DataError, Waiting
from tasks.labelling import Screen, find_project, label_studio, open_project, picture_folder
from tasks.mask_starts import Starts, starts_of
from tasks.pictures import encode_mask_png
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.served_pictures import PictureFolder
from tasks.services.label_studio_answers import Answer, brush_result, parse_regions
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import dense_screen, local_file_url
from tasks.stage import stage_task

VERSION = 1
MASK_WORK = "masks"
INSTRUCTION = """<h3>Give every pixel its true class</h3>
<p>Some images start from a proposal that is often wrong, others start empty. Do not erase: paint the right
class over what is wrong. Leave only those pixels without a class that nobody could decide.</p>
<p>Keys 1 to 9 choose a class, Enter submits.</p>"""

Row = dict[str, Any]


@dataclass(frozen=True)
class MaskNeed:
    """One mask that the round needs.

    Attributes:
        image_id: the image.
        role: `failure` or `test`.
        start: digest of what it starts from.
        annotator: who draws it.
    """

    image_id: str
    role: str
    start: str
    annotator: str

    @property
    def key(self) -> str:
        """Our own key of the task in Label Studio: the same need is never published twice."""
        return digest_of(["mask", self.image_id, self.role, self.start, self.annotator])[:32]

    @property
    def subject(self) -> tuple[str, str, str]:
        """What a drawing must be of to serve this need, whoever drew it."""
        return self.image_id, self.role, self.start


@dataclass(frozen=True)
class Sources:
    """What masks are drawn on: the round's images, its maps, and the two sets (either may be left out)."""

    pool: ArtifactRef
    maps: ArtifactRef
    failures: ArtifactRef | None
    test_set: ArtifactRef


def needs_of(annotators: Sequence[str], starts: Mapping[str, str], role: str) -> list[MaskNeed]:
    """Shares of one set: images in an order given by their digests, dealt out to the annotators in turn.

    Args:
        annotators: who draws.
        starts: image_id -> digest of what it starts from.
        role: `failure` or `test`.
    """
    dealt = sorted(starts, key=lambda image_id: digest_of([role, image_id]))
    return [MaskNeed(i, role, starts[i], annotators[n % len(annotators)]) for n, i in enumerate(dealt)]


def round_needs(round_: Round, sources: Sources) -> list[MaskNeed]:
    """All masks of the round, failures and test set shuffled into one list by their keys."""
    store, annotators = round_.open_store(), round_.campaign.masks.annotators
    starts, needs = starts_of(round_, sources.maps), []
    for ref, role, record in ((sources.failures, "failure", FAILURES), (sources.test_set, "test", TEST_SETS)):
        if ref is not None:
            ids = [row["image_id"] for row in store.rows(ref, record)]
            needs += needs_of(annotators, {i: starts.digest(i, role) for i in ids}, role)
    return sorted(needs, key=lambda need: need.key)


def dense_project_screen(classes: Classes) -> Screen:
    """What annotators see."""
    return Screen(MASK_WORK, dense_screen(classes.legend), "Draw the true mask of every image.", INSTRUCTION)


def _task(round_: Round, folder: PictureFolder, row: Row, need: MaskNeed, start: LabelMap | None) -> Task:
    names = round_.campaign.classes.names
    data = {
        "key": need.key,
        "image_id": need.image_id,
        "role": need.role,
        "start": need.start,
        "image": local_file_url(folder.put_image(row["uri"], need.image_id)),
    }
    result = None
    if start is not None:
        result = brush_result(regions_of(start, names), width=row["width"], height=row["height"])
    return Task(key=need.key, data=data, prediction=result)


@stage_task("request masks")
def request_masks(round_: Round, settings: Settings, sources: Sources) -> dict[str, int]:
    """Publish what is still to be drawn; returns project id by annotator. Idempotent by our own keys."""
    store = round_.open_store()
    drawn = valid_drawings(read_log(round_, DRAWINGS)).keys()
    missing = [need for need in round_needs(round_, sources) if need.subject not in drawn]
    if not missing:
        return {}
    images = {row["image_id"]: row for row in store.rows(sources.pool, IMAGES)}
    folder, starts = picture_folder(round_, settings), starts_of(round_, sources.maps)
    screen = dense_project_screen(round_.campaign.classes)
    projects = {}
    with (
        label_studio(settings) as service,
        progress("publishing masks", len(missing), "task") as shown,
    ):
        for annotator in round_.campaign.masks.annotators:
            projects[annotator] = open_project(service, round_, settings, annotator, screen).project_id
            mine = [need for need in missing if need.annotator == annotator]
            tasks = [
                _task(round_, folder, images[need.image_id], need, starts.map_of(need.image_id, need.start))
                for need in mine
            ]
            service.publish_tasks(projects[annotator], tasks)
            shown.advance(len(mine))
    return projects


@dataclass(frozen=True)
class Canvas:
    """What a mask is drawn on.

    Attributes:
        names: class names, index 0 first.
        base: the map the annotator started from, None for an empty one.
        shape: height and width of the image in pixels.
    """

    names: Sequence[str]
    base: LabelMap | None
    shape: tuple[int, int]


def drawing_row(store: ArtifactStore, answer: Answer, annotator: str, canvas: Canvas) -> Row:
    """A drawing of Label Studio as a row of the log, its mask kept as a blob.

    A drawing that cannot be used keeps its place in the log with the reason as its state.
    """
    row: Row = {
        "image_id": answer.data["image_id"],
        "role": answer.data["role"],
        "start": answer.data["start"],
        "annotator": annotator,
        "annotation_id": answer.annotation_id,
        "seconds": answer.lead_time,
        "submitted_at": answer.updated_at.isoformat(),
        "state": VALID,
    }
    if answer.was_cancelled:
        return row | {"state": "skipped"}
    if not answer.result:
        return row | {"state": "empty"}
    height, width = canvas.shape
    try:
        where = f"annotation {answer.annotation_id} by {annotator}"
        regions = [
            BrushRegion(r.label, decode_brush(r.rle, height=height, width=width), r.is_human)
            for r in parse_regions(answer.result, height=height, width=width, where=where)
        ]
        mask = compose_mask(regions, names=canvas.names, base=canvas.base, height=height, width=width)
    except (DataError, ValueError) as error:
        return row | {"state": f"malformed: {error}"}
    digest = store.put_blob(encode_mask_png(mask.label_map), ".png")
    return row | {"mask_digest": digest, "uncovered_px": mask.uncovered_px, "conflict_px": mask.conflict_px}


def valid_drawings(rows: Iterable[Row]) -> dict[tuple[str, str, str], Row]:
    """The newest valid drawing by image_id, role and start."""
    return newest_valid(rows, lambda row: (row["image_id"], row["role"], row["start"]))


def usable_answers(answers: Iterable[Answer], images: Collection[str]) -> Iterator[Answer]:
    """The answers to tasks that this code published about images of the round.

    Anybody may add a task to a project; what is not ours has none of our fields and is left alone.
    """
    for answer in answers:
        if {"image_id", "role", "start"} <= answer.data.keys() and answer.data["image_id"] in images:
            yield answer


def poll_drawings(round_: Round, settings: Settings, sources: Sources) -> tuple[int, ...]:
    """Write new drawings of all annotators of this round to the log; returns the ids of their projects."""
    starts = starts_of(round_, sources.maps)
    images = {row["image_id"]: row for row in round_.open_store().rows(sources.pool, IMAGES)}
    logged = {(r["annotation_id"], r["submitted_at"]) for r in read_log(round_, DRAWINGS)}
    rows: list[Row] = []
    projects = []
    with label_studio(settings) as service:
        for annotator in round_.campaign.masks.annotators:
            project = find_project(service, round_, MASK_WORK, annotator)
            if project is None:
                continue  # nothing was asked of this annotator in this round
            projects.append(project.project_id)
            for answer in usable_answers(service.answers_since(project.project_id, None), images):
                if (answer.annotation_id, answer.updated_at.isoformat()) in logged:
                    continue
                row = _polled_row(round_, answer, annotator, images[answer.data["image_id"]], starts)
                if not answer.is_by(project.user_id):
                    row["state"] = f"foreign: {answer.authors}, not the project's annotator"
                rows.append(row | round_.labels)
    append_to_log(round_, DRAWINGS, rows)
    return tuple(projects)


def _polled_row(round_: Round, answer: Answer, annotator: str, image: Row, starts: Starts) -> Row:
    """An answer as a row of the log; one on a start that the round does not have cannot be used."""
    shape = (image["height"], image["width"])
    store = round_.open_store()
    try:
        base = starts.map_of(image["image_id"], answer.data["start"])
    except DataError as error:
        row = drawing_row(store, answer, annotator, Canvas(starts.names, None, shape))
        return row | {"state": f"stale: {error}"}
    return drawing_row(store, answer, annotator, Canvas(starts.names, base, shape))


@stage_task("collect masks")
def collect_masks(round_: Round, settings: Settings, sources: Sources, role: str) -> ArtifactRef | Waiting:
    """The masks of one set (`failure` or `test`) once all are drawn; until then, how far the round is."""
    store = round_.open_store()
    set_ref = sources.failures if role == "failure" else sources.test_set
    if set_ref is None:
        raise ValueError("the failures are not among the sources of this round")
    key = StageKey(
        "masks",
        VERSION,
        {
            "campaign": round_.campaign.name,
            "role": role,
            "masks": round_.campaign.masks.model_dump(mode="json", exclude={"seconds_per_mask"}),
            "classes": list(round_.campaign.classes.names),
        },
        {"set": set_ref.digest, "maps": sources.maps.digest},
    )
    found = store.find(key)
    if found is not None:
        return remember(round_, f"masks-{role}", found)
    needs = round_needs(round_, sources)
    projects: tuple[int, ...] = ()
    drawn = valid_drawings(read_log(round_, DRAWINGS))
    if any(need.subject not in drawn for need in needs):
        projects = poll_drawings(round_, settings, sources)
        drawn = valid_drawings(read_log(round_, DRAWINGS))
    if any(need.role == role and need.subject not in drawn for need in needs):
        done = sum(need.subject in drawn for need in needs)
        return Waiting("masks", done, len(needs), projects)

    def fill(draft: Draft) -> None:
        rows = [mask_row(drawn[need.subject]) for need in needs if need.role == role]
        for row in rows:
            content = store.blob(row["mask_digest"], ".png")
            draft.write_file(f"{row['image_id']}.png", content, identity=True)
        draft.write_table(MASKS, [row | round_.labels for row in rows])

    return remember(round_, f"masks-{role}", store.make(key, fill))


def mask_row(drawing: Row) -> Row:
    """A valid drawing as a row of `masks`; nobody checks it yet, so its verdict is that of its author."""
    columns = ("image_id", "role", "mask_digest", "annotator", "uncovered_px", "conflict_px", "seconds")
    return {name: drawing[name] for name in columns} | {"verdict": "unchecked", "turn": 1}
