"""Troubleshoot: whatever is next in a campaign. Safe to run again at any time."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.mine import mine
from flows.opening import open_round, tagged
from flows.rectify import rectify
from flows.triage import triage
from flows.waiting import waiting_state
from tasks.errors import Waiting
from tasks.ratings import collect_late_ratings
from tasks.rounds import Round, has_ended


@flow(name="troubleshoot", flow_run_name="troubleshoot {campaign}")
def troubleshoot(campaign: str, rounds: int | None = None) -> State[Any]:
    """Advance a campaign as far as it goes without people: mine, triage and rectify, round by round.

    Args:
        campaign: name of a stored campaign.
        rounds: rounds to run in all; default: as the config says.

    Returns:
        "Waiting for ratings" or "Waiting for masks" with the count so far, or "Finished".
    """
    settings, first = open_round(campaign, 1)
    last = first.campaign.rounds if rounds is None else rounds
    with tagged(campaign):
        for number in range(1, last + 2):  # of rounds that have ended, too; the closing round is the last
            collect_late_ratings.with_options(task_run_name=f"collect late ratings: round {number}")(
                first.at(number), settings
            )
        for number in range(1, last + 1):
            waiting = advance_round(first.at(number), closing=False)
            if waiting is not None:
                return waiting_state(waiting)
        # A round that has ended in full needs no closing pass: its test set is labelled. Without repair there
        # is no last version for the closing test set to judge.
        is_closed = first.campaign.closing_test_set and first.campaign.repair
        if is_closed and not has_ended(first.at(last + 1), closing=False):
            waiting = advance_round(first.at(last + 1), closing=True)
            if waiting is not None:
                return waiting_state(waiting)
    return Completed(name="Finished", message=f"{last} round(s) of {campaign} are finished", data=None)


def advance_round(round_: Round, *, closing: bool) -> Waiting | None:
    """Run what is left of a round; what people still owe it, or None when it has ended."""
    if has_ended(round_, closing):
        return None
    name, number = round_.campaign.name, round_.number
    with tagged(name, number):
        mine(name, number)
        for step in (triage, rectify):
            waiting: Any = step(name, number, closing=closing)
            if isinstance(waiting, Waiting):
                return waiting
    return None
