"""Test set (T): the first candidates, in the recorded order, that survive out-of-domain and class cap."""

from __future__ import annotations

from typing import Any

from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.records import DRAWING_ORDER, RATINGS, TEST_SETS
from tasks.rounds import Round, remember
from tasks.stage import stage_task
from tasks.test_set_drawing import drawn_images

VERSION = 1


def drawn_rows(
    round_: Round, order: list[dict[str, Any]], ratings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of `test_sets`: drawn from `order` by the campaign's rule, before any failure is cut.

    A candidate that could not be drawn was not rated, and has no place in the order.
    """
    rated = {row["image_id"]: row for row in ratings}
    known = [row for row in order if row["image_id"] in rated]
    main_classes = {row["image_id"]: row["main_class"] for row in known}
    out_of_domain = {i for i, row in rated.items() if row["out_of_domain"]}
    drawn = drawn_images(round_.campaign, known, out_of_domain)
    return [
        {
            "image_id": image_id,
            "model_version": rated[image_id]["model_version"],
            "map_digest": rated[image_id]["map_digest"],
            "main_class": main_classes[image_id],
            "drawn_rank": rank,
            "seed": round_.campaign.seed,
        }
        | round_.labels
        for rank, image_id in enumerate(drawn, start=1)
    ]


@stage_task("draw test set")
def draw_round_test_set(round_: Round, candidates: ArtifactRef, ratings: ArtifactRef) -> ArtifactRef:
    """The round's test set T, disjoint from every S and out of every later M."""
    store = round_.open_store()
    config = round_.campaign.test_set.model_dump(mode="json") | {"seed": round_.campaign.seed}
    key = StageKey("test_sets", VERSION, config, {"candidates": candidates.digest, "ratings": ratings.digest})

    def fill(draft: Draft) -> None:
        rows = drawn_rows(round_, store.rows(candidates, DRAWING_ORDER), store.rows(ratings, RATINGS))
        draft.write_table(TEST_SETS, rows)

    return remember(round_, "test_set", store.make(key, fill))
