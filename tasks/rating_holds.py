"""Raters who declare far more images out of domain than the others: the owner says what that means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from tasks.core.rater_flags import ScreeningRule, out_of_domain_flags
from tasks.core.rater_measures import declared_out_of_domain
from tasks.errors import WaitingForWord
from tasks.rating_answers import rating_of

Row = dict[str, Any]


def far_from_the_panel(answers: Iterable[Row]) -> dict[str, str]:
    """Raters whom the screening flags for what they declared, and its words; by name.

    Args:
        answers: rows of `rated_answers` about candidates, of repeat 0.
    """
    counts = dict(sorted(declared_out_of_domain(map(rating_of, answers)).items()))
    flags = (out_of_domain_flags(list(counts.values()), i, ScreeningRule()) for i in range(len(counts)))
    return {rater: "; ".join(words) for rater, words in zip(counts, flags, strict=True) if words}


def word_needed(
    campaign: str, answers: Iterable[Row], decided: Collection[str], called: Callable[[str], str]
) -> WaitingForWord | None:
    """What the round's ratings wait for before they close; None if there is nothing.

    Args:
        campaign: its name, for the command.
        answers: as for `far_from_the_panel`.
        decided: raters on whom the owner has given a word.
        called: rater -> pseudonym; Prefect keeps what this says.
    """
    held = {called(r): words for r, words in far_from_the_panel(answers).items() if r not in decided}
    if not held:
        return None
    found = "; ".join(f"{name}: {words}" for name, words in held.items())
    commands = "; ".join(
        f"`madloop decide {campaign} --rater {name} --out-of-domain accept` (or `disregard`)" for name in held
    )
    reason = f"{found}. Look at these images, then say {commands}"
    return WaitingForWord(f"a word on {', '.join(held)}", done=0, needed=len(held), reason=reason)
