"""`madloop status` and `madloop artifacts`: what the store says of a campaign. Needs no service."""

from __future__ import annotations

from typing import Any

import click

from configs.schema import Campaign
from configs.settings import Settings, load_settings
from tasks.answer_log import VALID, newest_per_annotation, read_log
from tasks.artifacts import ArtifactStore
from tasks.core.records import ANSWERS, DRAWING_ORDER, DRAWINGS, FAILURES, RATING_PLAN, SCORES, TEST_SETS
from tasks.errors import TroubleshootError
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


def print_status(name: str) -> None:
    """One line per step of every round that has begun, with sizes."""
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
        for what, record, needed in (
            ("ratings", ANSWERS, _ratings_needed(round_)),
            ("masks", DRAWINGS, _masks_needed(round_)),
        ):
            closed = "ratings" in done if what == "ratings" else "masks-test" in done
            if needed and not closed:
                log = newest_per_annotation(read_log(round_, record))
                given = [r for r in log if r["round"] == round_.number and r["state"] == VALID]
                click.echo(f"  waiting  {len(given)} of {needed} {what} collected so far")


def _ratings_needed(round_: Round) -> int:
    """Ratings that the plan has: candidates, repeats and gold images, by all raters."""
    ref = recall(round_, "rating_plan")
    return 0 if ref is None else len(round_.open_store().rows(ref, RATING_PLAN))


def _masks_needed(round_: Round) -> int:
    store = round_.open_store()
    total: int = 0
    for stage, record in (("test_set", TEST_SETS), ("failures", FAILURES)):
        ref = recall(round_, stage)
        total += 0 if ref is None else len(store.rows(ref, record))
    return total


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
    ended = [
        (round_, closing)
        for round_ in rounds_of(campaign, settings)
        if not (closing := not has_ended(round_, closing=False)) or has_ended(round_, closing=True)
    ]
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
