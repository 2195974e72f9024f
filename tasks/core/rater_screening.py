"""The screening of a panel: every number about every rater, and what stands out. Nobody is left out by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tasks.core.consensus import Rating
from tasks.core.observer_screening import MOST_OUTSIDE, ObserverScreening, screen_observers
from tasks.core.rater_measures import (
    Count,
    RankCorrelation,
    declared_out_of_domain,
    gold_within_one,
    rank_correlations,
    repeats_within_one,
)
from tasks.core.rater_model import RaterModel, fit_rater_model
from tasks.core.score_matrix import Scores, Shown, score_matrix

NO_COUNT = Count(0, 0)


@dataclass(frozen=True)
class ScreeningRule:
    """From where on a rater is flagged.

    A flag needs a difference that matters (the thresholds) and that chance does not explain: its one-sided
    test must hold at `level` / (tests made in the panel), so that a panel of good raters has a flag with a
    probability of about `level` at most (Bonferroni). Out of domain has no test, it is a count to look at.

    Attributes:
        level: chance of any flag in a panel without fault, 0..1.
        bias: scores from the panel's median bias; half a step changes every second score.
        inconsistency: times the others' standard deviation; at 1.25 it takes half as many ratings again for a
            mean equally exact.
        gold: least share of gold images right within one score.
        correlation: times the others' mean rank correlation.
        out_of_domain: times the panel's median rate.
        out_of_domain_count: images to be declared at least; one or two are no pattern.
    """

    level: float = 0.05
    bias: float = 0.5
    inconsistency: float = 1.25
    gold: float = 0.8
    correlation: float = 0.5
    out_of_domain: float = 3.0
    out_of_domain_count: int = 3


@dataclass(frozen=True)
class ScreenedRater:
    """All that is known of how a rater rates.

    Attributes:
        rater: the name.
        n_scores: scores of repeat 0.
        bias, bias_error: scores above the panel's mean bias, with the standard error (rater_model).
        inconsistency, inconsistency_error: standard deviation in scores, with its standard error
            (rater_model).
        repeats: repeats within one score of the first answer.
        gold: gold images within one score of the known one.
        correlation: with the mean of the others.
        out_of_domain: images declared out of domain.
        bt500: BT.500's counts; None for a panel of fewer than 8.
        flags: sentences on what stands out, with the thresholds; () if nothing does.
    """

    rater: str
    n_scores: int
    bias: float
    bias_error: float
    inconsistency: float
    inconsistency_error: float
    repeats: Count
    gold: Count
    correlation: RankCorrelation
    out_of_domain: Count
    bt500: ObserverScreening | None
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Test:
    """What a flag would say, and how probable such a difference is by chance (NaN: cannot be known)."""

    sentence: str
    probability: float


def screen_raters(
    ratings: Iterable[Rating], *, gold: Mapping[Shown, float], rule: ScreeningRule | None = None
) -> list[ScreenedRater]:
    """One record per rater, by name; the order of the ratings does not matter.

    Args:
        ratings: all valid answers, repeats and gold images among them.
        gold: known scores of the gold images, 1..5; may be empty.
        rule: thresholds; default: `ScreeningRule()`.

    Raises:
        ValueError: two answers of one rater about one map with the same repeat 0.

    Source:
        The thresholds are ours. Tests: z of a contrast of biases, t of the excess variance, hypergeometric
        for the repeats (Fisher), binomial for gold, Fisher's z of Spearman's correlation (E. C. Fieller et
        al., Biometrika 44, 1957).
    """
    rule = rule or ScreeningRule()
    answers = list(ratings)
    matrix = score_matrix(answers)
    model = fit_rater_model(matrix.scores)
    unbiased = matrix.scores - np.nan_to_num(model.bias)
    columns = range(len(matrix.raters))
    correlations = rank_correlations(unbiased)
    by_name = {
        "repeats": repeats_within_one(answers),
        "gold": gold_within_one(answers, gold),
        "out": declared_out_of_domain(answers),
    }
    repeats, golden, out = (
        [counts.get(rater, NO_COUNT) for rater in matrix.raters] for counts in by_name.values()
    )
    bt500 = screen_observers(matrix.scores)
    tests = [
        (
            _bias_test(model, i, rule),
            _inconsistency_test(unbiased, i, rule),
            _repeats_test(repeats, i),
            _gold_test(golden[i], rule),
            _correlation_test(correlations, i, rule),
        )
        for i in columns
    ]
    made = sum(not math.isnan(test.probability) for of_rater in tests for test in of_rater)
    level = rule.level / max(1, made)
    return [
        ScreenedRater(
            rater=matrix.raters[i],
            n_scores=int((~np.isnan(matrix.scores[:, i])).sum()),
            bias=float(model.bias[i]),
            bias_error=float(model.bias_error[i]),
            inconsistency=float(model.inconsistency[i]),
            inconsistency_error=float(model.inconsistency_error[i]),
            repeats=repeats[i],
            gold=golden[i],
            correlation=correlations[i],
            out_of_domain=out[i],
            bt500=bt500[i] if bt500 else None,
            flags=tuple(t.sentence for t in tests[i] if t.probability < level)
            + _out_of_domain_flags(out, i, rule)
            + _bt500_flags(bt500[i] if bt500 else None),
        )
        for i in columns
    ]


def _bias_test(model: RaterModel, rater: int, rule: ScreeningRule) -> _Test:
    """Is the bias further than allowed from the panel's median, which one bad rater of three cannot move far?

    Of two raters nobody can say which one is off: no test.
    """
    known = np.flatnonzero(~np.isnan(model.bias))
    if rater not in known or len(known) < 3:
        return _Test("", math.nan)
    middle = known[np.argsort(model.bias[known], kind="stable")][(len(known) - 1) // 2 : len(known) // 2 + 1]
    contrast = np.zeros(len(model.bias))
    contrast[rater] += 1
    contrast[middle] -= 1 / len(middle)
    covariance = np.nan_to_num(model.bias_covariance)
    off = float(contrast @ np.nan_to_num(model.bias))
    error = math.sqrt(max(0.0, float(contrast @ covariance @ contrast)))
    sentence = f"scores lie {off:+.2f} from the panel's median, allowed is {rule.bias:.2f}"
    if error == 0:  # the rater is the median
        return _Test(sentence, 1.0)
    return _Test(sentence, float(stats.norm.sf((abs(off) - rule.bias) / error)))


def _inconsistency_test(unbiased: Scores, rater: int, rule: ScreeningRule) -> _Test:
    """Is the variance more than allowed times that of the others, pooled?

    Per image with at least two others, (score - mean of the others)^2 - (ratio^2 + 1 / others) * variance of
    the others has the expectation own variance - ratio^2 * others' variance, whatever the noise looks like.
    """
    others = np.delete(unbiased, rater, axis=1)
    counts = (~np.isnan(others)).sum(axis=1)
    usable = ~np.isnan(unbiased[:, rater]) & (counts >= 2)
    n = int(usable.sum())
    if n < 2:
        return _Test("", math.nan)
    others, counts = others[usable], counts[usable]
    spread = np.nanvar(others, axis=1, ddof=1)
    apart = (unbiased[usable, rater] - np.nanmean(others, axis=1)) ** 2
    excess = apart - (rule.inconsistency**2 + 1 / counts) * spread
    own, pooled = float((apart - spread / counts).mean()), float(spread.mean())
    sentence = (
        f"scores vary by {math.sqrt(max(0.0, own)):.2f}, those of the others by {math.sqrt(pooled):.2f}; "
        f"allowed is {rule.inconsistency:.2f} times as much"
    )
    error = float(excess.std(ddof=1)) / math.sqrt(n)
    if error == 0:
        return _Test(sentence, 0.0 if excess.mean() > 0 else 1.0)
    return _Test(sentence, float(stats.t.sf(excess.mean() / error, n - 1)))


def _repeats_test(repeats: Sequence[Count], rater: int) -> _Test:
    """Are fewer repeats within one score than among the others (Fisher's exact test)?"""
    own, hits, of = repeats[rater], sum(c.hits for c in repeats), sum(c.of for c in repeats)
    if own.of in (0, of):
        return _Test("", math.nan)
    others = (hits - own.hits) / (of - own.of)
    return _Test(
        f"{own.hits} of {own.of} repeats within one score of the first answer, {others:.0%} of the others'",
        float(stats.hypergeom.cdf(own.hits, of, hits, own.of)),
    )


def _gold_test(gold: Count, rule: ScreeningRule) -> _Test:
    """Are fewer gold images right than required?"""
    if gold.of == 0:
        return _Test("", math.nan)
    return _Test(
        f"{gold.hits} of {gold.of} gold images right within one score, required are {rule.gold:.0%}",
        float(stats.binom.cdf(gold.hits, gold.of, rule.gold)),
    )


def _correlation_test(correlations: Sequence[RankCorrelation], rater: int, rule: ScreeningRule) -> _Test:
    """Is the rank correlation below the required share of the others' mean? A constant rater's is 0."""
    others = [c.spearman for i, c in enumerate(correlations) if i != rater and not math.isnan(c.spearman)]
    own = correlations[rater]
    if not others or own.n_images <= 3:
        return _Test("", math.nan)
    spearman = 0.0 if math.isnan(own.spearman) else own.spearman
    mean = float(np.mean(others))
    required = rule.correlation * mean
    z = (_fisher_z(required) - _fisher_z(spearman)) * math.sqrt((own.n_images - 3) / 1.06)
    return _Test(
        f"rank correlation {spearman:.2f} with the mean of the others, who have {mean:.2f}; "
        f"required is {rule.correlation:.2f} times as much",
        float(stats.norm.sf(z)),
    )


def _fisher_z(correlation: float) -> float:
    return math.atanh(min(max(correlation, -0.999999), 0.999999))


def _out_of_domain_flags(counts: Sequence[Count], rater: int, rule: ScreeningRule) -> tuple[str, ...]:
    """More than so many times the panel's median rate, and enough images to be a pattern."""
    median = float(np.median([c.share for c in counts if c.of]))
    own = counts[rater]
    if own.hits < rule.out_of_domain_count or own.share <= rule.out_of_domain * median:
        return ()
    sentence = (
        f"{own.hits} of {own.of} images declared out of domain, more than {rule.out_of_domain:g} times the "
        f"panel's median of {median:.1%}"
    )
    return (sentence,)


def _bt500_flags(screening: ObserverScreening | None) -> tuple[str, ...]:
    if screening is None or not screening.rejected:
        return ()
    outside = screening.above + screening.below
    sentence = (
        f"{outside} of {screening.n_scores} scores outside the panel's band on both sides, "
        f"BT.500 allows {MOST_OUTSIDE:.0%}"
    )
    return (sentence,)
