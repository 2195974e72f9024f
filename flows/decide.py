"""`madloop decide`: the owner's word where the pipeline waits for one."""

from __future__ import annotations

import datetime
import getpass

import click

from configs.settings import load_settings
from flows.status import rounds_of
from tasks.artifacts import ArtifactStore
from tasks.decisions import Decision, Word, note_decision
from tasks.errors import ConfigError
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round, load_campaign_by_name, recall


def decide_out_of_domain(name: str, rater: str, word: Word, number: int | None) -> None:
    """Record whether a rater's out-of-domain declarations of a round count; by default, of the newest round.

    The rater may be given by name or by pseudonym.

    Raises:
        ConfigError: nobody of that name rates, the round has not begun, or its ratings are closed.
    """
    settings = load_settings()
    campaign = load_campaign_by_name(ArtifactStore.at(settings.store), name)
    pseudonyms = Pseudonyms(ArtifactStore.at(settings.store))
    raters = {called: who for who in campaign.ratings.raters for called in (who, pseudonyms.of(who))}
    if rater not in raters:
        known = ", ".join(campaign.ratings.raters)
        raise ConfigError(f"A rater of {name!r} was required, got {rater!r}; there are {known}.")
    begun = {round_.number: round_ for round_ in rounds_of(campaign, settings)}
    round_ = begun.get(number if number is not None else max(begun, default=0))
    if round_ is None:
        raise ConfigError(
            f"A round of {name!r} that has begun was required; there are {sorted(begun) or 'none'}."
        )
    note_decision(round_, _decision(round_, raters[rater], word))
    click.echo(
        f"Recorded for round {round_.number}: {word} what {raters[rater]} declared out of domain. "
        "Go on with `madloop run`."
    )


def _decision(round_: Round, rater: str, word: Word) -> Decision:
    if recall(round_, "ratings") is not None:
        raise ConfigError(
            f"The ratings of round {round_.number} were required to be open, but they are closed: what was "
            "drawn from them is with people or done. Nothing was recorded."
        )
    moment = datetime.datetime.now(datetime.UTC).isoformat()
    return Decision(round_.number, rater, word, getpass.getuser(), moment)
