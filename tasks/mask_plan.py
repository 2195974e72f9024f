"""Which masks a round needs, who draws and checks each, and what is next for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from configs.people_sections import Masks
from tasks.artifacts import ArtifactRef
from tasks.core.digests import digest_of
from tasks.core.mask_shares import assign_authors, assign_checkers, assign_doubles
from tasks.core.mask_turns import Assignment, Check, Draw, Step, Turn, next_step, turns_taken
from tasks.core.records import FAILURES, TEST_SETS
from tasks.errors import ConfigError
from tasks.label_studio_projects import CHECK_WORK, MASK_WORK
from tasks.mask_answers import CHECK_FIELDS, DRAWING_FIELDS, MaskLog, check_key, drawing_key
from tasks.mask_starts import Starts, starts_of
from tasks.rounds import Round

Role = Literal["failure", "test"]
Row = dict[str, Any]
Place = tuple[str, str]  # kind of work, person


@dataclass(frozen=True)
class Sources:
    """What masks are drawn on: the round's images, its maps, and the two sets (either may be left out)."""

    pool: ArtifactRef
    maps: ArtifactRef
    failures: ArtifactRef | None
    test_set: ArtifactRef


@dataclass(frozen=True)
class PlannedMask:
    """One mask that the round needs.

    Attributes:
        image_id: the image.
        role: `failure` or `test`.
        copy: 0 for the mask that counts, 1 for a second drawing that only shows how far people agree.
        assignment: who draws and who checks it, and what it starts from.
    """

    image_id: str
    role: Role
    copy: int
    assignment: Assignment

    @property
    def subject(self) -> tuple[str, str, int]:
        """What a drawing must be of."""
        return self.image_id, self.role, self.copy

    def step(self, log: MaskLog) -> Step:
        """What is next for it, or how it ended."""
        return next_step(self.assignment, log.drawn(self.subject), log.checked(self.subject))

    def turns(self, log: MaskLog) -> tuple[Turn, ...]:
        """Its turns so far."""
        return turns_taken(self.assignment, log.drawn(self.subject), log.checked(self.subject))

    def drawing_data(self, step: Draw) -> Row:
        """What the answers to a task to draw are known by, in the task's data."""
        fields = dict(zip(DRAWING_FIELDS, (*self.subject, step.turn, step.start), strict=True))
        return {"key": drawing_key(fields, self.assignment.author)} | fields

    def check_data(self, step: Check) -> Row:
        """What the answers to a task to check are known by, in the task's data."""
        fields = dict(zip(CHECK_FIELDS, (self.image_id, self.role, step.mask_digest), strict=True))
        return {"key": check_key(fields, step.checker)} | fields


def planned_masks(round_: Round, sources: Sources, log: MaskLog) -> list[PlannedMask]:
    """All masks of the round, failures and test set shuffled into one list by their digests."""
    store, starts = round_.open_store(), starts_of(round_, sources.maps)
    planned: list[PlannedMask] = []
    sets: tuple[tuple[ArtifactRef | None, Role, Any], ...] = (
        (sources.failures, "failure", FAILURES),
        (sources.test_set, "test", TEST_SETS),
    )
    for ref, role, record in sets:
        if ref is not None:
            ids = [row["image_id"] for row in store.rows(ref, record)]
            planned += masks_of_set(ids, role, starts, round_.campaign.masks, log)
    return sorted(planned, key=lambda mask: digest_of(["mask order", *mask.subject]))


@dataclass(frozen=True)
class _Copy:
    """One copy of the masks of a set: `places` says what each image starts from."""

    places: Mapping[str, str]
    role: Role
    number: int
    people: Masks
    log: MaskLog

    def planned(self, dealt: Mapping[str, str]) -> list[PlannedMask]:
        """The masks: by who has begun them, or else by who was dealt them."""
        begun = {
            image_id: author
            for image_id, start in self.places.items()
            if (author := self.log.author((image_id, self.role, self.number), start)) is not None
        }
        authors = {**dealt, **begun}
        masks = self._assigned(authors)
        # Somebody who is not asked any more cannot correct what came back: somebody else draws it anew.
        left = {
            mask.image_id: dealt[mask.image_id]
            for mask in masks
            if mask.assignment.author not in self.people.annotators and isinstance(mask.step(self.log), Draw)
        }
        return self._assigned({**authors, **left}) if left else masks

    def _assigned(self, authors: Mapping[str, str]) -> list[PlannedMask]:
        asked: dict[str, tuple[str, ...]] = {}
        if self.people.max_turns:
            for image_id, author in authors.items():
                if not set(self.people.all_checkers) - {author}:
                    raise ConfigError(
                        f"The mask of {image_id} must be checked by somebody else than who drew it, but that "
                        "is the only one in `masks.checkers`. Name another checker, too; or set "
                        "`masks.max_turns: 0` for masks without a check."
                    )
            asked = assign_checkers(authors, self.role, self.people.all_checkers)
        masks = []
        for image_id, start in self.places.items():
            author, checkers = authors[image_id], asked.get(image_id, ())
            if checkers:  # a check that was made keeps its worth when the checkers change
                before = self.log.checkers((image_id, self.role, self.number)) - {author, *checkers}
                checkers = (*checkers, *sorted(before))
            assignment = Assignment(author, checkers, start, self.people.max_turns)
            masks.append(PlannedMask(image_id, self.role, self.number, assignment))
        return masks


def masks_of_set(
    image_ids: Iterable[str], role: Role, starts: Starts, people: Masks, log: MaskLog
) -> list[PlannedMask]:
    """The masks of one set. Who has drawn or checked one already keeps it, whatever the shares are now.

    Raises:
        ConfigError: the only checker of a mask is who drew it.
    """
    places = {image_id: starts.digest(image_id, role) for image_id in image_ids}
    if len(people.annotators) < 2:
        dealt = assign_authors(places, role, people.annotators)
        return _Copy(places, role, 0, people, log).planned(dealt)
    twice = {i: who for i, start in places.items() if (who := log.author((i, role, 1), start)) is not None}
    dealt = assign_authors(places, role, people.annotators, barred=twice)
    firsts = _Copy(places, role, 0, people, log).planned(dealt)
    authors = {mask.image_id: mask.assignment.author for mask in firsts}
    second = assign_doubles(authors, role, people.annotators, people.double_share)
    unchecked = people.model_copy(update={"max_turns": 0})
    doubled = {image_id: places[image_id] for image_id in second}
    return firsts + _Copy(doubled, role, 1, unchecked, log).planned(second)


def place_of(mask: PlannedMask, step: Step) -> Place | None:
    """Who has to do a step, as what; None if nothing is to be done."""
    if isinstance(step, Draw):
        return MASK_WORK, mask.assignment.author
    return (CHECK_WORK, step.checker) if isinstance(step, Check) else None
