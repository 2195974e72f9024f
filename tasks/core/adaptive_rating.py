"""Which ratings a round needs if raters stop early on images that can hardly be failures.

Ratings are asked for in batches. The first holds one rater per image, and all raters for the test set T.
After each batch, images that may still enter the failures S get one more rater. Stopping early only leaves
images out: S is cut among images that all raters rated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tasks.core.digests import digest_of
from tasks.core.rater_model import fit_rater_model
from tasks.core.sampling import largest_set
from tasks.core.worst_probability import Habit, Scores, quality_posterior

UNKNOWN_NOISE = 0.7  # as long as no image has two scores


class Ask(NamedTuple):
    """One rating: this image by this rater."""

    image_id: str
    rater: str


Answers = Mapping[Ask, int | None]  # a score of 1..5, or None for out of domain


@dataclass(frozen=True)
class AdaptiveRule:
    """When an image gets another rater, and how S is cut in the end.

    Attributes:
        size: n4, images of S at most, >= 0.
        failure_below: only images with a mean opinion score below it enter S; None = no bound.
        max_share: share of the images in the domain beside T that S may be, 0..1.
        threshold: an image with a smaller probability to be a failure gets no further rater, 0..1.
    """

    size: int
    failure_below: float | None
    max_share: float
    threshold: float = 0.02

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range."""
        if self.size < 0 or not 0 <= self.max_share <= 1 or not 0 <= self.threshold <= 1:
            raise ValueError(f"`size` must be >= 0, `max_share` and `threshold` in 0..1, got {self}")

    def failures_of(self, count: int) -> int:
        """Images of S at most, out of `count` in the domain beside T, rated in full or not."""
        return largest_set(count, self.size, self.max_share)


@dataclass(frozen=True)
class Panel:
    """The candidates and who rates them.

    Attributes:
        image_ids: all candidates, in any order.
        raters: unique names, in any order.
        test_set: T as it is drawn with some images declared out of domain; only of images in the domain.
        disregarded: raters whose declarations of out of domain do not count.
    """

    image_ids: Collection[str]
    raters: Collection[str]
    test_set: Callable[[AbstractSet[str]], Collection[str]]
    disregarded: AbstractSet[str] = frozenset()

    def __post_init__(self) -> None:
        """Raise ValueError if there is no rater, or one twice."""
        if not self.raters or len(set(self.raters)) != len(self.raters):
            raise ValueError(f"`raters` must be one or more different names, got {list(self.raters)}")


def needed_ratings(panel: Panel, rule: AdaptiveRule, answers: Answers) -> frozenset[Ask]:
    """All ratings that are needed, answered or not; everything is there once all of them are answered.

    A pure function of what was answered: the batches are gone through again from the first, each decided by
    the answers to those before it and nothing else, and a batch that is not answered in full is the last. So
    nothing depends on when answers came, more answers never make a rating needless, and it ends with the full
    panel at the latest.

    Args:
        panel: candidates and raters.
        rule: when an image gets another rater.
        answers: answers to any ratings, needed or not.

    Source:
        Issue 4, adaptive rating; ours.
    """
    turns = rater_turns(panel.image_ids, panel.raters)
    asked = {Ask(image_id, turn[0]) for image_id, turn in turns.items()} | _in_full(panel, frozenset())
    while asked <= answers.keys():
        more = _next_batch(panel, rule, turns, {ask: answers[ask] for ask in asked})
        if not more:
            break
        asked |= more
    return frozenset(asked)


def rater_turns(image_ids: Iterable[str], raters: Collection[str]) -> dict[str, list[str]]:
    """In which order the raters come to each image.

    Along the images sorted by digest, raters take turns to be first: their shares differ by one at most.
    """
    names = sorted(raters)
    shuffled = sorted(image_ids, key=lambda image_id: (digest_of(["turn", image_id]), image_id))
    return {
        image_id: names[place % len(names) :] + names[: place % len(names)]
        for place, image_id in enumerate(shuffled)
    }


def rater_habits(scores: Mapping[str, Scores], raters: Collection[str]) -> dict[str, Habit]:
    """Bias and noise of every rater, from the images that several raters scored.

    A bias that cannot be known is 0, noise that cannot be known the others', or `UNKNOWN_NOISE`.
    """
    names = sorted(raters)
    shared = sorted((image_id, given) for image_id, given in scores.items() if len(given) > 1)
    table = np.array([[given.get(name, np.nan) for name in names] for _, given in shared], dtype=np.float64)
    model = fit_rater_model(table.reshape(len(shared), len(names)))
    known = model.inconsistency[~np.isnan(model.inconsistency)]
    panel_noise = float(np.sqrt((known**2).mean())) if known.size else UNKNOWN_NOISE
    bias, noise = np.nan_to_num(model.bias, nan=0.0), np.nan_to_num(model.inconsistency, nan=panel_noise)
    return {name: Habit(float(b), float(s)) for name, b, s in zip(names, bias, noise, strict=True)}


def _next_batch(
    panel: Panel, rule: AdaptiveRule, turns: Mapping[str, list[str]], answers: Answers
) -> set[Ask]:
    """What is to be asked after batches that are answered in full."""
    out_of_domain = {
        ask.image_id for ask, score in answers.items() if score is None and ask.rater not in panel.disregarded
    }
    scores: dict[str, dict[str, int]] = {i: {} for i in panel.image_ids if i not in out_of_domain}
    for ask, score in answers.items():
        if score is not None and ask.image_id in scores:
            scores[ask.image_id][ask.rater] = score
    asked = Counter(ask.image_id for ask in answers)
    contenders = scores.keys() - set(panel.test_set(out_of_domain))
    further = {
        Ask(image_id, turns[image_id][asked[image_id]])
        for image_id in _possible_failures(scores, contenders, panel.raters, rule)
        if asked[image_id] < len(panel.raters)
    }
    return (further | _in_full(panel, out_of_domain)) - answers.keys()


def _in_full(panel: Panel, out_of_domain: AbstractSet[str]) -> set[Ask]:
    """All ratings of T, if no other images are declared out of domain."""
    return {Ask(i, rater) for i in panel.test_set(out_of_domain) for rater in panel.raters}


def _possible_failures(
    scores: Mapping[str, Scores], contenders: Collection[str], raters: Collection[str], rule: AdaptiveRule
) -> set[str]:
    """The contenders that may enter S, and those that nobody scored.

    The probability to be among the worst has to reach the threshold, or that of the last image S has room
    for: so enough images remain to fill S, and images that are all alike are all asked about.
    """
    room = rule.failures_of(len(contenders))
    posterior = quality_posterior(scores, rater_habits(scores, raters))
    worst = posterior.below(posterior.worst_below(contenders, room))
    least = rule.threshold
    if room:
        least = min(least, sorted((worst[image_id] for image_id in contenders), reverse=True)[room - 1])
    possible = {image_id for image_id in contenders if worst[image_id] >= least}
    if rule.failure_below is not None:
        failing = posterior.below(rule.failure_below)
        possible = {image_id for image_id in possible if failing[image_id] >= rule.threshold}
    return possible | {image_id for image_id in contenders if not scores[image_id]}
