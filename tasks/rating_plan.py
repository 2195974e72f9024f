"""Rating plan: what every rater of a round is shown: all candidates, hidden repeats, and gold images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.label_maps import map_digest
from tasks.core.rating_needs import RatingNeed, hidden_repeats
from tasks.core.records import GOLD, MAPS, RATING_PLAN
from tasks.core.sampling import ceil_share
from tasks.gold_images import GoldImage, gold_images
from tasks.label_map_files import MAPS_FILE, LabelMapWriter
from tasks.labelled_sets import given_set
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1

Row = dict[str, Any]


def plan_rows(
    campaign: Campaign, round_number: int, maps: Iterable[Row], gold: Mapping[tuple[str, str], int]
) -> list[Row]:
    """Rows of `rating_plan`: what each rater is shown; no rater's share depends on who else rates.

    Args:
        campaign: raters, seed and shares.
        round_number: 1-based.
        maps: of the round; the target's are rated.
        gold: image and digest of the map shown -> right score.
    """
    shown = [(row["image_id"], row["map_digest"]) for row in maps if row["role"] == "target"]
    rows: list[Row] = []
    for rater in campaign.ratings.raters:
        first = [RatingNeed(image_id, digest, rater) for image_id, digest in shown]
        repeats = hidden_repeats(
            first, share=campaign.ratings.repeat_share, seed=campaign.seed, round_number=round_number
        )
        rows += [_row(need, None) for need in [*first, *repeats]]
        rows += [_row(RatingNeed(*subject, rater), score) for subject, score in gold.items()]
    return rows


def _row(need: RatingNeed, expected_score: int | None) -> Row:
    return {
        "rater": need.rater,
        "image_id": need.image_id,
        "map_digest": need.map_digest,
        "repeat": need.repeat,
        "expected_score": expected_score,
    }


def write_gold(gold: Iterable[GoldImage], draft: Draft, labels: Row) -> dict[tuple[str, str], int]:
    """Write the gold images' maps; returns image and digest of the map -> right score."""
    rows: list[Row] = []
    with LabelMapWriter(draft.folder / MAPS_FILE) as maps:
        for image in gold:
            row = {
                "image_id": image.image_id,
                "map_digest": map_digest(image.shown),
                "mask_of": image.mask_of,
                "expected_score": image.expected_score,
            }
            rows.append(row | maps.append(image.shown) | labels)
    draft.add_file(MAPS_FILE, identity=False)  # the digests of the maps are in the table
    draft.write_table(GOLD, rows)
    return {(row["image_id"], row["map_digest"]): row["expected_score"] for row in rows}


@stage_task("plan ratings")
def plan_ratings(round_: Round, pool: ArtifactRef, maps: ArtifactRef) -> ArtifactRef:
    """The round's rating plan, with the maps of its gold images; made before anybody is asked."""
    store, campaign = round_.open_store(), round_.campaign
    training = given_set(round_, pool, "training", "S(0)")
    key = StageKey(
        "rating_plan",
        VERSION,
        {
            "raters": list(campaign.ratings.raters),
            "shares": [campaign.ratings.repeat_share, campaign.ratings.gold_share],
            "seed": campaign.seed,
            "round": round_.number,
            "classes": campaign.classes.model_dump(mode="json"),
        },
        {"maps": maps.digest, "training": training.digest},
    )

    def fill(draft: Draft) -> None:
        rows = store.rows(maps, MAPS)
        n_rated = sum(row["role"] == "target" for row in rows)
        gold = gold_images(
            training.images,
            campaign.classes,
            count=ceil_share(n_rated, campaign.ratings.gold_share),
            seed=campaign.seed,
            round_number=round_.number,
        )
        planned = plan_rows(campaign, round_.number, rows, write_gold(gold, draft, round_.labels))
        draft.write_table(RATING_PLAN, [row | round_.labels for row in planned])

    return remember(round_, "rating_plan", store.make(key, fill))
