"""The sections of a campaign file on people: raters, annotators, checkers, what they cost, simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.sections import Section

# Together with a campaign's name it fits into a Label Studio project title, of 50 characters at most.
PERSON_PATTERN = r"^[a-z0-9][a-z0-9-]{0,13}$"
Person = Annotated[str, Field(pattern=PERSON_PATTERN)]
PersonRole = Literal["rater", "annotator", "checker"]


def _require_different(field: str, people: tuple[str, ...]) -> None:
    if len(set(people)) != len(people):
        raise ValueError(f"`{field}` must be different people, got {list(people)}")


class Ratings(Section):
    """Absolute category ratings of the target's maps."""

    raters: tuple[Person, ...] = Field(
        default=("rater-1", "rater-2", "rater-3"), min_length=1, description="Names of the raters."
    )
    repeat_share: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="Share of a rater's images that are shown a second time, unannounced: self-consistency.",
    )
    gold_share: float = Field(
        default=0.03,
        ge=0,
        le=0.5,
        description="Images of S(0) whose right score is known, as a share of a rater's images.",
    )
    adaptive: bool = Field(
        default=False,
        description="Stop rating an image once it can hardly belong to S; T and S always get all raters.",
    )
    instructions: Path | None = Field(
        default=None,
        description="HTML file shown before the first task; pictures beside it by <img src>. Default: a text "
        "of ours.",
    )
    seconds_per_rating: float = Field(
        default=10.0, gt=0, description="For the plan: seconds one rating takes."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_different("raters", self.raters)
        return self


class Masks(Section):
    """Dense labelling of failures and test set."""

    annotators: tuple[Person, ...] = Field(
        default=("annotator-1", "annotator-2"), min_length=1, description="Names of the annotators."
    )
    checkers: tuple[Person, ...] | None = Field(
        default=None,
        min_length=1,
        description="Who checks masks; never the author of one. Default: the annotators, one another's.",
    )
    max_turns: int = Field(
        default=3,
        ge=0,
        le=9,
        description="How often a mask may be drawn before it goes to the list for discussion; 0: no checks.",
    )
    double_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the masks drawn a second time by somebody else, to see how far people agree.",
    )
    test_start: Literal["empty", "competitor"] = Field(
        default="empty", description="What an annotator of a test image starts from; never the target's map."
    )
    seconds_per_mask: float = Field(default=240.0, gt=0, description="For the plan: seconds one mask takes.")
    seconds_per_check: float = Field(default=30.0, gt=0, description="For the plan: seconds one check takes.")

    @property
    def all_checkers(self) -> tuple[str, ...]:
        """Who checks masks; empty if nobody does."""
        return (self.checkers or self.annotators) if self.max_turns else ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_different("annotators", self.annotators)
        _require_different("checkers", self.checkers or ())
        alone = [a for a in self.annotators if not set(self.all_checkers) - {a}]
        if self.max_turns and alone:
            raise ValueError(
                f"nobody could check the masks of {alone[0]!r}, since no one checks their own: name more "
                "`annotators` or `checkers`, or set `max_turns: 0` for masks without a check"
            )
        return self


class Costs(Section):
    """What people's time costs; records hold seconds, money is for the eye."""

    price_per_hour: float | None = Field(
        default=None, gt=0, description="Price of an hour of a person's work; null: no money in the report."
    )
    currency: str = Field(default="EUR", max_length=8, description="What stands behind amounts of money.")


class SimulatedPeople(Section):
    """People made of code, for demonstrations and tests. The pipeline itself never reads this section."""

    truth: Path = Field(
        description="Folder with the pool's true masks, by stem; only the people process opens it."
    )
    out_of_domain: Path | None = Field(
        default=None, description="Text file with the stems that are out of domain."
    )
    seed: int = Field(default=0, ge=0)
    rater_noise: float = Field(default=0.7, ge=0, description="Standard deviation, in score units.")
    rater_bias: tuple[float, ...] = Field(
        default=(-0.3, 0.0, 0.3), description="Per rater in turn, in score units."
    )
    out_of_domain_probability: float = Field(default=0.7, ge=0, le=1)
    anchoring: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Probability that a wrong pre-annotated region is left as it was.",
    )
    attention: float = Field(
        default=0.8, ge=0, le=1, description="Probability that a checker notices an error that can be seen."
    )
