"""The command `madloop`. Heavy imports live inside the commands, so that help comes at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tasks.errors import TroubleshootError

CONFIG = click.argument("config", type=click.Path(path_type=Path))


class Commands(click.Group):
    """Reports madloop's own errors in one message, with the exit code of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TroubleshootError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def madloop() -> None:
    """Find, label and repair the failures of an image segmentation model, with people in the loop.

    Exit codes: 0 done, 1 failed, 2 configuration, 3 data, 4 waiting for people, 5 a service refused,
    6 a service is not reachable.
    """
    from flows.running import quiet_environment

    quiet_environment()


@madloop.command()
@click.option("--rounds", type=click.IntRange(1, 99), help="Rounds in all; default: as the preset says (1).")
def demo(rounds: int | None) -> None:
    """Run a whole round on an embedded data set, with simulated people and real services."""
    from flows.demo import run_demo

    run_demo(rounds)


@madloop.command()
@CONFIG
@click.option("--annotators", type=click.Choice(["human", "simulated"]), default="human", show_default=True)
@click.option("--rounds", type=click.IntRange(1, 99), help="Rounds in all; default: as the config says.")
def run(config: Path, annotators: str, rounds: int | None) -> None:
    """Advance the campaign in CONFIG as far as it goes; run it again to go on."""
    from flows.campaign import run_campaign

    run_campaign(config, simulated=annotators == "simulated", rounds=rounds)


@madloop.command()
@CONFIG
@click.option("--quick", is_flag=True, help="Only the upper bound of M; the models are only timed.")
def plan(config: Path, quick: bool) -> None:
    """Say what a round of CONFIG will take, before anybody is asked: images, ratings, masks, hours."""
    from flows.plan import print_plan

    print_plan(config, quick=quick)


@madloop.command()
@click.argument("campaign")
def status(campaign: str) -> None:
    """Say how far CAMPAIGN is, round by round."""
    from flows.status import print_status

    print_status(campaign)


@madloop.command()
@click.argument("campaign")
@click.option("--round", "number", type=click.IntRange(1, 99), help="Only this round.")
def artifacts(campaign: str, number: int | None) -> None:
    """List the artefacts of CAMPAIGN with their places."""
    from flows.status import print_artifacts

    print_artifacts(campaign, number)


@madloop.group()
def services() -> None:
    """Prefect, MLflow and Label Studio as plain processes on this machine."""


@services.command("up")
def services_up_command() -> None:
    """Start what is not running and wait until all three answer."""
    from configs.settings import load_settings
    from infra.local import services_up

    services_up(load_settings(), on_event=click.echo)
    _print_services()


@services.command("down")
def services_down_command() -> None:
    """Stop all three, with everything they started."""
    from configs.settings import load_settings
    from infra.local import services_down

    services_down(load_settings(), on_event=click.echo)


@services.command("status")
def services_status_command() -> None:
    """Say which services answer, and where."""
    _print_services()


def _print_services() -> None:
    from configs.settings import load_settings
    from infra.local import services_status

    for service in services_status(load_settings()):
        click.echo(f"{service.name:<14}{service.state:<10}{service.url or '-':<34}{service.detail}")


if __name__ == "__main__":
    madloop(prog_name="madloop")
