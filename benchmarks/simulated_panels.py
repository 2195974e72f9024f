"""Panels of simulated raters for the rater study: images of a known quality, people of known habits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tasks.core.consensus import Rating
from tasks.core.score_matrix import Shown
from tasks.core.simulated_people import SCORE_CUTS, SimulatedRater, simulated_rating

MAP = "map"
OUT_OF_DOMAIN_SHARE = 0.05
DECLARED_WITH = 0.7
GOOD_NOISE, GOOD_BIAS = 0.7, 0.3
RANDOM_SHARE = 0.3


@dataclass(frozen=True)
class Population:
    """True mIoU of the images of M: a Beta distribution.

    Attributes:
        name: in the tables.
        a, b: its parameters.
    """

    name: str
    a: float
    b: float


@dataclass(frozen=True)
class Images:
    """Images with their truth.

    Attributes:
        ids: n names.
        miou: (n,) of the shown map; NaN for an image out of domain.
    """

    ids: tuple[str, ...]
    miou: NDArray[np.float64]

    @property
    def out_of_domain(self) -> frozenset[str]:
        """Ids of the images that really are out of domain."""
        return frozenset(i for i, m in zip(self.ids, self.miou, strict=True) if np.isnan(m))


@dataclass(frozen=True)
class Person:
    """A simulated rater, of whose answers a share may be random."""

    habits: SimulatedRater
    random_share: float = 0.0


def draw_images(
    population: Population,
    n: int,
    rng: np.random.Generator,
    prefix: str = "image",
    out_of_domain: bool = True,
) -> Images:
    """n images; 5 % of them out of domain unless said otherwise."""
    miou = rng.beta(population.a, population.b, n)
    if out_of_domain:
        miou[rng.choice(n, round(OUT_OF_DOMAIN_SHARE * n), replace=False)] = np.nan
    return Images(tuple(f"{prefix}-{i:04d}" for i in range(n)), miou)


def good_rater(seed: int, name: str, rng: np.random.Generator) -> Person:
    """Noise of 0.7 scores, a bias within +-0.3."""
    bias = float(rng.uniform(-GOOD_BIAS, GOOD_BIAS))
    return Person(SimulatedRater(seed, name, bias, GOOD_NOISE, DECLARED_WITH))


def careless(person: Person) -> Person:
    """The same person, answering at random in 30 % of the cases."""
    return replace(person, random_share=RANDOM_SHARE)


def biased(person: Person) -> Person:
    """The same person with a bias of +1."""
    return replace(person, habits=replace(person.habits, bias=1.0))


def answer(person: Person, image_id: str, miou: float, rng: np.random.Generator, repeat: int = 0) -> Rating:
    """What the person says; `rng` is for the random answers only."""
    if person.random_share and rng.random() < person.random_share:
        return Rating(image_id, MAP, person.habits.rater, repeat, int(rng.integers(1, 6)), False)
    shown = MAP if repeat == 0 else f"{MAP} again {repeat}"  # noise of its own for the same map shown again
    said = simulated_rating(
        miou, out_of_domain=bool(np.isnan(miou)), person=person.habits, image_id=image_id, map_digest=shown
    )
    return Rating(image_id, MAP, person.habits.rater, repeat, said.score, said.out_of_domain)


def answer_all(
    people: Sequence[Person], images: Images, rng: np.random.Generator, repeats: Sequence[int] = ()
) -> list[Rating]:
    """Every person about every image, and once more about the images at the places `repeats`."""
    pairs = list(zip(images.ids, images.miou, strict=True))
    again = [pairs[i] for i in repeats]
    return [
        answer(person, image_id, miou, rng, repeat)
        for person in people
        for repeat, shown in ((0, pairs), (1, again))
        for image_id, miou in shown
    ]


def level(miou: float) -> int:
    """Score of a rater without bias and noise, 1..5."""
    return 1 + sum(miou >= cut for cut in SCORE_CUTS)


def gold_scores(images: Images) -> dict[Shown, float]:
    """Known scores of images that are all in the domain."""
    return {(i, MAP): float(level(m)) for i, m in zip(images.ids, images.miou, strict=True)}
