"""`madloop results`: a campaign's results as a page of documentation, from the store alone."""

from __future__ import annotations

from pathlib import Path

import click

from configs.settings import load_settings
from flows.status import ended_rounds
from tasks.artifacts import ArtifactStore
from tasks.core.records import SCORES
from tasks.errors import ConfigError, NotReadyError, Waiting
from tasks.report import round_rows, rows_without_names
from tasks.results_page import RoundResult, results_page
from tasks.rounds import Round, load_campaign_by_name, require, stages_of
from tasks.run_log import runs_of
from tasks.stage_times import stage_times


def write_results(name: str, target: Path) -> None:
    """Write the page, replacing what was in its place.

    Raises:
        NotReadyError: no round has ended.
        ConfigError: the page cannot be written.
    """
    settings = load_settings()
    store = ArtifactStore.at(settings.store)
    campaign = load_campaign_by_name(store, name)
    runs = runs_of(store, name)
    starts = [run.started_at for run in runs]
    ended = ended_rounds(campaign, settings)
    if not ended:
        raise NotReadyError(Waiting(f"finished rounds of {name}", 0, 1))
    finished = [_finished(round_) for round_, _ in ended]
    befores = [None, *(max(ends.values()) for ends in finished)]
    rounds = [
        RoundResult(
            rows_without_names(round_, round_rows(round_, closing)),
            tuple(stage_times(ends, starts, before)),
        )
        for (round_, closing), ends, before in zip(ended, finished, befores, strict=False)
    ]
    last = ended[-1][0]
    page = results_page(campaign, rounds, store.rows(require(last, "scores"), SCORES), runs)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The page could not be written to {target}: {error.strerror}.") from error
    click.echo(f"{target} has the results of {len(rounds)} round(s) of {name}")


def _finished(round_: Round) -> dict[str, str]:
    """Stage -> when its artefact was finished; the index entry that only ends the round is left out."""
    store = round_.open_store()
    refs = {stage: ref for stage, ref in stages_of(round_).items() if ref.stage != "reports"}
    return {stage: store.marker(ref)["created_at"] for stage, ref in refs.items()}
