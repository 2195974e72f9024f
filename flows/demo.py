"""`madloop demo`: data, models, services and a whole round, with one command."""

from __future__ import annotations

import click

from configs.load import load_campaign
from configs.settings import CHECKOUT, Settings, load_settings
from flows.campaign import print_outcome, run_campaign
from flows.status import rounds_of
from infra.digit_scenes.generator import SceneSettings, generate
from infra.digit_scenes.networks import train_networks
from infra.local import services_up
from tasks.rounds import has_ended

PRESET = CHECKOUT / "configs" / "presets" / "demo.yaml"


def run_demo(rounds: int | None) -> None:
    """Prepare what is missing, run the rounds that are missing, print the table and the places to look at."""
    settings = load_settings()
    prepare_demo(settings)
    services_up(settings, on_event=click.echo)
    settings, campaign = load_settings(), load_campaign(PRESET)
    ended = sum(has_ended(round_, closing=False) for round_ in rounds_of(campaign, settings))
    if ended >= (rounds or campaign.rounds):
        click.echo(f"The demo has {ended} finished round(s); `madloop demo --rounds {ended + 1}` goes on.")
        print_outcome(campaign.name, settings)
    else:
        run_campaign(PRESET, simulated=True, rounds=rounds)
    click.echo("The three services go on running; `madloop services down` stops them.")


def prepare_demo(settings: Settings) -> None:
    """The data set `digit scenes`, its truth, and its trained networks; what is there is left alone."""
    data = settings.home / "demo"
    if not generate(data, settings.home / "demo-truth", SceneSettings(), progress=True):
        click.echo(f"The digit scenes are in {data} already.")
    if not train_networks(data, data / "models", progress=True):
        click.echo(f"The networks are in {data / 'models'} already.")
