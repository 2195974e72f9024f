"""`madloop plan`: what a round will take, before anybody is asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from configs.load import load_campaign
from configs.people_sections import Masks, Ratings
from configs.schema import Campaign
from configs.settings import Settings, load_settings
from flows.running import prepare_environment
from tasks.core.ranking import upper_bound
from tasks.core.sampling import ceil_share, floor_share, largest_set
from tasks.errors import DataError

_TIMED_IMAGES = 4


def print_plan(config: Path, *, quick: bool) -> None:
    """Print images, bound and true size of M, ratings, masks, and hours of people and of machine."""
    campaign, settings = load_campaign(config), load_settings()
    if not quick:
        prepare_environment(settings)
    from tasks.pool import source_files  # noqa: PLC0415 - imports torch and Prefect

    files = source_files(campaign.pool, what="pool").uris
    seconds = seconds_per_image(campaign, files)
    bound = min(
        upper_bound(
            len(campaign.competitors), len(campaign.classes.subgroup_indices), campaign.candidates.quota
        ),
        len(files),
    )
    click.echo(f"pool                 {len(files)} files")
    click.echo(
        f"machine, predictions {len(files) * seconds / 3600:.2f} h ({seconds:.3f} s an image, all models)"
    )
    click.echo(f"upper bound of M     {bound}")
    size = bound
    if not quick:
        size = true_size(campaign, settings)
        click.echo(f"true size of M       {size}")
    for line in people_lines(campaign, size):
        click.echo(line)


@dataclass(frozen=True)
class PeopleWork:
    """What people are asked for in a round, with T and S at their largest.

    Attributes:
        ratings: hidden repeats and gold images among them.
        test: images of T.
        failures: images of S.
        doubles: masks that are drawn a second time by somebody else.
        turns: drawings of one mask at most; 0: no checks.
    """

    ratings: int
    test: int
    failures: int
    doubles: int
    turns: int

    def seconds(self, ratings: Ratings, masks: Masks) -> tuple[float, float]:
        """Seconds of work if every mask is accepted at once, and if each takes all its turns."""
        n_masks = self.test + self.failures
        rating_s = self.ratings * ratings.seconds_per_rating
        doubles_s = self.doubles * masks.seconds_per_mask
        least, most = (
            rating_s
            + doubles_s
            + n_masks * (max(1, turns) * masks.seconds_per_mask + turns * masks.seconds_per_check)
            for turns in (min(1, self.turns), self.turns)
        )
        return least, most


def people_work(campaign: Campaign, n_candidates: int) -> PeopleWork:
    """What people are asked for if M has `n_candidates` images."""
    test = largest_set(n_candidates, campaign.test_set.size, campaign.test_set.max_share)
    failures = largest_set(n_candidates - test, campaign.failures.size, campaign.failures.max_share)
    ratings, masks = campaign.ratings, campaign.masks
    double_share = masks.double_share if len(masks.annotators) > 1 else 0.0  # nobody else could draw
    hidden = sum(ceil_share(n_candidates, share) for share in (ratings.repeat_share, ratings.gold_share))
    return PeopleWork(
        ratings=len(ratings.raters) * (n_candidates + hidden),
        test=test,
        failures=failures,
        doubles=sum(floor_share(n, double_share) for n in (test, failures)),
        turns=masks.max_turns,
    )


def people_lines(campaign: Campaign, n_candidates: int) -> list[str]:
    """What people are asked for if M has `n_candidates` images, in words."""
    work = people_work(campaign, n_candidates)
    ratings, masks, costs = campaign.ratings, campaign.masks, campaign.costs
    n_masks, raters = work.test + work.failures, len(ratings.raters)
    rating_h = work.ratings * ratings.seconds_per_rating / 3600
    mask_h = (n_masks + work.doubles) * masks.seconds_per_mask / 3600
    check_h = n_masks * masks.seconds_per_check / 3600
    least_h, most_h = (seconds / 3600 for seconds in work.seconds(ratings, masks))
    ratings_text = f"at most {work.ratings} ({raters} raters, repeats and gold included)"
    masks_text = f"at most {n_masks} (T {work.test}, S {work.failures}), {work.doubles} of them drawn twice"
    turns_text = f"; {most_h:.1f} h if every mask takes {work.turns} turns"
    lines = {
        "ratings": f"{ratings_text}  {rating_h:.1f} h of people",
        "masks": f"{masks_text}  {mask_h:.1f} h of people",
        "checks": f"{n_masks} if every mask is accepted at once  {check_h:.1f} h of people",
        "people in all": f"{least_h:.1f} h a round{turns_text if work.turns > 1 else ''}",
        "price": f"{least_h * (costs.price_per_hour or 0):.0f} {costs.currency} a round",
    }
    if not work.turns:
        del lines["checks"]
    if costs.price_per_hour is None:
        del lines["price"]
    return [f"{name:<21}{text}" for name, text in lines.items()]


def seconds_per_image(campaign: Campaign, files: list[str]) -> float:
    """Seconds all models together take for one image, timed on a few of the pool."""
    from models.finished_maps import FinishedMaps  # noqa: PLC0415
    from models.inference import InputImage, predict, set_threads  # noqa: PLC0415 - imports torch
    from models.preprocess import comparison_shape  # noqa: PLC0415
    from models.zoo import load_model  # noqa: PLC0415

    set_threads(campaign.predictions.threads)
    # Networks do not ask what an image is known by.
    images = [InputImage(pixels, "", "") for pixels in readable_images(files, _TIMED_IMAGES)]
    total = 0.0
    for spec in (campaign.target, *campaign.competitors):
        model = load_model(
            spec, campaign.classes.names, campaign.predictions.device, campaign.predictions.threads
        )
        if isinstance(model, FinishedMaps):
            continue  # nothing is computed
        sides = (image.pixels.shape[:2] for image in images)
        shapes = [comparison_shape(h, w, campaign.predictions.comparison_size) for h, w in sides]
        predict(model, images[0], height=shapes[0][0], width=shapes[0][1])  # the first run also warms up
        start = time.perf_counter()
        for image, (height, width) in zip(images, shapes, strict=True):
            predict(model, image, height=height, width=width)
        total += (time.perf_counter() - start) / len(images)
    return total


def readable_images(files: list[str], count: int) -> list[NDArray[np.uint8]]:
    """The first `count` images that can be read, RGB, uint8, (H, W, 3).

    Raises:
        DataError: none can.
    """
    from models.decoding import decode_image  # noqa: PLC0415
    from tasks.image_files import read_bytes  # noqa: PLC0415

    images: list[NDArray[np.uint8]] = []
    problem: DataError | None = None
    for uri in files:
        try:
            images.append(decode_image(read_bytes(uri), where=uri))
        except DataError as error:  # the pool's stage will reject it
            problem = error
        if len(images) == count:
            break
    if not images:
        raise DataError(f"No image of `pool` can be used; the last reason: {problem}") from problem
    return images


def true_size(campaign: Campaign, settings: Settings) -> int:
    """The size of M of the first round: mining is run, and kept, but nobody is asked."""
    from flows.mine import mine  # noqa: PLC0415 - imports Prefect
    from tasks.artifacts import ArtifactStore  # noqa: PLC0415
    from tasks.core.records import DRAWING_ORDER  # noqa: PLC0415
    from tasks.rounds import Round, require, save_campaign  # noqa: PLC0415

    save_campaign(ArtifactStore.at(settings.store), campaign)
    mine(campaign.name, 1, request=False)
    round_ = Round(campaign, 1, settings.store)
    return len(round_.open_store().rows(require(round_, "candidates"), DRAWING_ORDER))
