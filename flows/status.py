"""`madloop status` and `madloop artifacts`: what the store says of a campaign. Needs no service."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import click

from configs.schema import Campaign
from configs.settings import Settings, load_settings
from tasks.artifacts import ArtifactStore
from tasks.core.costs import costs_by_stage, per_failure, total_cost
from tasks.core.records import DRAWING_ORDER, FAILURES, SCORES, TEST_SETS
from tasks.costs import costs_of, n_confirmed_in, round_costs
from tasks.errors import TroubleshootError
from tasks.people_progress import HEADERS, progress_cells
from tasks.rating_answers import late_answers
from tasks.rounds import Round, has_ended, load_campaign_by_name, recall, stages_of
from tasks.score_tables import Scores, matrix_table, text_table

# What a round has to go through, in order, and what people call it.
_STEPS = (
    ("pool", "images listed"),
    ("candidates", "candidates chosen"),
    ("maps", "maps drawn"),
    ("ratings", "rated"),
    ("test_set", "test set drawn"),
    ("failures", "failures cut"),
    ("masks-test", "test set labelled"),
    ("masks-failure", "failures labelled"),
    ("version", "fine-tuned"),
    ("scores", "evaluated"),
    ("report", "reported"),
)


def _campaign(name: str) -> tuple[Settings, Campaign]:
    settings = load_settings()
    return settings, load_campaign_by_name(ArtifactStore.at(settings.store), name)


def rounds_of(campaign: Campaign, settings: Settings) -> list[Round]:
    """The rounds that have begun, in order."""
    number, begun = 1, []
    while recall(round_ := Round(campaign, number, settings.store), "pool") is not None:
        begun.append(round_)
        number += 1
    return begun


def ended_rounds(campaign: Campaign, settings: Settings) -> list[tuple[Round, bool]]:
    """The rounds that have ended, in order, and of each whether it is a closing test set only."""
    return [
        (round_, closing)
        for round_ in rounds_of(campaign, settings)
        if not (closing := not has_ended(round_, closing=False)) or has_ended(round_, closing=True)
    ]


def print_status(name: str) -> None:
    """One line per step of every round that has begun, with sizes, and one per person who is waited for."""
    settings, campaign = _campaign(name)
    begun = rounds_of(campaign, settings)
    click.echo(f"{name}: {len(begun)} round(s) begun, {campaign.rounds} planned")
    for round_ in begun:
        state = "closed" if has_ended(round_, closing=False) else "open"
        if state == "open" and has_ended(round_, closing=True):
            state = "closing test set only"
        click.echo(f"round {round_.number} ({state})")
        done = stages_of(round_)
        for stage, text in _STEPS:
            if stage in done:
                click.echo(f"  done     {text}{_size(round_, stage)}")
        if state == "open":
            _print_people(round_)
        late = late_answers(round_)
        if late:
            click.echo(
                f"  late     {len(late)} rating(s) came after the ratings were closed, and change nothing"
            )
        costs = cost_line(round_)
        if costs is not None:
            click.echo(f"  {costs}")


def _print_people(round_: Round) -> None:
    """Who has done how much in the open stage, by name: this is for the owner's terminal."""
    from flows.open_work import progress_of  # noqa: PLC0415 - imports numba and OpenCV, for open rounds only

    progress = progress_of(round_)
    for work in dict.fromkeys(row.work for row in progress):
        own = [row for row in progress if row.work == work]
        done, left = sum(row.done for row in own), sum(row.remaining for row in own)
        click.echo(f"  waiting  {done} of {done + left} {work} collected so far")
    table = progress_cells(progress, datetime.datetime.now(datetime.UTC), str)
    for line in aligned([HEADERS, *table] if table else []):
        click.echo(f"    {line}")


def cost_line(round_: Round) -> str | None:
    """What people's time of the round comes to so far; None before the first answer."""
    costs = costs_of(round_costs(round_))
    if not costs:
        return None
    total = total_cost(costs)
    stages = ", ".join(f"{c.stage} {_hours(c.clipped_seconds)}" for c in costs_by_stage(costs))
    parts = [f"time     {_hours(total.clipped_seconds)} of people ({stages})"]
    if total.money is not None:
        parts.append(f"{total.money:.2f} {round_.campaign.costs.currency}")
    n_failures = n_confirmed_in(round_)
    if n_failures:
        parts.append(f"{_hours(per_failure(total.clipped_seconds, n_failures))} a confirmed failure")
    if total.n_unknown:
        parts.append(f"{total.n_unknown} answer(s) without a time are not in this")
    return "; ".join(parts)


def _hours(seconds: float) -> str:
    return "unknown" if math.isnan(seconds) else f"{seconds / 3600:.2f} h"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _size(round_: Round, stage: str) -> str:
    tables = {"candidates": DRAWING_ORDER, "test_set": TEST_SETS, "failures": FAILURES}
    ref = recall(round_, stage)
    if stage not in tables or ref is None:
        return ""
    return f": {len(round_.open_store().rows(ref, tables[stage]))}"


def print_artifacts(name: str, number: int | None) -> None:
    """Stage, identity digest and folder of every artefact."""
    settings, campaign = _campaign(name)
    for round_ in rounds_of(campaign, settings):
        if number in (None, round_.number):
            click.echo(f"round {round_.number}")
            for stage, ref in stages_of(round_).items():
                click.echo(f"  {stage:<28}{ref.digest[:16]}  {settings.store}/{ref.folder}")


def identity_digests(name: str, settings: Settings) -> dict[str, str]:
    """`round/stage` -> identity digest: equal in two stores that hold the same results."""
    campaign = load_campaign_by_name(ArtifactStore.at(settings.store), name)
    return {
        f"{round_.number}/{stage}": ref.digest
        for round_ in rounds_of(campaign, settings)
        for stage, ref in stages_of(round_).items()
    }


def newest_table(name: str, settings: Settings) -> tuple[str, str]:
    """Sizes of all finished rounds, the newest one's version x test-set matrix, and the place of its report.

    Raises:
        TroubleshootError: no round has ended.
    """
    campaign = load_campaign_by_name(ArtifactStore.at(settings.store), name)
    ended = ended_rounds(campaign, settings)
    if not ended:
        raise TroubleshootError(f"No round of {name!r} has ended yet; see `madloop status {name}`.")
    sizes = [_sizes_line(round_, closing) for round_, closing in ended]
    round_, closing = ended[-1]
    scores: Any = recall(round_, "scores")
    rows = Scores(round_.open_store().rows(scores, SCORES))
    table = matrix_table(campaign, rows, round_.number if closing else round_.number + 1)
    page = f"{name}-round-{round_.number}{'-closing' if closing else ''}.html"
    title = f"mIoU after round {round_.number}{' (closing test set)' if closing else ''}"
    return "\n".join([*sizes, "", title, text_table(table)]), f"{settings.store}/reports/{page}"


def _sizes_line(round_: Round, closing: bool) -> str:
    """`round 1: |M| = 83, |T| = 16, |S| = 24`; a closing round has no S."""
    store = round_.open_store()
    parts = []
    for symbol, stage, record in (
        ("|M|", "candidates", DRAWING_ORDER),
        ("|T|", "test_set", TEST_SETS),
        ("|S|", "failures", FAILURES),
    ):
        ref = recall(round_, stage)
        if ref is not None and not (closing and stage == "failures"):
            parts.append(f"{symbol} = {len(store.rows(ref, record))}")
    return f"round {round_.number}{' (closing)' if closing else ''}: {', '.join(parts)}"
