"""The pass over a pool as a benchmark times it: a campaign's models, a new store, seconds per step."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from configs.load import load_campaign
from configs.model_specs import ModelSpec
from configs.schema import Campaign
from configs.settings import CHECKOUT
from tasks.artifacts import ArtifactRef
from tasks.core.records import IMAGES
from tasks.engines import choose_engines
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tasks.rounds import Round

CAMVID = CHECKOUT / "configs" / "presets" / "camvid.yaml"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed:
    """How long something took: seconds on the clock, and of the CPU in all processes."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class PoolRound:
    """A round whose pool has been listed.

    Attributes:
        round_: the round.
        pool: its images.
        specs: the models, the target first.
    """

    round_: Round
    pool: ArtifactRef
    specs: list[ModelSpec]

    @classmethod
    def of(cls, campaign: Campaign, number: int, store: Path, target: ModelSpec) -> PoolRound:
        """List the images of a round in a store."""
        round_ = Round(campaign, number, str(store))
        return cls(round_, list_images.fn(round_), [target, *campaign.competitors])

    @property
    def images(self) -> list[tuple[str, str]]:
        """(image_id, uri) of the pool."""
        rows = self.round_.open_store().rows(self.pool, IMAGES)
        return [(row["image_id"], row["uri"]) for row in rows if row["dataset"] == "pool"]

    def choose_engines(self) -> tuple[ArtifactRef, Timed]:
        """Export the networks and compare the engines."""
        return timed(lambda: choose_engines.fn(self.round_, self.specs, self.pool))

    def predict(self, engines: ArtifactRef) -> tuple[dict[str, ArtifactRef], Timed]:
        """The prediction stage."""
        return timed(lambda: predict_pool.fn(self.round_, self.specs, engines, self.pool))


def campaign_of(config: Path) -> Campaign:
    """The campaign of a benchmark, without simulated people."""
    return load_campaign(config)


def timed(work: Callable[[], Result]) -> tuple[Result, Timed]:
    """What `work` gives, and how long it took."""
    before, start = _cpu_seconds(), time.perf_counter()
    result = work()
    return result, Timed(time.perf_counter() - start, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
