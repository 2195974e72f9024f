"""`madloop demo`: data, models, services and a whole round, with one command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import yaml

from configs.load import load_campaign
from configs.settings import CHECKOUT, Settings, load_settings
from flows.campaign import print_outcome, run_campaign
from flows.status import rounds_of
from infra.local import services_up
from infra.seaweedfs import BUCKET
from tasks.errors import TroubleshootError
from tasks.rounds import has_ended
from tasks.services.object_store import list_objects, write_object

PRESET = CHECKOUT / "configs" / "presets" / "demo.yaml"
STORE_URI = f"s3://{BUCKET}/store"
POOL_URI = f"s3://{BUCKET}/demo/pool"


def run_demo(rounds: int | None, *, object_store: bool) -> None:
    """Prepare what is missing, run the rounds that are missing, print the table and the places to look at.

    Args:
        rounds: rounds in all; None: as the preset says.
        object_store: whether store and pool are in the local S3 server instead of in folders.
    """
    settings = load_settings()
    prepare_demo(settings)
    services_up(settings, on_event=click.echo, object_store=object_store)
    config = PRESET
    if object_store:
        os.environ["MADLOOP_STORE"] = STORE_URI
        config = move_pool(load_settings())
    settings, campaign = load_settings(), load_campaign(config)
    begun = rounds_of(campaign, settings)
    ended = sum(has_ended(round_, closing=False) for round_ in begun)
    if ended >= (rounds or campaign.rounds) and any(
        has_ended(round_, closing=True) for round_ in begun[ended:]
    ):
        click.echo(f"The demo has {ended} finished round(s); `madloop demo --rounds {ended + 1}` goes on.")
        print_outcome(campaign.name, settings)
    else:
        run_campaign(config, simulated=True, rounds=rounds)
    if object_store:
        click.echo(f"Other commands find this store with MADLOOP_STORE={STORE_URI}.")
    click.echo("The services go on running; `madloop services down` stops them.")


def move_pool(settings: Settings) -> Path:
    """Put the pool's images into the bucket; the campaign file that differs from the preset in that alone."""
    folder = settings.home / "demo" / "pool" / "images"
    there = set(list_objects(POOL_URI))
    for path in sorted(folder.iterdir()):
        uri = f"{POOL_URI}/{path.name}"
        if uri not in there:
            write_object(uri, path.read_bytes())
    values = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    values["pool"]["images"] = POOL_URI
    config = settings.home / "demo" / "demo-object-store.yaml"
    config.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return config


def prepare_demo(settings: Settings) -> None:
    """The data set `digit scenes`, its truth, and its trained networks; what is there is left alone."""
    # A process of its own: the one that goes on to run the round never has the truth in its hands.
    command = [sys.executable, "-m", "infra.digit_scenes", "--output", str(settings.home / "demo")]
    result = subprocess.run(command, cwd=CHECKOUT, check=False)
    if result.returncode != 0:
        raise TroubleshootError(
            f"The demo's data could not be made (exit code {result.returncode}); see above."
        )
