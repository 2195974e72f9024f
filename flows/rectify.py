"""Rectify: from masks to a fine-tuned model, its evaluation and the report."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.open_work import progress_of
from flows.opening import open_round, tagged
from flows.waiting import waiting_state
from tasks.announcements import announce_people, announce_results
from tasks.artifacts import ArtifactRef
from tasks.errors import Waiting
from tasks.evaluation import evaluate
from tasks.finetuning import choose_version, fine_tune_trial
from tasks.mask_plan import Role, Sources
from tasks.masks import collect_masks
from tasks.report import write_report
from tasks.rounds import Round, finish_round, require
from tasks.track import track_round
from tasks.versions import spec_of_version


@flow(name="rectify", flow_run_name="{campaign}: rectify round {round_number}")
def rectify(campaign: str, round_number: int, closing: bool = False) -> State[Any] | None:
    """Collect the masks; when all are in, fine-tune the target, judge all versions and write the report.

    Without the campaign's `repair` nothing is fine-tuned, and the target stays as it is.

    Args:
        campaign: name of a stored campaign.
        round_number: 1-based.
        closing: after the last round nothing is fine-tuned; the new test set judges the versions there are.

    Returns:
        A state "Waiting for masks" while some are missing.
    """
    settings, round_ = open_round(campaign, round_number)
    with tagged(campaign, round_number):
        pool, maps, test_set = (require(round_, stage) for stage in ("pool", "maps", "test_set"))
        sources = Sources(pool, maps, None if closing else require(round_, "failures"), test_set)
        roles: tuple[Role, ...] = ("test",) if closing else ("test", "failure")
        for role in roles:
            masks = collect_masks.with_options(task_run_name=f"collect masks: {role}")(
                round_, settings, sources, role
            )
            if isinstance(masks, Waiting):
                announce_people(round_, progress_of(round_))
                return waiting_state(masks)
        if not closing and round_.campaign.repair:
            _new_version(round_)
        versions = round_number if closing else round_number + 1
        scores = _evaluate(round_, versions)
        report = write_report(round_, settings, scores, closing)
        run_url = track_round(round_, settings, scores, report, closing)
        announce_results(round_, scores, run_url, versions)
        finish_round(round_, report, closing)
    return None


def _of_rounds(round_: Round, stage: str) -> dict[int, ArtifactRef]:
    """A stage's artefacts of all rounds up to this one, by round number."""
    return {n: require(round_.at(n), stage) for n in range(1, round_.number + 1)}


def _new_version(round_: Round) -> ArtifactRef:
    """Fine-tune once per learning rate and keep the best."""
    base = spec_of_version(round_, round_.number - 1)
    pools, masks = _of_rounds(round_, "pool"), _of_rounds(round_, "masks-failure")
    trials = {}
    for rate in round_.campaign.finetuning.learning_rates:
        trial = fine_tune_trial.with_options(task_run_name=f"fine-tune at {rate:g}")
        trials[rate] = trial(round_, base, rate, pools, masks)
    return choose_version(round_, base, pools[round_.number], trials)


def _evaluate(round_: Round, versions: int) -> ArtifactRef:
    """Scores of the first `versions` versions and of all competitors on all test sets so far."""
    targets = [spec_of_version(round_, n) for n in range(versions if round_.campaign.repair else 1)]
    models = targets + list(round_.campaign.competitors)
    return evaluate(round_, models, _of_rounds(round_, "pool"), _of_rounds(round_, "masks-test"))
