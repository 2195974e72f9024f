"""The screening of a panel: every number about every rater, and what stands out. Nobody is left out by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tasks.core.consensus import Rating
from tasks.core.observer_screening import ObserverScreening, screen_observers
from tasks.core.rater_flags import (
    ScreeningRule,
    bias_test,
    bt500_flags,
    correlation_test,
    gold_test,
    inconsistency_test,
    out_of_domain_flags,
    repeats_test,
)
from tasks.core.rater_measures import (
    Count,
    RankCorrelation,
    declared_out_of_domain,
    gold_within_one,
    rank_correlations,
    repeats_within_one,
)
from tasks.core.rater_model import fit_rater_model
from tasks.core.score_matrix import Shown, score_matrix

NO_COUNT = Count(0, 0)


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
        out_of_domain: candidates declared out of domain; gold images are left out.
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
        Issue 4, rater science; thresholds and tests are in `rater_flags`.
    """
    rule = rule or ScreeningRule()
    answers = list(ratings)
    matrix = score_matrix(answers)
    model = fit_rater_model(matrix.scores)
    unbiased = matrix.scores - np.nan_to_num(model.bias)
    columns = range(len(matrix.raters))
    correlations = rank_correlations(unbiased)
    about_candidates = (a for a in answers if (a.image_id, a.map_digest) not in gold)
    repeats, golden, out = (
        [counts.get(rater, NO_COUNT) for rater in matrix.raters]
        for counts in (
            repeats_within_one(answers),
            gold_within_one(answers, gold),
            declared_out_of_domain(about_candidates),
        )
    )
    bt500 = screen_observers(matrix.scores)
    tests = [
        (
            bias_test(model, i, rule),
            inconsistency_test(unbiased, i, rule),
            repeats_test(repeats, i),
            gold_test(golden[i], rule),
            correlation_test(correlations, i, rule),
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
            + out_of_domain_flags(out, i, rule)
            + bt500_flags(bt500[i] if bt500 else None),
        )
        for i in columns
    ]
