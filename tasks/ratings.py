"""Ratings: every rater scores the target's map of every candidate, 1 bad .. 5 excellent, or out of domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from configs.classes import Classes
from configs.settings import Settings
from tasks.answer_log import VALID, append_to_log, newest_valid, read_log
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.consensus import Rating, consensus
from tasks.core.digests import digest_of
from tasks.core.records import ANSWERS, IMAGES, MAPS, RATINGS
from tasks.errors import Waiting
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.labelling import Screen, find_project, label_studio, open_project, picture_folder
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.services.label_studio_answers import Answer, NoRating, parse_rating
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import rating_screen
from tasks.stage import stage_task

VERSION = 1
RATING_WORK = "rating"
INSTRUCTION = """<h3>How good is the predicted segmentation?</h3>
<p>Left the image, in the middle the map of the model, right both together. Judge the whole map.</p>
<p><b>1 bad</b> - most of it is wrong or missing &middot; <b>2 poor</b> - large errors &middot;
<b>3 fair</b> - clear errors, but usable &middot; <b>4 good</b> - small errors &middot;
<b>5 excellent</b> - hardly anything to correct.</p>
<p><b>0 out of domain</b> - the model should never have been shown such an image.</p>
<p>Press 1 to 5 or 0, then Enter. Please use <i>Label All Tasks</i> only,
and do not discuss single images.</p>"""

Row = dict[str, Any]


@dataclass(frozen=True)
class RatingNeed:
    """One rating that the round needs: this image with this map, by this rater."""

    image_id: str
    map_digest: str
    rater: str

    @property
    def key(self) -> str:
        """Our own key of the task in Label Studio: the same need is never published twice."""
        return digest_of(["rating", self.image_id, self.map_digest, self.rater, 0])[:32]


def needs_of(raters: Iterable[str], maps: Iterable[Row]) -> list[RatingNeed]:
    """All ratings of a round: every rater, every candidate."""
    shown = [(row["image_id"], row["map_digest"]) for row in maps if row["role"] == "target"]
    return [RatingNeed(image_id, digest, rater) for rater in raters for image_id, digest in shown]


def valid_answers(rows: Iterable[Row]) -> dict[RatingNeed, Row]:
    """The newest valid answer to every need, whoever asked and whenever."""
    first = [row for row in rows if row["repeat"] == 0]
    return newest_valid(first, lambda row: RatingNeed(row["image_id"], row["map_digest"], row["rater"]))


def answer_row(answer: Answer, rater: str, author_id: int) -> Row:
    """An answer of Label Studio as a row of the log; what is not a valid answer says so in its state."""
    parsed = parse_rating(answer)
    score, out_of_domain, state = None, None, VALID
    if isinstance(parsed, NoRating):
        state = parsed.reason
    else:
        score, out_of_domain = parsed.score, parsed.out_of_domain
    if not answer.is_by(author_id):
        state = f"foreign: {answer.authors}, not the project's rater"
    return {
        "image_id": answer.data["image_id"],
        "map_digest": answer.data["map_digest"],
        "rater": rater,
        "repeat": 0,
        "annotation_id": answer.annotation_id,
        "score": score,
        "out_of_domain": out_of_domain,
        "seconds": answer.lead_time,
        "submitted_at": answer.updated_at.isoformat(),
        "state": state,
    }


def rate(answers: Iterable[Row], model_version: str) -> list[Row]:
    """Consensus of every image as rows of `ratings`."""
    ratings = [
        Rating(r["image_id"], r["map_digest"], r["rater"], r["repeat"], r["score"], bool(r["out_of_domain"]))
        for r in answers
    ]
    scores: dict[str, list[int]] = {}
    for rating in sorted(ratings, key=lambda rating: rating.rater):
        if rating.score is not None:
            scores.setdefault(rating.image_id, []).append(rating.score)
    return [
        {
            "image_id": c.image_id,
            "model_version": model_version,
            "map_digest": c.map_digest,
            "mean_opinion_score": c.mean_opinion_score,
            "n_ratings": c.n_ratings,
            "out_of_domain": c.out_of_domain,
            "scores": scores.get(c.image_id, []),
        }
        for c in consensus(ratings)
    ]


def rating_project_screen(classes: Classes) -> Screen:
    """What raters see."""
    return Screen(
        "rating", rating_screen(classes.legend), "Rate how good the predicted maps are.", INSTRUCTION
    )


def _tasks(
    round_: Round, settings: Settings, needs: list[RatingNeed], pool: ArtifactRef, maps: ArtifactRef
) -> list[Task]:
    """The Label Studio tasks of some needs, in an order of the rater's own."""
    store, classes = round_.open_store(), round_.campaign.classes
    folder = picture_folder(round_, settings)
    uris = {row["image_id"]: row["uri"] for row in store.rows(pool, IMAGES)}
    shown = {row["image_id"]: row for row in store.rows(maps, MAPS) if row["role"] == "target"}
    file = store.path(maps, MAPS_FILE)
    tasks = []
    # Sorting by the key, a digest, gives every rater another order, and the same one in every run.
    for need in sorted(needs, key=lambda need: need.key):
        uri, label_map = uris[need.image_id], read_label_map(file, shown[need.image_id])
        data = {
            "key": need.key,
            "image_id": need.image_id,
            "map_digest": need.map_digest,
            "image": folder.put_image(uri, need.image_id),
            "map": folder.put_map(label_map, classes),
            "overlay": folder.put_overlay(uri, need.image_id, label_map, classes),
        }
        tasks.append(Task(key=need.key, data=data, prediction=None))
    return tasks


@stage_task("request ratings")
def request_ratings(
    round_: Round, settings: Settings, pool: ArtifactRef, maps: ArtifactRef
) -> dict[str, int]:
    """Publish what is still to be rated; returns project id by rater.

    Idempotent: only needs without a valid answer in the log are asked for, and each by its own key once.
    """
    store = round_.open_store()
    answered = valid_answers(read_log(round_, ANSWERS)).keys()
    needs = needs_of(round_.campaign.ratings.raters, store.rows(maps, MAPS))
    missing = [need for need in needs if need not in answered]
    if not missing:
        return {}
    screen = rating_project_screen(round_.campaign.classes)
    projects = {}
    with (
        label_studio(settings) as service,
        progress("publishing ratings", len(missing), "task") as shown,
    ):
        for rater in round_.campaign.ratings.raters:
            projects[rater] = open_project(service, round_, settings, rater, screen).project_id
            mine = [need for need in missing if need.rater == rater]
            service.publish_tasks(projects[rater], _tasks(round_, settings, mine, pool, maps))
            shown.advance(len(mine))
    return projects


def poll_ratings(round_: Round, settings: Settings) -> tuple[tuple[str, int], ...]:
    """Write new answers of all raters of this round to the log; returns the raters and their projects."""
    rows: list[Row] = []
    projects = []
    with label_studio(settings) as service:
        for rater in round_.campaign.ratings.raters:
            project = find_project(service, round_, RATING_WORK, rater)
            if project is None:
                continue  # nothing was asked of this rater in this round
            projects.append((rater, project.project_id))
            answers = service.answers_since(project.project_id, None)
            # Anybody may add a task to a project; what is not ours has none of our fields and is left alone.
            ours = [answer for answer in answers if {"image_id", "map_digest"} <= answer.data.keys()]
            rows += [answer_row(answer, rater, project.user_id) | round_.labels for answer in ours]
    append_to_log(round_, ANSWERS, rows)
    return tuple(projects)


@stage_task("collect ratings")
def collect_ratings(
    round_: Round, settings: Settings, model_version: str, maps: ArtifactRef
) -> ArtifactRef | Waiting:
    """The round's ratings once every rater has rated every candidate; until then, how many are there.

    The first complete collection closes the stage: later edits stay in the log and change nothing here.
    """
    store = round_.open_store()
    raters = round_.campaign.ratings.raters
    key = StageKey(
        "ratings",
        VERSION,
        {"campaign": round_.campaign.name, "raters": list(raters)},
        {"maps": maps.digest, "model_version": digest_of(model_version)},
    )
    found = store.find(key)
    if found is not None:
        return remember(round_, "ratings", found)
    needs = needs_of(raters, store.rows(maps, MAPS))
    answers = valid_answers(read_log(round_, ANSWERS))
    projects: tuple[tuple[str, int], ...] = ()
    if any(need not in answers for need in needs):
        projects = poll_ratings(round_, settings)
        answers = valid_answers(read_log(round_, ANSWERS))
    given = [answers[need] for need in needs if need in answers]
    if len(given) < len(needs):
        return Waiting("ratings", len(given), len(needs), projects)

    def fill(draft: Draft) -> None:
        draft.write_table(RATINGS, [row | round_.labels for row in rate(given, model_version)])

    return remember(round_, "ratings", store.make(key, fill))
