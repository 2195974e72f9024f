"""Which ratings of the plan are needed by now: all of them, or, where rating is adaptive, batch by batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from configs.schema import Campaign
from tasks.artifacts import ArtifactRef
from tasks.core.adaptive_rating import AdaptiveRule, Ask, Panel, needed_ratings
from tasks.core.rating_needs import RatingNeed, needs_in
from tasks.core.records import DRAWING_ORDER, RATING_PLAN
from tasks.decisions import decisions_of
from tasks.rating_answers import answered, is_about_candidate
from tasks.rounds import Round
from tasks.test_set_drawing import drawn_images

Row = dict[str, Any]


def needs_so_far(round_: Round, candidates: ArtifactRef, plan: ArtifactRef) -> list[RatingNeed]:
    """The needs of the plan that the answers so far make necessary, answered or not.

    Where rating is adaptive, a repeat is needed with the first rating of its image; gold images always are.
    """
    store = round_.open_store()
    planned = store.rows(plan, RATING_PLAN)
    if not round_.campaign.ratings.adaptive:
        return needs_in(planned)
    first = [row for row in planned if is_about_candidate(row)]
    given = answered(round_)
    answers = {
        Ask(need.image_id, need.rater): given[need]["score"] for need in needs_in(first) if need in given
    }
    images = {row["image_id"] for row in first}
    order = [row for row in store.rows(candidates, DRAWING_ORDER) if row["image_id"] in images]
    asked = needed_asks(round_.campaign, order, answers, disregarded_raters(round_))
    return needs_in(
        row
        for row in planned
        if row["expected_score"] is not None or (row["image_id"], row["rater"]) in asked
    )


def needed_asks(
    campaign: Campaign,
    order: Collection[Row],
    answers: Mapping[Ask, int | None],
    disregarded: Collection[str],
) -> frozenset[Ask]:
    """The ratings of candidates that are needed by now.

    Args:
        campaign: raters, and the rules for T and S.
        order: rows of `drawing_order`, those of images that could be drawn.
        answers: to any ratings of candidates; None for out of domain.
        disregarded: raters whose declarations do not count.
    """

    def test_set(out_of_domain: AbstractSet[str]) -> list[str]:
        return drawn_images(campaign, order, out_of_domain)

    image_ids = [row["image_id"] for row in order]
    panel = Panel(image_ids, campaign.ratings.raters, test_set, frozenset(disregarded))
    return needed_ratings(panel, adaptive_rule(campaign), answers)


def adaptive_rule(campaign: Campaign) -> AdaptiveRule:
    """When an image is not rated on, by the campaign's numbers for S."""
    settings = campaign.failures
    return AdaptiveRule(settings.size, settings.failure_below, settings.max_share)


def disregarded_raters(round_: Round) -> list[str]:
    """Raters whose out-of-domain declarations of this round do not count, by the owner's word."""
    return sorted(rater for rater, word in decisions_of(round_).items() if word == "disregard")


def rated_in_full(answers: Iterable[Row], raters: Collection[str]) -> set[str]:
    """Images that every rater answered about, disregarded declarations among the answers.

    Args:
        answers: rows about candidates, of repeat 0.
        raters: of the campaign.
    """
    by_image: dict[str, set[str]] = {}
    for row in answers:
        by_image.setdefault(row["image_id"], set()).add(row["rater"])
    return {image_id for image_id, given in by_image.items() if given >= set(raters)}
