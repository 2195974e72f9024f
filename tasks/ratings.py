"""Ratings: every rater scores the target's map of every candidate, 1 bad .. 5 excellent, or out of domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.classes import Classes
from configs.settings import Settings
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.digests import digest_of
from tasks.core.rating_needs import RatingNeed, in_order, of_rater
from tasks.core.records import GOLD, IMAGES, MAPS, RATED_ANSWERS, RATING_PLAN, RATINGS
from tasks.decisions import decisions_of
from tasks.errors import ConfigError, ServiceError, Waiting
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.label_studio_projects import RATING_WORK, newest_projects
from tasks.labelling import Screen, label_studio, open_project, picture_folder
from tasks.progress import progress
from tasks.pseudonyms import Pseudonyms
from tasks.rating_answers import answered, is_about_candidate
from tasks.rating_batches import (
    adaptive_rule,
    disregarded_raters,
    needs_so_far,
    rated_in_full,
)
from tasks.rating_holds import word_needed
from tasks.rating_instructions import served_instructions
from tasks.rating_polls import poll_ratings, reconcile_ratings
from tasks.rating_results import rate, rated_answers
from tasks.rounds import Round, recall, remember
from tasks.served_pictures import PictureFolder
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import rating_screen
from tasks.stage import stage_task
from tasks.warnings_log import warn

VERSION = 2

Row = dict[str, Any]


@dataclass(frozen=True)
class RatingSources:
    """What is rated: the round's images, its maps, its drawing order, and the plan of who is shown what."""

    pool: ArtifactRef
    maps: ArtifactRef
    candidates: ArtifactRef
    plan: ArtifactRef


def rating_project_screen(classes: Classes, instruction: str) -> Screen:
    """What raters see."""
    return Screen(
        RATING_WORK, rating_screen(classes.legend), "Rate how good the predicted maps are.", instruction
    )


@dataclass(frozen=True)
class _Pictures:
    """The pictures of tasks: images by their place, maps by their file and row."""

    folder: PictureFolder
    classes: Classes
    uris: Mapping[str, str]
    maps: Mapping[tuple[str, str], tuple[Path, Row]]

    def task(self, need: RatingNeed) -> Task:
        """The task of a need; candidates, repeats and gold images look the same in it."""
        uri, (file, row) = self.uris[need.image_id], self.maps[need.shown]
        label_map = read_label_map(file, row)
        data = {
            "key": need.key,
            "image_id": need.image_id,
            "map_digest": need.map_digest,
            "image": self.folder.put_image(uri, need.image_id),
            "map": self.folder.put_map(label_map, self.classes),
            "overlay": self.folder.put_overlay(uri, need.image_id, label_map, self.classes),
        }
        return Task(key=need.key, data=data, prediction=None)


def _pictures(round_: Round, settings: Settings, sources: RatingSources) -> _Pictures:
    store = round_.open_store()
    maps: dict[tuple[str, str], tuple[Path, Row]] = {}
    for ref, record in ((sources.maps, MAPS), (sources.plan, GOLD)):
        file = store.path(ref, MAPS_FILE)
        rows = [row for row in store.rows(ref, record) if row.get("role", "target") == "target"]
        maps |= {(row["image_id"], row["map_digest"]): (file, row) for row in rows}
    uris = {row["image_id"]: row["uri"] for row in store.rows(sources.pool, IMAGES)}
    return _Pictures(picture_folder(round_, settings), round_.campaign.classes, uris, maps)


@stage_task("request ratings")
def request_ratings(round_: Round, settings: Settings, sources: RatingSources) -> tuple[tuple[str, int], ...]:
    """Publish what is still to be rated; returns those who have to and the ids of their projects.

    What raters have done since the last run is read first, so that nothing they did is prepared again.
    Idempotent: only needs without a valid answer in the log are asked for, and each by its own key once. So a
    task that somebody deleted comes back, unless its answer is in the log.
    """
    missing = _missing(round_, sources)
    if missing:
        poll_ratings(round_, settings)
        missing = _missing(round_, sources)
    if not missing:
        return ()
    pictures = _pictures(round_, settings, sources)
    screen = rating_project_screen(round_.campaign.classes, served_instructions(round_, settings))
    raters = sorted({need.rater for need in missing})
    projects = []
    with (
        label_studio(settings) as service,
        progress("publishing ratings", len(missing), "task") as shown,
    ):
        for rater in raters:
            number = open_project(service, round_, settings, rater, screen).project_id
            mine = in_order(of_rater(missing, rater))
            service.publish_tasks(number, [pictures.task(need) for need in mine])
            projects.append((rater, number))
            shown.advance(len(mine))
    return tuple(projects)


def _missing(round_: Round, sources: RatingSources) -> list[RatingNeed]:
    """The ratings that are needed by now and that the log does not have."""
    given = answered(round_)
    return [need for need in needs_so_far(round_, sources.candidates, sources.plan) if need not in given]


@stage_task("collect late ratings")
def collect_late_ratings(round_: Round, settings: Settings) -> None:
    """Write what raters of a round did after its ratings were closed to the log, where it changes nothing.

    For the same reason a Label Studio that is away does not stop the run.
    """
    if recall(round_, "ratings") is None:
        return
    try:
        poll_ratings(round_, settings)
    except (ConfigError, ServiceError) as error:
        warn(f"Late ratings of round {round_.number} could not be looked for: {error}")


@stage_task("collect ratings")
def collect_ratings(
    round_: Round, settings: Settings, model_version: str, sources: RatingSources
) -> ArtifactRef | Waiting:
    """The round's ratings once every rater has rated every candidate; until then, how many are there.

    The first complete collection closes the stage: later edits stay in the log and change nothing here. It
    waits for a word if a rater declared far more images out of domain than the others.
    """
    store, disregarded = round_.open_store(), disregarded_raters(round_)
    key = StageKey(
        "ratings",
        VERSION,
        {
            "campaign": round_.campaign.name,
            "disregarded": disregarded,
            "adaptive": _adaptive_settings(round_),
        },
        {"plan": sources.plan.digest, "model_version": digest_of(model_version)},
    )
    found = store.find(key)
    if found is not None:
        return remember(round_, "ratings", found)
    waiting: Waiting | None = _still_missing(round_, settings, sources)
    if waiting is not None:
        return waiting
    used = rated_answers(store.rows(sources.plan, RATING_PLAN), answered(round_), disregarded)
    about_candidates = [row for row in used if is_about_candidate(row)]
    called = Pseudonyms(store).of
    waiting = word_needed(round_.campaign.name, about_candidates, decisions_of(round_), called)
    if waiting is not None:
        return waiting

    def fill(draft: Draft) -> None:
        in_full = rated_in_full(about_candidates, round_.campaign.ratings.raters)
        rows = rate([row for row in used if row["counts"]], model_version, in_full)
        draft.write_table(RATINGS, [row | round_.labels for row in rows])
        draft.write_table(RATED_ANSWERS, [row | round_.labels for row in used])

    return remember(round_, "ratings", store.make(key, fill))


def _still_missing(round_: Round, settings: Settings, sources: RatingSources) -> Waiting | None:
    """How far people are, after a look at Label Studio if the log has not all; None if nothing is missing."""
    if _missing(round_, sources):
        poll_ratings(round_, settings)
    if not _missing(round_, sources):
        reconcile_ratings(round_, settings)
    missing = _missing(round_, sources)  # what was found only now may make further ratings necessary
    if not missing:
        return None
    needed = len(needs_so_far(round_, sources.candidates, sources.plan))
    projects = newest_projects(round_, ((RATING_WORK, need.rater) for need in missing))
    return Waiting("ratings", needed - len(missing), needed, projects)


def _adaptive_settings(round_: Round) -> Row | None:
    """What decides which images are not rated on; None where every image is rated in full."""
    if not round_.campaign.ratings.adaptive:
        return None
    return asdict(adaptive_rule(round_.campaign)) | round_.campaign.test_set.model_dump(mode="json")
