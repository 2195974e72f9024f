"""`python -m infra.digit_scenes`: generate the embedded data set and train its networks."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from infra.digit_scenes.generator import SceneSettings, generate
from infra.digit_scenes.networks import train_networks
from tasks.errors import TroubleshootError

_DEFAULTS = SceneSettings()


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder the pipeline may see.")
@click.option("--truth", type=click.Path(path_type=Path), help="Folder of the truth; default: OUTPUT-truth.")
@click.option("--seed", default=_DEFAULTS.seed, show_default=True, help="Seed of the whole data set.")
@click.option("--training", default=_DEFAULTS.training, show_default=True, help="Scenes of S(0).")
@click.option("--familiar-test", default=_DEFAULTS.familiar_test, show_default=True, help="Scenes of T(0).")
@click.option("--pool", default=_DEFAULTS.pool, show_default=True, help="Scenes of the pool.")
@click.option("--held-out", default=_DEFAULTS.held_out, show_default=True, help="Scenes of W.")
@click.option("--networks/--no-networks", default=True, help="Whether to train target and competitors, too.")
@click.option("--workers", default=2, show_default=True, help="Networks trained at a time.")
def main(
    *,
    output: Path,
    truth: Path | None,
    seed: int,
    training: int,
    familiar_test: int,
    pool: int,
    held_out: int,
    networks: bool,
    workers: int,
) -> None:
    """Write `digit scenes` to OUTPUT, its truth beside it, and its trained networks to OUTPUT/models.

    Safe to run again: what is there is left alone.
    """
    truth = truth or output.with_name(f"{output.name}-truth")
    settings = SceneSettings(seed, training, familiar_test, pool, held_out)
    try:
        _say("scenes", output, written=generate(output, truth, settings, progress=True))
        if networks:
            folder = output / "models"
            _say("networks", folder, written=train_networks(output, folder, workers=workers, progress=True))
    except TroubleshootError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _say(what: str, folder: Path, *, written: bool) -> None:
    click.echo(f"{what}: {'written to' if written else 'already in'} {folder}")


if __name__ == "__main__":
    main()
