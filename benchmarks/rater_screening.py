"""Part "Screening" of the rater study: who is flagged in panels with a known fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from benchmarks.common import Table, markdown
from benchmarks.simulated_panels import (
    DECLARED_WITH,
    GOOD_BIAS,
    GOOD_NOISE,
    OUT_OF_DOMAIN_SHARE,
    RANDOM_SHARE,
    Person,
    Population,
    answer_all,
    biased,
    careless,
    draw_images,
    gold_scores,
    good_rater,
)
from tasks.core.rater_screening import ScreenedRater, ScreeningRule, screen_raters

REPEATED, GOLD = 0.05, 0.03
SIZES = (1750, 200)
DEVELOPED_ON, CONFIRMED_ON = 0, 1000  # first seeds
POPULATION = Population("Beta(3, 4)", 3, 4)  # a mean of .43, as of the mined images of CamVid


@dataclass(frozen=True)
class Panel:
    """A panel of `size` raters; the first ones have the `faults`, the others are good."""

    name: str
    size: int
    faults: tuple[Callable[[Person], Person], ...]


PANELS = (
    Panel("5, one careless, one biased", 5, (careless, biased)),
    Panel("3, one careless", 3, (careless,)),
    Panel("3, one biased", 3, (biased,)),
    Panel("5, all good", 5, ()),
    Panel("3, all good", 3, ()),
)


@dataclass(frozen=True)
class Flagged:
    """In how many panels who was flagged.

    Attributes:
        all_bad: panels in which every bad rater was flagged.
        each_bad: panels in which the first, the second .. bad rater was flagged.
        any_good: panels in which a good rater was flagged.
        good_flagged, good_raters: good raters of all panels.
    """

    all_bad: int
    each_bad: tuple[int, ...]
    any_good: int
    good_flagged: int
    good_raters: int


def flagged(panel: Panel, n_images: int, seeds: Sequence[int]) -> Flagged:
    """Screen one panel per seed and count."""
    counts: Counter[str] = Counter()
    each_bad = np.zeros(len(panel.faults), dtype=np.int64)
    for seed in seeds:
        has_flag = np.array([bool(rater.flags) for rater in screened(panel, n_images, seed)])
        bad, good = np.split(has_flag, [len(panel.faults)])
        each_bad += bad
        counts["all_bad"] += bool(bad.all())
        counts["any_good"] += bool(good.any())
        counts["good_flagged"] += int(good.sum())
        counts["good_raters"] += len(good)
    return Flagged(each_bad=tuple(each_bad.tolist()), **counts)


def screened(panel: Panel, n_images: int, seed: int) -> list[ScreenedRater]:
    """The screening of one simulated panel, the bad raters first."""
    rng = np.random.default_rng([seed, n_images, panel.size, len(panel.faults)])
    people = [good_rater(seed, f"rater-{i}", rng) for i in range(panel.size)]
    for i, fault in enumerate(panel.faults):
        people[i] = fault(people[i])
    images = draw_images(POPULATION, n_images, rng)
    gold = draw_images(POPULATION, round(GOLD * n_images), rng, prefix="gold", out_of_domain=False)
    repeats = rng.choice(n_images, round(REPEATED * n_images), replace=False)
    ratings = answer_all(people, images, rng, repeats.tolist()) + answer_all(people, gold, rng)
    return screen_raters(ratings, gold=gold_scores(gold))


def screening_part(n_seeds: int = 100, sizes: Sequence[int] = SIZES) -> str:
    """The part as Markdown.

    Args:
        n_seeds: panels of each kind, from the first seed on that results were confirmed on.
        sizes: of M, in images.
    """
    table = Table(
        f"Of {n_seeds} panels of each kind.",
        (
            "panel",
            "images",
            "seeds",
            "all bad raters flagged",
            "careless / biased one",
            "a good rater flagged",
            "good raters flagged",
        ),
        tuple(
            _row(panel, n_images, range(first, first + n_seeds))
            for panel in PANELS
            for n_images in sizes
            for first in (DEVELOPED_ON, CONFIRMED_ON)
            if first == CONFIRMED_ON or (panel.faults and n_images == sizes[0])
        ),
    )
    return f"## Screening\n\n{_setting()}\n\n{markdown(table)}"


def _row(panel: Panel, n_images: int, seeds: range) -> tuple[str, ...]:
    found = flagged(panel, n_images, seeds)
    return (
        panel.name,
        str(n_images),
        f"{seeds[0]}..{seeds[-1]}",
        str(found.all_bad) if panel.faults else "-",
        " / ".join(map(str, found.each_bad)) or "-",
        str(found.any_good),
        f"{found.good_flagged} of {found.good_raters}",
    )


def _setting() -> str:
    rule = ScreeningRule()
    thresholds = ", ".join(f"{field.name} {getattr(rule, field.name):g}" for field in fields(rule))
    return f"""\
Who is flagged by `tasks/core/rater_screening.py:screen_raters` when it is known who is bad.

- A good rater has noise of {GOOD_NOISE} scores and a bias drawn from +-{GOOD_BIAS}; a careless one is a good
  one of whose answers {RANDOM_SHARE:.0%} are replaced by 1..5 at random; a biased one has a bias of +1.
- The true mIoU of an image is drawn from {POPULATION.name} and cut at .2, .4, .6, .8;
  {OUT_OF_DOMAIN_SHARE:.0%} of the images are out of domain, which each rater declares with a probability of
  {DECLARED_WITH}.
- {REPEATED:.0%} of the images are shown twice; gold images are as many as {GOLD:.0%} of the images.
- Thresholds: {thresholds}.
  These are the defaults of `ScreeningRule`; none was changed after panels had been screened. Seeds from
  {DEVELOPED_ON} on were looked at during development; those from {CONFIRMED_ON} on were first run when all
  was written. No seed chose a number.
- With 200 images there are 10 repeats and 6 gold images; a fault of this size is often not beyond chance."""
