"""`madloop demo`: data, models, services and a whole round, with one command."""

from __future__ import annotations

import subprocess
import sys

import click

from configs.load import load_campaign
from configs.settings import CHECKOUT, Settings, load_settings
from flows.campaign import print_outcome, run_campaign
from flows.status import rounds_of
from infra.local import services_up
from tasks.errors import TroubleshootError
from tasks.rounds import has_ended

PRESET = CHECKOUT / "configs" / "presets" / "demo.yaml"


def run_demo(rounds: int | None) -> None:
    """Prepare what is missing, run the rounds that are missing, print the table and the places to look at."""
    settings = load_settings()
    prepare_demo(settings)
    services_up(settings, on_event=click.echo)
    settings, campaign = load_settings(), load_campaign(PRESET)
    begun = rounds_of(campaign, settings)
    ended = sum(has_ended(round_, closing=False) for round_ in begun)
    if ended >= (rounds or campaign.rounds) and any(
        has_ended(round_, closing=True) for round_ in begun[ended:]
    ):
        click.echo(f"The demo has {ended} finished round(s); `madloop demo --rounds {ended + 1}` goes on.")
        print_outcome(campaign.name, settings)
    else:
        run_campaign(PRESET, simulated=True, rounds=rounds)
    click.echo("The three services go on running; `madloop services down` stops them.")


def prepare_demo(settings: Settings) -> None:
    """The data set `digit scenes`, its truth, and its trained networks; what is there is left alone."""
    # A process of its own: the one that goes on to run the round never has the truth in its hands.
    command = [sys.executable, "-m", "infra.digit_scenes", "--output", str(settings.home / "demo")]
    result = subprocess.run(command, cwd=CHECKOUT, check=False)
    if result.returncode != 0:
        raise TroubleshootError(
            f"The demo's data could not be made (exit code {result.returncode}); see above."
        )
