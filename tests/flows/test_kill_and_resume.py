"""`madloop run` killed with SIGKILL at every stage boundary and at random moments, and started again."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from configs.settings import Settings
from tests.lib.campaign_runs import (
    CampaignRun,
    finish,
    people_at_work,
    prepare_run,
    twice_asked_or_answered,
)
from tests.lib.forked_runs import ForkedRuns, RunningCommand
from tests.lib.tiny_campaign import TinyCampaign

RANDOM_KILLS = 20


@pytest.fixture(scope="module")
def uninterrupted(
    tiny_campaign: TinyCampaign,
    services: Settings,
    forked_runs: ForkedRuns,
    tmp_path_factory: pytest.TempPathFactory,
) -> CampaignRun:
    """The same campaign run to its end without a kill.

    Once the people have read the truth it is taken away, so the pipeline could not read it if it tried.
    """
    folder = tmp_path_factory.mktemp("uninterrupted")
    run = prepare_run(tiny_campaign.config, "tiny-whole", services, folder)
    away = tiny_campaign.truth.with_name("taken-away")
    with people_at_work(run, folder / "people.txt"):
        tiny_campaign.truth.rename(away)
        finish(run, forked_runs)
    away.rename(tiny_campaign.truth)
    return run


@pytest.mark.services
@pytest.mark.timeout(900)
def test_a_round_passes_while_the_truth_is_out_of_reach(uninterrupted: CampaignRun) -> None:
    digests = uninterrupted.digests()
    assert {"1/report", "2/closing_report", "1/version", "1/masks-failure"} <= digests.keys()
    assert twice_asked_or_answered(uninterrupted) == []


def _assert_same(run: CampaignRun, reference: CampaignRun) -> None:
    assert reference.digests() == run.digests()
    assert twice_asked_or_answered(run) == []


@pytest.mark.services
@pytest.mark.timeout(900)
def test_a_run_killed_after_every_stage_ends_with_the_same_artefacts(
    tiny_campaign: TinyCampaign,
    services: Settings,
    forked_runs: ForkedRuns,
    uninterrupted: CampaignRun,
    tmp_path: Path,
) -> None:
    run = prepare_run(tiny_campaign.config, "tiny-stages", services, tmp_path)
    seen: set[str] = set()

    boundaries = 0

    def kill_at_next_boundary(command: RunningCommand) -> int:
        nonlocal boundaries
        while not command.ended.is_set():
            fresh = run.index_entries() - seen
            if fresh:
                seen.update(fresh)
                boundaries += 1
                return int(command.kill())
            time.sleep(0.002)
        return 0

    with people_at_work(run, tmp_path / "people.txt"):
        kills = finish(run, forked_runs, kill_at_next_boundary)
    assert len(seen) == len(uninterrupted.index_entries())
    # What ends a round is written too close to the end of the process to always find something to kill.
    assert kills >= boundaries - 2
    assert boundaries >= 20
    _assert_same(run, uninterrupted)


@pytest.mark.services
@pytest.mark.timeout(900)
def test_a_run_killed_at_random_moments_ends_with_the_same_artefacts(
    tiny_campaign: TinyCampaign,
    services: Settings,
    forked_runs: ForkedRuns,
    uninterrupted: CampaignRun,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(11)
    kills, campaigns = 0, 0
    while kills < RANDOM_KILLS:
        campaigns += 1
        run = prepare_run(tiny_campaign.config, f"tiny-random-{campaigns}", services, tmp_path)

        kills_here = [0]

        def kill_later(
            command: RunningCommand, left: int = RANDOM_KILLS - kills, kills_here: list[int] = kills_here
        ) -> int:
            if left <= kills_here[0]:
                return 0
            command.ended.wait(rng.uniform(0.2, 6.0))
            killed = int(command.kill())
            kills_here[0] += killed
            return killed

        with people_at_work(run, tmp_path / "people.txt"):
            kills += finish(run, forked_runs, kill_later)
        _assert_same(run, uninterrupted)


@pytest.mark.services
@pytest.mark.timeout(900)
def test_raising_the_rounds_goes_on_from_the_closing_round_and_lowering_them_changes_nothing(
    uninterrupted: CampaignRun, forked_runs: ForkedRuns, tmp_path: Path
) -> None:
    """The last test here: it takes the campaign that the others compare with one round further."""
    closed = uninterrupted.digests()
    with people_at_work(uninterrupted, tmp_path / "people.txt"):
        finish(uninterrupted, forked_runs, options=["--rounds", "2"])
        longer = uninterrupted.digests()
        finish(uninterrupted, forked_runs)

    kept = {name: digest for name, digest in closed.items() if name != "2/scores"}
    assert {name: longer[name] for name in kept} == kept
    assert {"2/failures", "2/version", "2/report", "3/closing_report"} <= longer.keys() - closed.keys()
    assert uninterrupted.digests() == longer
    assert twice_asked_or_answered(uninterrupted) == []
