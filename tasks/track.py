"""Track: the round in MLflow, from committed artefacts alone, so that doing it again changes nothing."""

from __future__ import annotations

import datetime
import json
from typing import Any

from configs.settings import Settings
from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.core.records import CANDIDATES, COSTS, EPOCHS, SCORES, TRIALS
from tasks.costs import cost_metrics, n_confirmed_in
from tasks.report_page import CAMPAIGN_FILE, REPORT_FILE
from tasks.rounds import Round, require, stages_of
from tasks.services.tracking import Tracking
from tasks.services.tracking_registry import ModelRegistry
from tasks.services.tracking_values import ModelRecord, RoundRecord
from tasks.stage import stage_task


def committed_ms(store: ArtifactStore, ref: ArtifactRef) -> int:
    """When an artefact was committed, in milliseconds since 1970: the same at every repetition."""
    return int(datetime.datetime.fromisoformat(store.marker(ref)["created_at"]).timestamp() * 1000)


def metrics_of(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Metric name -> value: `miou/<model>/<set>/<part>` and `iou/<model>/<set>/<part>/<class>`."""
    metrics = {}
    for row in scores:
        place = f"{row['model_version']}/{row['test_set']}/{row['part']}"
        if row["metric"] == "iou" and row["class_name"] == "mean":
            metrics[f"miou/{place}"] = row["value"]
        elif row["metric"] == "pixel_accuracy":
            metrics[f"pixel_accuracy/{place}"] = row["value"]
        elif row["metric"] == "iou":
            metrics[f"iou/{place}/{row['class_name']}"] = row["value"]
    return metrics


def round_record(round_: Round, scores: ArtifactRef, report: ArtifactRef) -> RoundRecord:
    """What MLflow is told of a round: scores, the report, and the campaign without the names of people."""
    store = round_.open_store()
    candidates = store.path(require(round_, "candidates"), f"{CANDIDATES.name}.parquet")
    files = {
        "report": store.path(report, REPORT_FILE),
        "candidates": candidates,
        "scores": store.path(scores, f"{SCORES.name}.parquet"),
        "config": store.path(report, CAMPAIGN_FILE),
    }
    costs = cost_metrics(store.rows(report, COSTS), n_confirmed_in(round_))
    return RoundRecord(
        config=json.loads(files["config"].read_bytes()),
        metrics=metrics_of(store.rows(scores, SCORES)) | costs,
        step=round_.number,
        timestamp_ms=committed_ms(store, scores),
        artifacts=files,
        tags={"madloop.campaign": round_.campaign.name, "madloop.round": str(round_.number)},
    )


def _track_trials(round_: Round, tracking: Tracking, experiment: str, parent: str) -> None:
    """One nested run per learning rate, with its loss curve."""
    store, campaign = round_.open_store(), round_.campaign
    version = require(round_, "version")
    tuning = {row["learning_rate"]: row for row in store.rows(version, TRIALS)}
    for name, ref in stages_of(round_).items():
        if not name.startswith("trial-"):
            continue
        epochs = store.rows(ref, EPOCHS)
        row = tuning.get(epochs[0]["learning_rate"])
        if row is None:
            continue  # a rate that the config no longer has
        run = tracking.ensure_run(
            experiment,
            key=f"{campaign.name}/round-{round_.number}/{name}",
            name=f"round {round_.number}: learning rate {name.removeprefix('trial-')}",
            parent_run_id=parent,
            tags={"madloop.campaign": campaign.name, "madloop.round": str(round_.number)},
        )
        committed = committed_ms(store, ref)
        tracking.log_round(
            run,
            RoundRecord(
                config={
                    "learning_rate": row["learning_rate"],
                    **campaign.finetuning.model_dump(mode="json", exclude={"learning_rates"}),
                },
                metrics={"tuning_miou": row["tuning_miou"], "final_loss": row["final_loss"]},
                step=round_.number,
                timestamp_ms=committed,
                tags={"madloop.chosen": str(row["chosen"]).lower()},
            ),
        )
        tracking.log_curve(run, "loss", [e["loss"] for e in epochs], [committed + e["epoch"] for e in epochs])
        tracking.finish(run, "FINISHED")


def _track_model(round_: Round, registry: ModelRegistry, run: str, scores: ArtifactRef) -> None:
    """The new version in the registry, without pickle, under the alias `challenger`."""
    store, campaign = round_.open_store(), round_.campaign
    name = f"{campaign.target.name}-v{round_.number}"
    metrics = {
        f"miou/{row['test_set']}/{row['part']}": row["value"]
        for row in store.rows(scores, SCORES)
        if row["model_version"] == name and row["metric"] == "iou" and row["class_name"] == "mean"
    }
    version = registry.ensure_model_version(
        ModelRecord(
            registered_name=campaign.name,
            key=f"{campaign.name}/round-{round_.number}/{require(round_, 'version').digest}",
            run_id=run,
            folder=store.folder(require(round_, "version"), "network"),
            params={"round": round_.number, "target": campaign.target.name},
            metrics=metrics,
            step=round_.number,
            timestamp_ms=committed_ms(store, scores),
        )
    )
    registry.set_alias(campaign.name, "challenger", version.version)


@stage_task("track in MLflow")
def track_round(
    round_: Round, settings: Settings, scores: ArtifactRef, report: ArtifactRef, closing: bool
) -> str:
    """Log the round, its trials and its model; returns the address of the run. Idempotent."""
    campaign = round_.campaign
    tracking = Tracking(settings.require("mlflow"))
    experiment = tracking.ensure_experiment(campaign.name)
    kind = "closing" if closing else "round"
    run = tracking.ensure_run(
        experiment,
        key=f"{campaign.name}/{kind}-{round_.number}",
        name=f"{campaign.name} {kind} {round_.number}",
        parent_run_id=None,
        tags={"madloop.campaign": campaign.name},
    )
    tracking.log_round(run, round_record(round_, scores, report))
    if campaign.repair and not closing:
        _track_trials(round_, tracking, experiment, run)
        _track_model(round_, ModelRegistry(settings.require("mlflow")), run, scores)
    tracking.finish(run, "FINISHED")
    return tracking.run_url(run)
