"""Who draws and checks which mask, and what is next for it, from the answers so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs.people_sections import Masks
from tasks.core.check_marks import CheckMark
from tasks.core.mask_turns import Accepted, Check, Disputed, Draw, Unchecked
from tasks.errors import ConfigError
from tasks.mask_answers import MaskLog, check_key, drawing_key, marks_text
from tasks.mask_plan import PlannedMask, masks_of_set, place_of
from tasks.mask_requests import marks_note
from tasks.mask_starts import Starts

IDS = [f"{n:02d}" for n in range(10)]
ROWS = {(i, "target"): {"map_digest": f"map-{i}"} for i in IDS}
STARTS = Starts(("ground", "disc"), True, ROWS, Path("none"))
MARK = CheckMark("boundary", 1.0, 2.0)


def planned(people: Masks, log: MaskLog | None = None, ids: list[str] = IDS) -> list[PlannedMask]:
    """The masks of a set of failures."""
    return masks_of_set(ids, "failure", STARTS, people, log or MaskLog())


def drawn(mask: PlannedMask, digest: str, turn: int = 1, start: str | None = None, **changes: Any) -> Any:
    """A row of the log of drawings."""
    row = {
        "image_id": mask.image_id, "role": mask.role, "copy": mask.copy, "turn": turn,
        "start": start or mask.assignment.start, "mask_digest": digest, "state": "valid",
        "annotator": mask.assignment.author,
    }  # fmt: skip
    return row | changes


def checked(mask: PlannedMask, digest: str, *, accepted: bool, **changes: Any) -> Any:
    """A row of the log of checks."""
    row = {
        "image_id": mask.image_id, "role": mask.role, "mask_digest": digest, "accepted": accepted,
        "checker": mask.assignment.checkers[0], "marks": marks_text(() if accepted else (MARK,)),
        "state": "valid",
    }  # fmt: skip
    return row | changes


def test_masks_are_dealt_out_evenly_and_a_share_of_them_twice() -> None:
    people = Masks(annotators=("x", "y"), double_share=0.3)
    masks = planned(people)
    firsts, seconds = ([m for m in masks if m.copy == copy] for copy in (0, 1))
    assert [sum(m.assignment.author == name for m in firsts) for name in ("x", "y")] == [5, 5]
    assert len(seconds) == 3
    authors = {m.image_id: m.assignment.author for m in firsts}
    assert all(m.assignment.author != authors[m.image_id] for m in seconds)
    assert all(m.assignment.max_turns == 0 for m in seconds), "second drawings are not checked"
    again = {m.subject: m.assignment for m in planned(people, ids=IDS[::-1])}
    assert again == {m.subject: m.assignment for m in masks}, "whatever order they come in"
    assert all(m.assignment.author not in m.assignment.checkers for m in masks)


def test_a_mask_goes_to_its_checker_back_to_its_author_and_is_accepted() -> None:
    (mask,) = planned(Masks(annotators=("x",), checkers=("c",), max_turns=2), ids=["00"])
    begin = mask.step(MaskLog())
    assert begin == Draw(1, mask.assignment.start, ())
    assert place_of(mask, begin) == ("masks", "x")
    rows, checks = [drawn(mask, "m1")], []
    step = mask.step(MaskLog.of(rows, checks))
    assert step == Check(1, "m1", "c")
    assert place_of(mask, step) == ("checks", "c")
    checks.append(checked(mask, "m1", accepted=False))
    step = mask.step(MaskLog.of(rows, checks))
    assert step == Draw(2, "m1", (MARK,))
    rows.append(drawn(mask, "m2", turn=2, start="m1"))
    assert mask.step(MaskLog.of(rows, checks)) == Check(2, "m2", "c")
    accepted = [*checks, checked(mask, "m2", accepted=True)]
    assert mask.step(MaskLog.of(rows, accepted)) == Accepted(2, "m2", "c")
    rejected = [*checks, checked(mask, "m2", accepted=False)]
    assert mask.step(MaskLog.of(rows, rejected)) == Disputed(2, "m2", "c")
    assert place_of(mask, Disputed(2, "m2", "c")) is None


def test_without_turns_a_mask_is_final_and_unchecked() -> None:
    (mask,) = planned(Masks(annotators=("x",), max_turns=0), ids=["00"])
    assert mask.step(MaskLog.of([drawn(mask, "m1")], [])) == Unchecked("m1")


def test_keys_differ_by_everything_that_makes_another_question() -> None:
    masks = planned(Masks(annotators=("x", "y"), double_share=1.0))
    draws = [m.drawing_data(Draw(turn, start, ())) for m in masks for turn in (1, 2) for start in "ab"]
    checks = [m.check_data(Check(1, d, who)) for m in masks if not m.copy for d in "mn" for who in "cd"]
    assert len({data["key"] for data in draws + checks}) == 2 * len(IDS) * 4 + len(IDS) * 4


def test_no_task_with_changed_data_has_the_key_it_was_published_with() -> None:
    (mask,) = planned(Masks(annotators=("x",), checkers=("c",)), ids=["00"])
    draw, check = mask.drawing_data(Draw(1, "s", ())), mask.check_data(Check(1, "m", "c"))
    assert drawing_key(draw, "x") == draw["key"]
    assert check_key(check, "c") == check["key"]
    for data, person, key_of in ((draw, "x", drawing_key), (check, "c", check_key)):
        assert key_of(data, "somebody") != data["key"]
        for name in data.keys() - {"key"}:
            for changed in ("a/../b", 7, None, ["x"], {}):
                assert key_of({**data, name: changed}, person) != data["key"]
            assert key_of({n: value for n, value in data.items() if n != name}, person) != data["key"]


def test_the_second_drawing_stays_with_somebody_else_when_annotators_change() -> None:
    before = planned(Masks(annotators=("x", "y"), double_share=0.5))
    log = MaskLog.of([drawn(mask, f"m-{mask.image_id}") for mask in before if mask.copy == 1], [])
    after = planned(Masks(annotators=("z", "x", "y"), double_share=0.5), log)
    authors = {(m.image_id, m.copy): m.assignment.author for m in after}
    seconds = {image_id: who for (image_id, copy), who in authors.items() if copy == 1}
    assert seconds == {m.image_id: m.assignment.author for m in before if m.copy == 1}, "nobody draws again"
    assert all(authors[image_id, 0] != who for image_id, who in seconds.items())


def test_an_author_who_is_now_the_only_checker_is_said_with_the_way_out() -> None:
    (mask,) = planned(Masks(annotators=("carl",), checkers=("anna",)), ids=["00"])
    log = MaskLog.of([drawn(mask, "m1")], [])
    with pytest.raises(ConfigError, match="Name another checker, too") as caught:
        planned(Masks(annotators=("anna",), checkers=("carl",)), log, ids=["00"])
    assert "carl" not in str(caught.value), "Prefect keeps what it says"


def test_who_has_begun_a_mask_keeps_it_when_the_shares_change() -> None:
    before = planned(Masks(annotators=("x", "y"), double_share=0))
    log = MaskLog.of([drawn(mask, f"m-{mask.image_id}") for mask in before], [])
    after = planned(Masks(annotators=("z", "y"), checkers=("c",), double_share=0), log)
    assert [m.assignment.author for m in after] == [m.assignment.author for m in before]
    assert all(isinstance(mask.step(log), Check) for mask in after), "nothing is drawn again"


def test_what_comes_back_to_somebody_who_left_is_drawn_anew_by_somebody_else() -> None:
    (mask,) = planned(Masks(annotators=("x",), checkers=("c",)), ids=["00"])
    log = MaskLog.of([drawn(mask, "m1")], [checked(mask, "m1", accepted=False)])
    (after,) = planned(Masks(annotators=("z",), checkers=("c",)), log, ids=["00"])
    assert after.assignment.author == "z"
    assert after.step(log) == Draw(1, mask.assignment.start, ())


def test_a_check_keeps_its_worth_when_the_checkers_change() -> None:
    (mask,) = planned(Masks(annotators=("x",), checkers=("c",)), ids=["00"])
    log = MaskLog.of([drawn(mask, "m1")], [checked(mask, "m1", accepted=True)])
    (after,) = planned(Masks(annotators=("x",), checkers=("d",)), log, ids=["00"])
    assert after.step(log) == Accepted(1, "m1", "c")


def test_drawings_from_before_masks_were_checked_count_as_first_turns() -> None:
    (mask,) = planned(Masks(annotators=("x",), max_turns=0), ids=["00"])
    old = {name: value for name, value in drawn(mask, "m1").items() if name not in ("turn", "copy")}
    assert mask.step(MaskLog.of([old], [])) == Unchecked("m1")


@pytest.mark.parametrize("people", [{"annotators": ("x",)}, {"annotators": ("x", "y"), "checkers": ("x",)}])
def test_somebody_nobody_could_check_is_refused(people: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nobody could check the masks of 'x'"):
        Masks(**people)


def test_a_note_says_what_the_marks_are() -> None:
    assert marks_note(()) == ""
    assert marks_note((MARK, MARK)) == "Came back from the check: 1 boundary, 2 boundary"
