"""Raters' answers, read from Label Studio into the log so that none is lost."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import Any

from configs.settings import Settings
from tasks.answer_log import VALID, append_to_log, deletions, last_seen, read_log
from tasks.core.rating_needs import RatingNeed, need_of_task
from tasks.core.records import ANSWERS
from tasks.label_studio_projects import RATING_WORK, people_asked
from tasks.labelling import find_project, label_studio
from tasks.rounds import Round
from tasks.services.label_studio_answers import Answer, NoRating, parse_rating

Row = dict[str, Any]


def answer_row(answer: Answer, need: RatingNeed, accounts: Collection[int]) -> Row:
    """An answer of Label Studio as a row of the log; what is not a valid answer says so in its state.

    Args:
        answer: as the server has it.
        need: what its task was published for.
        accounts: of the rater.
    """
    parsed = parse_rating(answer)
    score, out_of_domain, state = None, None, VALID
    if isinstance(parsed, NoRating):
        state = parsed.reason
    else:
        score, out_of_domain = parsed.score, parsed.out_of_domain
    if not answer.is_by(accounts):
        state = f"foreign: {answer.authors}, not the project's rater"
    return {
        "image_id": need.image_id,
        "map_digest": need.map_digest,
        "rater": need.rater,
        "repeat": need.repeat,
        "annotation_id": answer.annotation_id,
        "score": score,
        "out_of_domain": out_of_domain,
        "seconds": answer.lead_time,
        "submitted_at": answer.updated_at.isoformat(),
        "state": state,
    }


def poll_ratings(round_: Round, settings: Settings) -> None:
    """Write what changed since the last look to the log, whoever the campaign names now.

    Read is what changed since a minute before the newest answer of that rater and round in the log; the first
    time, everything.
    """
    asked = people_asked(round_, RATING_WORK)
    if not asked:
        return
    log = read_log(round_, ANSWERS)
    rows: list[Row] = []
    with label_studio(settings) as service:
        for rater in asked:
            project = find_project(service, round_, RATING_WORK, rater)
            if project is None:
                continue  # somebody deleted it
            since = last_seen(_own(log, round_, rater))
            rows += _rows_of(
                round_, service.answers_since(project.project_id, since), rater, project.accounts
            )
    append_to_log(round_, ANSWERS, rows)


def reconcile_ratings(round_: Round, settings: Settings) -> None:
    """Compare the log with all that Label Studio has, before a round's ratings are closed.

    Answers that are gone are noted as deleted, and stay; if there is an answer that the log lacks, all of
    that project are read again.
    """
    asked = people_asked(round_, RATING_WORK)
    if not asked:
        return  # everything had been rated before
    log = read_log(round_, ANSWERS)
    noticed = datetime.datetime.now(datetime.UTC)
    rows: list[Row] = []
    with label_studio(settings) as service:
        for rater in asked:
            project = find_project(service, round_, RATING_WORK, rater)
            own = _own(log, round_, rater)
            present = set() if project is None else service.annotation_ids(project.project_id)
            rows += deletions(own, present, noticed)
            if project is not None and present - {row["annotation_id"] for row in own}:
                answers = service.answers_since(project.project_id, None)
                rows += _rows_of(round_, answers, rater, project.accounts)
    append_to_log(round_, ANSWERS, rows)


def _rows_of(round_: Round, answers: Iterable[Answer], rater: str, accounts: Collection[int]) -> list[Row]:
    """Rows of the log; anybody may add a task to a project, and what is not ours is left alone."""
    pairs = ((answer, need_of_task(answer.data, rater)) for answer in answers)
    return [answer_row(a, need, accounts) | round_.labels for a, need in pairs if need is not None]


def _own(log: Iterable[Row], round_: Round, rater: str) -> list[Row]:
    """What the log has of one rater's project of this round."""
    return [row for row in log if row["rater"] == rater and row["round"] == round_.number]
