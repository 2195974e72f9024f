"""Mine: from the pool to requested ratings."""

from __future__ import annotations

from prefect import flow

from flows.opening import open_round, tagged
from tasks.announcements import announce_candidates, announce_links
from tasks.candidates import choose_candidates
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines
from tasks.labelled_sets import given_set, split_of
from tasks.ledger import excluded_images
from tasks.maps import draw_maps
from tasks.pool import list_images
from tasks.predictions import check_models, predict_pool
from tasks.rating_plan import plan_ratings
from tasks.ratings import RatingSources, request_ratings
from tasks.rounds import recall
from tasks.versions import spec_of_version


@flow(name="mine", flow_run_name="{campaign}: mine round {round_number}")
def mine(campaign: str, round_number: int, request: bool = True) -> None:
    """Run all models over the pool, choose the candidates, draw their maps and ask people to rate them.

    Args:
        campaign: name of a stored campaign.
        round_number: 1-based.
        request: whether people are asked; False stops at the candidates (for a plan).
    """
    settings, round_ = open_round(campaign, round_number)
    with tagged(campaign, round_number):
        target = spec_of_version(round_, round_number - 1)
        models = [target, *round_.campaign.competitors]
        if recall(round_, "candidates") is None:
            check_models(round_, models)
        pool = list_images(round_)
        split_of(round_, given_set(round_, pool, "familiar", "T(0)"))  # refused now, not after people's work
        maps_of = predict_pool(round_, models, choose_engines(round_, models, pool), pool)
        discrepancies = {
            spec.name: compute_discrepancies.with_options(
                task_run_name=f"compute discrepancies: {spec.name}"
            )(round_, spec.name, maps_of[target.name], maps_of[spec.name])
            for spec in round_.campaign.competitors
        }
        candidates = choose_candidates(round_, pool, discrepancies, excluded_images(round_))
        if not request:
            return
        maps = draw_maps(round_, target, pool, candidates)
        announce_candidates(round_, pool, candidates, maps)
        plan = plan_ratings(round_, pool, maps)
        sources = RatingSources(pool, maps, candidates, plan)
        projects = request_ratings(round_, settings, sources)
        announce_links(round_, settings, "ratings", projects)
