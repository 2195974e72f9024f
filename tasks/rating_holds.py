"""Raters who declare far more images out of domain than the others: the owner says what that means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from tasks.errors import WaitingForWord

TIMES_MEDIAN = 3.0
FEWEST_DECLARED = 3  # where nobody else declares any, one or two images are no pattern

Row = dict[str, Any]


@dataclass(frozen=True)
class Declarations:
    """How many candidates a rater declared out of domain.

    Attributes:
        rater: who.
        declared: images, of `rated`.
        rated: images that the rater answered about.
        panel_share: the median of all raters' shares, 0..1.
    """

    rater: str
    declared: int
    rated: int
    panel_share: float

    @property
    def needs_a_word(self) -> bool:
        """Whether the share is above three times the panel's median."""
        return (
            self.declared >= FEWEST_DECLARED and self.declared / self.rated > TIMES_MEDIAN * self.panel_share
        )

    def __str__(self) -> str:
        return (
            f"declared {self.declared} of {self.rated} images out of domain, more than "
            f"{TIMES_MEDIAN:g} times the panel's median of {self.panel_share:.1%}"
        )


def declarations(answers: Iterable[Row]) -> list[Declarations]:
    """What every rater declared, by name.

    Args:
        answers: rows of `rated_answers` about candidates, of repeat 0.
    """
    by_rater: dict[str, list[bool]] = {}
    for row in answers:
        by_rater.setdefault(row["rater"], []).append(bool(row["out_of_domain"]))
    shares = [sum(given) / len(given) for given in by_rater.values()]
    return [
        Declarations(rater, sum(given), len(given), median(shares))
        for rater, given in sorted(by_rater.items())
    ]


def word_needed(
    campaign: str, answers: Iterable[Row], decided: Collection[str], called: Callable[[str], str]
) -> WaitingForWord | None:
    """What the round's ratings wait for before they close; None if there is nothing.

    Args:
        campaign: its name, for the command.
        answers: as for `declarations`.
        decided: raters on whom the owner has given a word.
        called: rater -> pseudonym; Prefect keeps what this says.
    """
    held = [d for d in declarations(answers) if d.needs_a_word and d.rater not in decided]
    if not held:
        return None
    names = [called(d.rater) for d in held]
    found = "; ".join(f"{name} {d}" for name, d in zip(names, held, strict=True))
    commands = "; ".join(
        f"`madloop decide {campaign} --rater {name} --out-of-domain accept` (or `disregard`)"
        for name in names
    )
    reason = f"{found}. Look at these images, then say {commands}"
    return WaitingForWord(f"a word on {', '.join(names)}", done=0, needed=len(held), reason=reason)
