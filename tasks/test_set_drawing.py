"""Which candidates the test set would have, given what is known of the domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from configs.schema import Campaign
from tasks.core.sampling import TestSetRule, draw_test_set


def drawn_images(
    campaign: Campaign, order: Iterable[Mapping[str, Any]], out_of_domain: AbstractSet[str]
) -> list[str]:
    """The images of T, in the order drawn.

    Args:
        campaign: for the rule and the order of the classes.
        order: rows of `drawing_order` of all candidates that could be drawn, in any order.
        out_of_domain: images that a rater declared so.
    """
    settings = campaign.test_set
    index_of = {name: index for index, name in enumerate(campaign.classes.names)}
    ordered = sorted(order, key=lambda row: row["position"])
    names = {row["image_id"]: row["main_class"] for row in ordered}
    return draw_test_set(
        [row["image_id"] for row in ordered],
        main_classes={i: None if name is None else index_of[name] for i, name in names.items()},
        out_of_domain=out_of_domain,
        rule=TestSetRule(settings.size, settings.max_share, settings.max_per_class),
    )
