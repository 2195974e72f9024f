"""Part "Adaptive rating" of the rater study: what it saves, and what becomes of S."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.common import Table, markdown
from benchmarks.simulated_panels import (
    DECLARED_WITH,
    GOOD_BIAS,
    GOOD_NOISE,
    OUT_OF_DOMAIN_SHARE,
    Images,
    Population,
    answer_all,
    draw_images,
    good_rater,
)
from tasks.core.adaptive_rating import AdaptiveRule, Answers, Ask, Panel, needed_ratings
from tasks.core.sampling import Rated, TestSetRule, cut_failures, draw_test_set, drawing_order

N_IMAGES, N_RATERS, N_CLASSES = 1750, 3, 12
RULE = AdaptiveRule(size=100, failure_below=3.0, max_share=0.5)
TEST_SET = TestSetRule(size=30, max_share=1 / 3, max_per_class=4)
POPULATIONS = (Population("adversarial", 1.8, 2.2), Population("mostly good", 3.5, 1.5))
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2)
DEVELOPMENT, CONFIRMATION = range(20), range(1000, 1020)
COLUMNS = (
    "threshold",
    "ratings saved",
    "change of mean mIoU of S",
    "out of domain in S, full panel",
    "out of domain in S, adaptive",
    "seeds with more",
    "overlap with the full panel's S",
    "overlap of two full panels",
    "batches",
)
SETTING = f"""## Adaptive rating

Every image is rated by one rater, and by another one as long as its probability to be a failure is at least
a threshold ([equations](../equations.md), Adaptive rating). Beside it the full panel: the same people with
the same answers, all of them.

{{n_images}} candidates, {OUT_OF_DOMAIN_SHARE:.0%} of them out of domain; {N_RATERS} raters with noise of s.d.
{GOOD_NOISE} and biases uniform in +-{GOOD_BIAS}, who rate as simulated people do and declare an image out of
domain with probability {DECLARED_WITH}. n4 = {RULE.size}, failures below a mean opinion score of
{RULE.failure_below:g}; T of {TEST_SET.size} images, in full with their replacements; no repeats, no gold.
Discrepancy, which breaks ties in S, and main class are drawn at random.

The mean mIoU is that of the images of S in the domain; its change is adaptive less full panel. "Overlap of
two full panels": of the full panel's S with the S of other people about the same images."""
CHOICE = f"""Chosen: {RULE.threshold:g}, the largest of these thresholds at which, in both populations, the
mean overlap is at least 99 % and, in every seed, a third of the ratings is saved, the mean mIoU changes by at
most .02, and no more images out of domain are in S."""


@dataclass(frozen=True)
class Candidates:
    """M of one simulated round, and what T and the ties of S need beside the ratings."""

    images: Images
    order: list[str]
    main_classes: Mapping[str, int | None]
    discrepancies: Mapping[str, float]

    def test_set(self, out_of_domain: Iterable[str]) -> list[str]:
        """T, with some images declared out of domain."""
        return draw_test_set(
            self.order, main_classes=self.main_classes, out_of_domain=frozenset(out_of_domain), rule=TEST_SET
        )


@dataclass(frozen=True)
class Selection:
    """What a panel came to: how many ratings it gave, in how many batches, and S."""

    ratings: int
    batches: int
    failures: frozenset[str]


@dataclass(frozen=True)
class Comparison:
    """Adaptive rating beside the full panel of the same people, for one seed.

    Attributes:
        saved: share of the full panel's ratings.
        batches: how often people were asked.
        miou_change: mean mIoU of S over its images in the domain, less that of the full panel's S.
        out_full, out_adaptive: images of S that are out of domain.
        overlap: share of the full panel's S that adaptive rating found.
        overlap_of_panels: the same share for a second full panel of other people.
    """

    saved: float
    batches: int
    miou_change: float
    out_full: int
    out_adaptive: int
    overlap: float
    overlap_of_panels: float


def adaptive_part(
    development: range = DEVELOPMENT, confirmation: range = CONFIRMATION, n_images: int = N_IMAGES
) -> str:
    """The part of the page: thresholds on seeds for choosing, the chosen one on others."""
    choosing = [comparison_table(p, development, THRESHOLDS, n_images) for p in POPULATIONS]
    confirming = [comparison_table(p, confirmation, (RULE.threshold,), n_images) for p in POPULATIONS]
    return "\n\n".join(
        [
            SETTING.format(n_images=n_images),
            "### Choosing the threshold",
            *map(markdown, choosing),
            CHOICE,
            "### Confirmation on other seeds",
            *map(markdown, confirming),
        ]
    )


def comparison_table(
    population: Population, seeds: range, thresholds: Sequence[float], n_images: int
) -> Table:
    """One row per threshold."""
    by_seed = [compare(population, seed, thresholds, n_images) for seed in seeds]
    mean = population.a / (population.a + population.b)
    caption = (
        f"{population.name.capitalize()}: mIoU as Beta({population.a:g}, {population.b:g}), mean {mean:.2f}. "
        f"Seeds {seeds[0]} to {seeds[-1]}: means, in brackets the worst seed; images out of domain: the sum."
    )
    by_threshold = zip(thresholds, zip(*by_seed, strict=True), strict=True)
    return Table(caption, COLUMNS, tuple(_row(threshold, compared) for threshold, compared in by_threshold))


def compare(
    population: Population, seed: int, thresholds: Sequence[float], n_images: int
) -> list[Comparison]:
    """The comparison of one seed at each threshold."""
    candidates = draw_candidates(population, seed, n_images)
    answers = panel_answers(candidates.images, seed, "rater")
    full = full_selection(candidates, answers)
    other = full_selection(candidates, panel_answers(candidates.images, seed, "other"))
    compared = []
    for threshold in thresholds:
        adaptive = adaptive_selection(candidates, answers, threshold)
        compared.append(
            Comparison(
                saved=1 - adaptive.ratings / full.ratings,
                batches=adaptive.batches,
                miou_change=_mean_miou(candidates.images, adaptive) - _mean_miou(candidates.images, full),
                out_full=len(full.failures & candidates.images.out_of_domain),
                out_adaptive=len(adaptive.failures & candidates.images.out_of_domain),
                overlap=len(adaptive.failures & full.failures) / len(full.failures),
                overlap_of_panels=len(other.failures & full.failures) / len(full.failures),
            )
        )
    return compared


def draw_candidates(population: Population, seed: int, n_images: int) -> Candidates:
    """Candidates of a seed; discrepancy and main class say nothing about quality."""
    rng = np.random.default_rng(seed)
    images = draw_images(population, n_images, rng)
    return Candidates(
        images=images,
        order=drawing_order(images.ids, seed=seed, round_number=1),
        main_classes=dict(zip(images.ids, rng.integers(N_CLASSES, size=n_images).tolist(), strict=True)),
        discrepancies=dict(zip(images.ids, rng.random(n_images).tolist(), strict=True)),
    )


def panel_answers(images: Images, seed: int, panel: str) -> Answers:
    """What each of the raters of a panel would answer about each image."""
    rng = np.random.default_rng([seed, *panel.encode()])
    people = [good_rater(seed, f"{panel}-{number}", rng) for number in range(N_RATERS)]
    return {Ask(r.image_id, r.rater): r.score for r in answer_all(people, images, rng)}


def full_selection(candidates: Candidates, answers: Answers) -> Selection:
    """Everybody rates everything."""
    return _selection(candidates, answers, batches=1)


def adaptive_selection(candidates: Candidates, answers: Answers, threshold: float) -> Selection:
    """People are asked for what is needed until nothing is."""
    panel = Panel(candidates.images.ids, {ask.rater for ask in answers}, candidates.test_set)
    rule = AdaptiveRule(RULE.size, RULE.failure_below, RULE.max_share, threshold)
    given: dict[Ask, int | None] = {}
    batches = 0
    while new := needed_ratings(panel, rule, given) - given.keys():
        given |= {ask: answers[ask] for ask in new}
        batches += 1
    return _selection(candidates, given, batches)


def _selection(candidates: Candidates, answers: Answers, batches: int) -> Selection:
    """T and S from some answers, S among the images that were rated in full."""
    scores: dict[str, list[int | None]] = {}
    for ask, score in answers.items():
        scores.setdefault(ask.image_id, []).append(score)
    out_of_domain = {image_id for image_id, given in scores.items() if None in given}
    rest = scores.keys() - out_of_domain - set(candidates.test_set(out_of_domain))
    rated = [
        Rated(i, fmean(s for s in scores[i] if s is not None), candidates.discrepancies[i])
        for i in rest
        if len(scores[i]) == N_RATERS
    ]
    worst = cut_failures(rated, size=RULE.failures_of(len(rest)), failure_below=RULE.failure_below)
    return Selection(len(answers), batches, frozenset(worst))


def _row(threshold: float, compared: Sequence[Comparison]) -> tuple[str, ...]:
    """One threshold over all seeds."""
    saved, overlap = [c.saved for c in compared], [c.overlap for c in compared]
    changes, batches = [c.miou_change for c in compared], [c.batches for c in compared]
    return (
        f"{threshold:g}",
        f"{fmean(saved):.1%} ({min(saved):.1%})",
        f"{fmean(changes):+.4f} ({max(changes, key=abs):+.4f})",
        f"{sum(c.out_full for c in compared)}",
        f"{sum(c.out_adaptive for c in compared)}",
        f"{sum(c.out_adaptive > c.out_full for c in compared)}",
        f"{fmean(overlap):.1%} ({min(overlap):.1%})",
        f"{fmean(c.overlap_of_panels for c in compared):.1%}",
        f"{fmean(batches):.1f} ({max(batches)})",
    )


def _mean_miou(images: Images, selection: Selection) -> float:
    return float(
        np.nanmean([m for i, m in zip(images.ids, images.miou, strict=True) if i in selection.failures])
    )
