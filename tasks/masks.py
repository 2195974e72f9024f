"""Masks: dense labels of failures and test images, drawn by annotators and checked by others.

An image of S starts from the target's map; an image of T starts from an empty map (or a competitor's), never
from the target's, or the truth would lean to the target. A mask that a checker sends back is drawn again by
its author; one that never passes goes to the list for discussion and is used for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from configs.settings import Settings
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.mask_turns import Accepted, Check, Disputed, Draw, Step, Unchecked
from tasks.core.records import DOUBLE_MASKS, MASK_TURNS, MASKS
from tasks.core.scores import maps_miou
from tasks.errors import Waiting
from tasks.label_studio_projects import newest_projects
from tasks.mask_answers import MaskLog, marks_text
from tasks.mask_plan import PlannedMask, Role, Sources, place_of, planned_masks
from tasks.mask_polls import poll_masks
from tasks.mask_requests import publish_steps
from tasks.pictures import decode_mask_png
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 2
_VERDICTS = {Accepted: "accepted", Unchecked: "unchecked", Disputed: "disputed"}

Row = dict[str, Any]


@stage_task("request masks")
def request_masks(round_: Round, settings: Settings, sources: Sources) -> tuple[tuple[str, int], ...]:
    """Publish what is next for every mask of the round: drawings, checks, corrections.

    What people have done since the last run is read first, so that nothing they did is prepared again.

    Returns:
        (person, id of the project) of those who have something to do.
    """
    planned, log, _ = _up_to_date(round_, settings, sources)
    return publish_steps(round_, settings, sources, planned, log)


@stage_task("collect masks")
def collect_masks(round_: Round, settings: Settings, sources: Sources, role: Role) -> ArtifactRef | Waiting:
    """The masks of one set (`failure` or `test`) once all are final; until then, how far the round is.

    What new answers ask for next is published before it ends; the rest was, by `request_masks`.
    """
    key = _key(round_, sources, role)
    found = round_.open_store().find(key)
    if found is not None:
        return remember(round_, f"masks-{role}", found)
    planned, log, has_moved = _up_to_date(round_, settings, sources)
    of_role = [mask for mask in planned if mask.role == role]
    if not all(_is_final(mask.step(log)) for mask in of_role):
        if has_moved:
            publish_steps(round_, settings, sources, planned, log)
        places = [place for mask in planned if (place := place_of(mask, mask.step(log))) is not None]
        done = len(planned) - len(places)
        return Waiting("masks", done, len(planned), newest_projects(round_, places), log.n_valid)

    def fill(draft: Draft) -> None:
        _write(round_, draft, of_role, log)

    return remember(round_, f"masks-{role}", round_.open_store().make(key, fill))


def _up_to_date(
    round_: Round, settings: Settings, sources: Sources
) -> tuple[list[PlannedMask], MaskLog, bool]:
    """The masks of the round and the log, after a look at Label Studio if some mask is not final.

    Returns:
        Masks, log, and whether the look has changed what is next for any mask.
    """
    log = MaskLog.read(round_)
    planned = planned_masks(round_, sources, log)
    before = [(mask.assignment.author, mask.step(log)) for mask in planned]
    if all(_is_final(step) for _, step in before):
        return planned, log, False
    poll_masks(round_, settings, sources)
    log = MaskLog.read(round_)
    planned = planned_masks(round_, sources, log)
    return planned, log, [(mask.assignment.author, mask.step(log)) for mask in planned] != before


def _key(round_: Round, sources: Sources, role: Role) -> StageKey:
    set_ref = sources.failures if role == "failure" else sources.test_set
    if set_ref is None:
        raise ValueError("the failures are not among the sources of this round")
    campaign = round_.campaign
    people = campaign.masks.model_dump(mode="json", exclude={"seconds_per_mask", "seconds_per_check"})
    return StageKey(
        "masks",
        VERSION,
        {"campaign": campaign.name, "role": role, "masks": people, "classes": list(campaign.classes.names)},
        {"set": set_ref.digest, "maps": sources.maps.digest},
    )


def _is_final(step: Step) -> bool:
    return not isinstance(step, Draw | Check)


def _write(round_: Round, draft: Draft, masks: Sequence[PlannedMask], log: MaskLog) -> None:
    """Write final masks, how they came about, and how far those who drew an image twice agree."""
    store = round_.open_store()
    counted = {mask.image_id: mask for mask in masks if mask.copy == 0}
    rows = [mask_row(mask, log) for mask in counted.values()]
    for row in rows:
        draft.write_file(f"{row['image_id']}.png", store.blob(row["mask_digest"], ".png"), identity=True)
    draft.write_table(MASKS, [row | round_.labels for row in rows])
    turns = [row for mask in counted.values() for row in turn_rows(mask, log)]
    draft.write_table(MASK_TURNS, [row | round_.labels for row in turns])

    doubles = [
        double_row(round_, counted[second.image_id], second, log) for second in masks if second.copy == 1
    ]
    draft.write_table(DOUBLE_MASKS, [row | round_.labels for row in doubles])


def mask_row(mask: PlannedMask, log: MaskLog) -> Row:
    """A final mask as a row of `masks`."""
    step = mask.step(log)
    if isinstance(step, Draw | Check):
        raise TypeError(f"a final mask was required, but {mask.subject} still needs {step}")
    drawing = log.drawing(mask.subject, step.mask_digest)
    columns = ("image_id", "role", "mask_digest", "annotator", "uncovered_px", "conflict_px", "seconds")
    return {name: drawing[name] for name in columns} | {
        "verdict": _VERDICTS[type(step)],
        "checker": None if isinstance(step, Unchecked) else step.checker,
        "turn": 1 if isinstance(step, Unchecked) else step.turn,
    }


def turn_rows(mask: PlannedMask, log: MaskLog) -> list[Row]:
    """Every turn of a mask as rows of `mask_turns`."""
    return [
        {
            "image_id": mask.image_id,
            "role": mask.role,
            "turn": turn.number,
            "mask_digest": turn.mask_digest,
            "annotator": mask.assignment.author,
            "checker": None if turn.check is None else turn.check.checker,
            "accepted": None if turn.check is None else turn.check.accepted,
            "marks": None if turn.check is None else marks_text(turn.check.marks),
        }
        for turn in mask.turns(log)
    ]


def double_row(round_: Round, first: PlannedMask, second: PlannedMask, log: MaskLog) -> Row:
    """How far two people agree on an image: the first drawings of both, before any check."""
    store = round_.open_store()
    drawn, other = (
        decode_mask_png(store.blob(mask.turns(log)[0].mask_digest, ".png")) for mask in (first, second)
    )
    return {
        "image_id": first.image_id,
        "role": first.role,
        "annotator": first.assignment.author,
        "second_annotator": second.assignment.author,
        "miou": maps_miou(drawn, other, round_.campaign.classes.count),
    }
