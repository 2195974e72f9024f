"""Raters: how each rated and how far they agree, once a round's ratings are complete. Nobody is left out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.agreement import ordinal_alpha
from tasks.core.opinion_intervals import opinion_intervals
from tasks.core.rater_screening import ScreenedRater, screen_raters
from tasks.core.records import PANEL, RATED_ANSWERS, RATERS
from tasks.core.score_matrix import score_matrix
from tasks.rating_answers import is_about_candidate, rating_of
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

Row = dict[str, Any]


def rater_rows(answers: Iterable[Row]) -> list[Row]:
    """Rows of `raters`, from rows of `rated_answers`: candidates, repeats and gold images."""
    listed = list(answers)
    gold = {
        (row["image_id"], row["map_digest"]): float(row["expected_score"])
        for row in listed
        if row["expected_score"] is not None
    }
    return [_rater_row(rater) for rater in screen_raters(map(rating_of, listed), gold=gold)]


def panel_row(answers: Iterable[Row]) -> Row:
    """The row of `panel`, from rows of `rated_answers`: agreement on candidates that all raters scored."""
    scores = score_matrix(rating_of(row) for row in answers if is_about_candidate(row)).scores
    by_all = scores[~np.isnan(scores).any(axis=1)]
    intervals = opinion_intervals(scores)
    return {
        "n_raters": scores.shape[1],
        "n_images": len(by_all),
        "alpha": _known(ordinal_alpha(by_all)),
        "rater_variance": _known(intervals.rater_variance),
        "degrees": intervals.degrees,
    }


def _rater_row(rater: ScreenedRater) -> Row:
    return {
        "rater": rater.rater,
        "n_scores": rater.n_scores,
        "bias": _known(rater.bias),
        "bias_error": _known(rater.bias_error),
        "inconsistency": _known(rater.inconsistency),
        "inconsistency_error": _known(rater.inconsistency_error),
        "self_consistency": _known(rater.repeats.share),
        "n_repeats": rater.repeats.of,
        "gold_accuracy": _known(rater.gold.share),
        "n_gold": rater.gold.of,
        "rank_correlation": _known(rater.correlation.spearman),
        "out_of_domain_rate": _known(rater.out_of_domain.share),
        "bt500_outside": None if rater.bt500 is None else rater.bt500.above + rater.bt500.below,
        "bt500_rejected": None if rater.bt500 is None else rater.bt500.rejected,
        "flags": "; ".join(rater.flags),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


@stage_task("screen raters")
def screen_round_raters(round_: Round, ratings: ArtifactRef) -> ArtifactRef:
    """What the round's ratings say about its raters, for the report; it changes no rating."""
    store = round_.open_store()

    def fill(draft: Draft) -> None:
        answers = store.rows(ratings, RATED_ANSWERS)
        draft.write_table(RATERS, [row | round_.labels for row in rater_rows(answers)])
        draft.write_table(PANEL, [panel_row(answers) | round_.labels])

    key = StageKey("raters", VERSION, {}, {"ratings": ratings.digest})
    return remember(round_, "raters", store.make(key, fill))
