"""Triage: from ratings to requested masks."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.open_work import progress_of
from flows.opening import open_round, tagged
from flows.waiting import waiting_state
from tasks.announcements import announce_links, announce_people
from tasks.errors import Waiting
from tasks.failures import cut_round_failures
from tasks.mask_plan import Sources
from tasks.masks import request_masks
from tasks.ratings import RatingSources, collect_ratings
from tasks.rounds import require
from tasks.test_sets import draw_round_test_set
from tasks.versions import version_name


@flow(name="triage", flow_run_name="{campaign}: triage round {round_number}")
def triage(campaign: str, round_number: int, closing: bool = False) -> State[Any] | None:
    """Collect the ratings; when all are in, draw the test set, cut the failures and ask for their masks.

    Args:
        campaign: name of a stored campaign.
        round_number: 1-based.
        closing: after the last round only the test set is labelled.

    Returns:
        A state "Waiting for ratings" while some are missing, or "Waiting for a word on NAME".
    """
    settings, round_ = open_round(campaign, round_number)
    with tagged(campaign, round_number):
        pool, maps, candidates, plan = (
            require(round_, stage) for stage in ("pool", "maps", "candidates", "rating_plan")
        )
        rated = RatingSources(pool, maps, candidates, plan)
        ratings = collect_ratings(round_, settings, version_name(round_, round_number - 1), rated)
        if isinstance(ratings, Waiting):
            announce_people(round_, progress_of(round_))
            return waiting_state(ratings)
        test_set = draw_round_test_set(round_, candidates, ratings)
        failures = None if closing else cut_round_failures(round_, candidates, ratings, test_set)
        sources = Sources(pool, maps, failures, test_set)
        projects = request_masks(round_, settings, sources)
        announce_links(round_, settings, "masks", projects)
    return None
