"""`madloop demo`: data, models, services and a whole round, with one command."""

from __future__ import annotations

import click
from infra.digit_scenes.demo import prepare_demo

from configs.load import load_campaign
from configs.settings import CHECKOUT, load_settings
from flows.campaign import print_outcome, run_campaign
from flows.status import rounds_of
from infra.local import services_up
from tasks.rounds import has_ended

PRESET = CHECKOUT / "configs" / "presets" / "demo.yaml"


def run_demo(rounds: int | None) -> None:
    """Prepare what is missing, run the rounds that are missing, and print the table and the places to look at."""
    settings = load_settings()
    config = prepare_demo(settings.home / "demo", PRESET)
    campaign = load_campaign(config)
    wanted = campaign.rounds if rounds is None else rounds
    services_up(settings, on_event=click.echo)
    settings = load_settings()
    ended = [r for r in rounds_of(campaign, settings) if has_ended(r, closing=False)]
    if len(ended) >= wanted:
        click.echo(
            f"The demo has {len(ended)} finished round(s) already; `madloop demo --rounds {len(ended) + 1}` goes on."
        )
        print_outcome(campaign.name, settings)
    else:
        run_campaign(config, simulated=True, rounds=wanted)
    click.echo("The three services go on running; `madloop services down` stops them.")
