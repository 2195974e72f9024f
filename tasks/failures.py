"""Failures (S): the worst rated candidates that are not in the test set."""

from __future__ import annotations

from typing import Any

from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.records import DRAWING_ORDER, FAILURES, RATINGS, TEST_SETS
from tasks.core.sampling import Rated, cut_failures, largest_set
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1


def failure_rows(
    round_: Round, order: list[dict[str, Any]], ratings: list[dict[str, Any]], in_test_set: set[str]
) -> list[dict[str, Any]]:
    """Rows of `failures`, worst first: cut from the candidates outside the test set that all raters rated.

    The largest share is of all that remain in the domain, those that were not rated on among them.
    """
    settings = round_.campaign.failures
    discrepancy = {row["image_id"]: row["discrepancy"] for row in order}
    rest = {
        row["image_id"]: row
        for row in ratings
        if not row["out_of_domain"] and row["image_id"] not in in_test_set
    }
    worst = cut_failures(
        [
            Rated(i, row["mean_opinion_score"], discrepancy[i])
            for i, row in rest.items()
            if not row["stopped_early"]
        ],
        size=largest_set(len(rest), settings.size, settings.max_share),
        failure_below=settings.failure_below,
    )
    return [
        {
            "image_id": image_id,
            "model_version": rest[image_id]["model_version"],
            "map_digest": rest[image_id]["map_digest"],
            "rank": rank,
        }
        | round_.labels
        for rank, image_id in enumerate(worst, start=1)
    ]


@stage_task("cut failures")
def cut_round_failures(
    round_: Round, candidates: ArtifactRef, ratings: ArtifactRef, test_set: ArtifactRef
) -> ArtifactRef:
    """The round's failures S, to be labelled densely and trained on."""
    store = round_.open_store()
    key = StageKey(
        "failures",
        VERSION,
        round_.campaign.failures.model_dump(mode="json"),
        {"candidates": candidates.digest, "ratings": ratings.digest, "test_set": test_set.digest},
    )

    def fill(draft: Draft) -> None:
        in_test_set = {row["image_id"] for row in store.rows(test_set, TEST_SETS)}
        order, rated = store.rows(candidates, DRAWING_ORDER), store.rows(ratings, RATINGS)
        draft.write_table(FAILURES, failure_rows(round_, order, rated, in_test_set))

    return remember(round_, "failures", store.make(key, fill))
