"""The prediction stage of round 2 against round 1: only the new version of the target is run.

The new version is the target with seeded noise on its weights: what fine-tuning made of them does not change
how long a network takes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import torch

from benchmarks.common import RESULTS, Table, report
from benchmarks.passes import CAMVID, PoolRound, campaign_of
from configs.model_specs import ModelSpec
from models.zoo import build_network, save_version, version_spec

NOISE = 0.01  # standard deviation, as a share of each tensor's own


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=CAMVID, show_default=True)
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(config: Path, folder: Path) -> None:
    """Time the stage in two rounds of one store."""
    campaign = campaign_of(config)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="madloop-benchmark-") as scratch:
        targets = (campaign.target, changed_version(campaign.target, Path(scratch, "version")))
        for number, target in enumerate(targets, start=1):
            pass_ = PoolRound.of(campaign, number, Path(scratch, "store"), target)
            engines, choice = pass_.choose_engines()
            _, stage = pass_.predict(engines)
            seconds.append((choice, stage))
        n_images = len(pass_.images)
    table = Table(
        f"{n_images} images, {1 + len(campaign.competitors)} models",
        ("round", "choice of engines, s", "prediction stage, s", "CPU seconds of the stage"),
        tuple(
            (str(n), f"{choice.wall:.1f}", f"{stage.wall:.1f}", f"{stage.cpu:.1f}")
            for n, (choice, stage) in enumerate(seconds, start=1)
        ),
    )
    (first_choice, first), (second_choice, second) = seconds
    ratios = {
        "prediction_stage": first.wall / second.wall,
        "prediction_stage_cpu": first.cpu / second.cpu,
        "with_choice_of_engines": (first.wall + first_choice.wall) / (second.wall + second_choice.wall),
    }
    report("rounds", __doc__ or "", [table], ratios, folder)


def changed_version(target: ModelSpec, folder: Path) -> ModelSpec:
    """The target with noise on its weights, as the next version."""
    network = build_network(target)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.numel() > 1:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(NOISE * parameter.std() * noise)
    save_version(network, folder)
    return version_spec(target, folder, f"{target.name}-v1")


if __name__ == "__main__":
    main()
