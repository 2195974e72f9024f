"""`madloop run`: a campaign from its file to the end, or to where people are needed."""

from __future__ import annotations

from pathlib import Path

import click

from configs.load import has_simulated_people, load_campaign
from configs.schema import Campaign
from configs.settings import CHECKOUT, Settings, load_settings, read_logins
from flows.running import advance, advance_until_finished, prepare_environment, simulated_people
from tasks.errors import ConfigError, NotReadyError, Waiting, WaitingForWord


def run_campaign(config: Path, *, simulated: bool, rounds: int | None) -> None:
    """Store the config, run the flow, and say what came of it.

    Raises:
        NotReadyError: people are needed now; where they go was printed.
        TroubleshootError: whatever else stopped it.
    """
    campaign, settings = load_campaign(config), load_settings()
    if simulated and not has_simulated_people(config):
        raise ConfigError(
            f"{config} has no section `simulated_people`; add one, or use `--annotators human`."
        )
    prepare_environment(settings)
    _store(campaign, settings, simulated)
    if simulated:
        with simulated_people(config, settings) as people:
            advance_until_finished(campaign.name, rounds, settings, people)
    else:
        waiting = advance(campaign.name, rounds)
        if waiting is not None:
            _say_where_to_go(settings, waiting, config)
            raise NotReadyError(waiting)
    print_outcome(campaign.name, settings)


def _store(campaign: Campaign, settings: Settings, simulated: bool) -> None:
    """Put the campaign and its instructions into the store, with a note that a run begins."""
    from tasks.artifacts import ArtifactStore  # noqa: PLC0415 - imports Arrow
    from tasks.machine import machine_facts  # noqa: PLC0415
    from tasks.rating_instructions import save_instructions  # noqa: PLC0415 - imports OpenCV and the SDK
    from tasks.rounds import save_campaign  # noqa: PLC0415
    from tasks.run_log import note_run  # noqa: PLC0415

    store = ArtifactStore.at(settings.store)
    save_instructions(store, campaign)
    save_campaign(store, campaign)
    note_run(store, campaign.name, simulated=simulated, machine=machine_facts(CHECKOUT))


def _say_where_to_go(settings: Settings, waiting: Waiting, config: Path) -> None:
    """Print who works where, and how to go on."""
    if isinstance(waiting, WaitingForWord):
        click.echo(f"Your word is needed: {waiting.reason}")
        click.echo(f"Then go on with: madloop run {config}")
        return
    logins = read_logins(settings)
    click.echo(
        f"People are needed: {waiting.needed - waiting.done} of {waiting.needed} {waiting.what} are missing."
    )
    click.echo(f"Label Studio: {settings.shown('label_studio')}")
    for person, project in waiting.projects:
        click.echo(f"  {person}: log in as {logins[person].email}, project {project}, Label All Tasks")
    click.echo(f"  The passwords are in {settings.people_file}.")
    click.echo(f"Then go on with: madloop run {config}")


def print_outcome(campaign: str, settings: Settings) -> None:
    """The table of the newest finished round, and where everything is to be looked at."""
    from flows.status import newest_table  # noqa: PLC0415 - imports Arrow

    table, report = newest_table(campaign, settings)
    click.echo()
    click.echo(table)
    click.echo()
    click.echo(f"Report        {report}")
    click.echo(f"Prefect       {settings.shown('prefect')}")
    click.echo(f"MLflow        {settings.shown('mlflow')}/#/experiments?workflowType=machine_learning")
    click.echo(f"Label Studio  {settings.shown('label_studio')}")
