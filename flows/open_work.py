"""What people still have to do in the open stage of a round, and how far each of them is."""

from __future__ import annotations

from tasks.answer_log import VALID, newest_per_annotation, read_log
from tasks.core.records import ANSWERS, CHECKS, DRAWINGS, MAPS, Record
from tasks.masks import Sources, round_needs, valid_drawings
from tasks.people_progress import GivenAnswer, PersonProgress, WorkItem, given_answers, people_progress
from tasks.ratings import needs_of, valid_answers
from tasks.rounds import Round, recall, require

RATINGS, MASKS, CHECKED = "ratings", "masks", "checks"
_LOGS: tuple[tuple[Record, str, str], ...] = (
    (ANSWERS, "rater", RATINGS),
    (DRAWINGS, "annotator", MASKS),
    (CHECKS, "checker", CHECKED),
)


def open_work(round_: Round) -> list[WorkItem]:
    """Every answer that the open stage of the round needs; none if no stage waits for people."""
    if recall(round_, "maps") is not None and recall(round_, "ratings") is None:
        return _ratings(round_)
    roles = {"masks-test": "test_set", "masks-failure": "failures"}
    if any(recall(round_, s) is not None and recall(round_, masks) is None for masks, s in roles.items()):
        return _masks(round_)
    return []


def progress_of(round_: Round) -> list[PersonProgress]:
    """How far everybody is with the open stage of the round."""
    return people_progress(open_work(round_), _answers(round_))


def _ratings(round_: Round) -> list[WorkItem]:
    shown = round_.open_store().rows(require(round_, "maps"), MAPS)
    answered = valid_answers(read_log(round_, ANSWERS))
    needs = needs_of(round_.campaign.ratings.raters, shown)
    return [WorkItem(need.rater, RATINGS, need in answered) for need in needs]


def _masks(round_: Round) -> list[WorkItem]:
    pool, maps, test_set = (require(round_, stage) for stage in ("pool", "maps", "test_set"))
    drawn = valid_drawings(read_log(round_, DRAWINGS))
    needs = round_needs(round_, Sources(pool, maps, recall(round_, "failures"), test_set))
    return [WorkItem(need.annotator, MASKS, need.subject in drawn) for need in needs]


def _answers(round_: Round) -> list[GivenAnswer]:
    answers = []
    for record, column, work in _LOGS:
        rows = newest_per_annotation(read_log(round_, record))
        own = (row for row in rows if row["state"] == VALID and row["round"] == round_.number)
        answers += given_answers(own, column, work)
    return answers
