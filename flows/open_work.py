"""What people still have to do in the open stage of a round, and how far each of them is."""

from __future__ import annotations

from tasks.answer_log import LOGS, VALID, newest_per_annotation, read_log
from tasks.label_studio_projects import CHECK_WORK
from tasks.mask_answers import MaskLog
from tasks.mask_plan import Sources, place_of, planned_masks
from tasks.people_progress import GivenAnswer, PersonProgress, WorkItem, given_answers, people_progress
from tasks.rating_answers import answered
from tasks.rating_batches import needs_so_far
from tasks.rounds import Round, recall, require

RATINGS, MASKS, CHECKED = (log.work for log in LOGS)


def open_work(round_: Round) -> list[WorkItem]:
    """Every answer that the open stage of the round needs; none if no stage waits for people."""
    if recall(round_, "rating_plan") is not None and recall(round_, "ratings") is None:
        return _ratings(round_)
    roles = {"masks-test": "test_set", "masks-failure": "failures"}
    if any(recall(round_, s) is not None and recall(round_, masks) is None for masks, s in roles.items()):
        return _masks(round_)
    return []


def progress_of(round_: Round) -> list[PersonProgress]:
    """How far everybody is with the open stage of the round."""
    return people_progress(open_work(round_), _answers(round_))


def _ratings(round_: Round) -> list[WorkItem]:
    needs = needs_so_far(round_, require(round_, "candidates"), require(round_, "rating_plan"))
    given = answered(round_)
    return [WorkItem(need.rater, RATINGS, need in given) for need in needs]


def _masks(round_: Round) -> list[WorkItem]:
    """Every drawing and check that was made, and the next step of every mask that is not final."""
    pool, maps, test_set = (require(round_, stage) for stage in ("pool", "maps", "test_set"))
    sources, log = Sources(pool, maps, recall(round_, "failures"), test_set), MaskLog.read(round_)
    items: list[WorkItem] = []
    for mask in planned_masks(round_, sources, log):
        for turn in mask.turns(log):
            items.append(WorkItem(mask.assignment.author, MASKS, True))
            if turn.check is not None:
                items.append(WorkItem(turn.check.checker, CHECKED, True))
        place = place_of(mask, mask.step(log))
        if place is not None:
            items.append(WorkItem(place[1], CHECKED if place[0] == CHECK_WORK else MASKS, False))
    return items


def _answers(round_: Round) -> list[GivenAnswer]:
    answers = []
    for log in LOGS:
        rows = newest_per_annotation(read_log(round_, log.record))
        own = (row for row in rows if row["state"] == VALID and row["round"] == round_.number)
        answers += given_answers(own, log.person, log.work)
    return answers
