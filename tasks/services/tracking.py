"""Runs in MLflow: experiments, runs and curves, all found by our key before being made.

Everything here may be repeated: the same call with the same arguments gives the same ids and leaves one row
where there was one, since time stamps come from the caller.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType

from tasks.errors import DataError, TerminalServiceError
from tasks.services.tracking_connection import (
    KEY_TAG,
    MlflowConnection,
    metric_points,
    parts_of,
    without_credentials,
)
from tasks.services.tracking_values import (
    MAX_TAG_LENGTH,
    MODEL_TRAINING_PAGES,
    RoundRecord,
    entity_name,
    flattened,
    quotable,
    shortened,
)

CHANGED_TAG = "madloop.changed."

_MAX_PARAMS = 100  # MLflow's limits per request and per value
_MAX_DIGEST_LENGTH = 36

_log = logging.getLogger(__name__)


class Tracking(MlflowConnection):
    """Experiments and runs of an MLflow server."""

    def experiment_url(self, experiment_id: str) -> str:
        """Address of an experiment in MLflow's pages."""
        return f"{without_credentials(self.uri)}/#/experiments/{experiment_id}/runs?{MODEL_TRAINING_PAGES}"

    def run_url(self, run_id: str) -> str:
        """Address of a run in MLflow's pages."""
        with self.asking(f"read run {run_id}"):
            experiment_id = self.client.get_run(run_id).info.experiment_id
        base = f"{without_credentials(self.uri)}/#/experiments/{experiment_id}"
        return f"{base}/runs/{run_id}?{MODEL_TRAINING_PAGES}"

    def ensure_experiment(self, name: str) -> str:
        """Id of the experiment `name`, made if there is none.

        Raises:
            TerminalServiceError: the experiment was deleted, which keeps its name taken.
        """
        with self.asking(f"find or make experiment {name!r}"):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                self.make_unless_there(lambda: self.client.create_experiment(name))
                experiment = self.client.get_experiment_by_name(name)
        experiment_id = str(experiment.experiment_id)
        if experiment.lifecycle_stage != "active":
            raise TerminalServiceError(
                f"MLflow experiment {name!r} must be active, but it was deleted (id {experiment_id} at "
                f"{without_credentials(self.uri)}); restore it with "
                f"`mlflow experiments restore --experiment-id {experiment_id}` or rename the campaign"
            )
        return experiment_id

    def ensure_run(
        self, experiment_id: str, *, key: str, name: str, parent_run_id: str | None, tags: Mapping[str, str]
    ) -> str:
        """Id of the run with this key in the experiment, made if there is none.

        If two processes made it at the same time, the oldest stays and the younger twins are deleted. `name`
        and `tags` are brought up to date.
        """
        wanted = {**tags, KEY_TAG: quotable(key, "key")}
        if parent_run_id is not None:
            wanted["mlflow.parentRunId"] = parent_run_id
        with self.asking(f"find or make run {key!r}"):
            runs = self._runs(experiment_id, key)
            if not runs:
                self.client.create_run(experiment_id, tags=wanted, run_name=name)
                runs = self._runs(experiment_id, key)
            oldest, *twins = runs
            for twin in twins:
                _log.warning(
                    "deleting run %s, a younger twin of %s (key %r)",
                    twin.info.run_id,
                    oldest.info.run_id,
                    key,
                )
                self.client.delete_run(twin.info.run_id)
            run_id = str(oldest.info.run_id)
            if oldest.info.run_name != name:
                self.client.update_run(run_id, name=name)
            self._set_tags(run_id, oldest.data.tags, wanted)
        return run_id

    def log_round(self, run_id: str, record: RoundRecord) -> tuple[str, ...]:
        """Logs parameters, metrics, tags and files of a round into its run.

        MLflow never changes a parameter. One that was logged before with another value stays as it is; the
        new value goes into the tag `madloop.changed.<name>`.

        Returns:
            Names of the parameters whose value differs from the one logged first.

        Raises:
            DataError: an artifact does not exist.
        """
        for place in record.artifacts.values():
            if not place.exists():
                raise DataError(
                    f"artifact {place} was to be stored with MLflow run {run_id}, but does not exist"
                )
        params = flattened(record.config)
        with self.asking(f"log the round into run {run_id}"):
            data = self.client.get_run(run_id).data
            fresh = [Param(name, value) for name, value in params.items() if name not in data.params]
            changed = {name: value for name, value in params.items() if data.params.get(name, value) != value}
            for part in parts_of(fresh, _MAX_PARAMS):
                self.client.log_batch(run_id, params=part)
            self.log_metrics(run_id, metric_points(record.metrics, record.timestamp_ms, record.step))
            notes = {entity_name(CHANGED_TAG + name): value for name, value in changed.items()}
            self._set_tags(run_id, data.tags, {**record.tags, **notes})
            for folder, place in record.artifacts.items():
                store = self.client.log_artifacts if place.is_dir() else self.client.log_artifact
                store(run_id, str(place), folder or None)
        return tuple(sorted(changed))

    def log_curve(
        self, run_id: str, name: str, values: Sequence[float], timestamps_ms: Sequence[int]
    ) -> None:
        """Logs a curve: value i at step i with its own time stamp.

        Args:
            run_id: run to log into.
            name: name of the metric.
            values: one value a step; NaN is kept.
            timestamps_ms: milliseconds since 1970 (UTC), one per value, the same at every repetition.
        """
        if len(values) != len(timestamps_ms):
            raise ValueError(
                f"a curve needs one time stamp per value, got {len(timestamps_ms)} for {len(values)}"
            )
        key = entity_name(name)
        points = [
            Metric(key, float(value), int(moment), step)
            for step, (value, moment) in enumerate(zip(values, timestamps_ms, strict=True))
        ]
        with self.asking(f"log curve {name!r} into run {run_id}"):
            self.log_metrics(run_id, points)

    def log_dataset(self, run_id: str, name: str, digest: str, n_images: int, context: str) -> None:
        """Notes a set of images as an input of the run; repeating it adds nothing.

        Args:
            run_id: run that used the images.
            name: name of the set, for instance "T(1)".
            digest: digest of the set; MLflow keeps its first 36 characters.
            n_images: number of images.
            context: what the set was used for, for instance "evaluation".
        """
        dataset = Dataset(
            name=name,
            digest=digest[:_MAX_DIGEST_LENGTH],
            source_type="madloop",
            source=json.dumps({"digest": digest}),
            profile=json.dumps({"num_rows": n_images}),
        )
        with self.asking(f"log data set {name!r} into run {run_id}"):
            tag = InputTag("mlflow.data.context", context)
            self.client.log_inputs(run_id, datasets=[DatasetInput(dataset, [tag])])

    def finish(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Ends a run; a run that ended with this status before keeps its end time."""
        with self.asking(f"end run {run_id} as {status}"):
            if self.client.get_run(run_id).info.status != status:
                self.client.set_terminated(run_id, status)

    def _runs(self, experiment_id: str, key: str) -> list[Any]:
        found = self.client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'", ViewType.ACTIVE_ONLY)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _set_tags(self, run_id: str, present: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        texts = {name: shortened(value, MAX_TAG_LENGTH) for name, value in wanted.items()}
        fresh = [RunTag(name, value) for name, value in texts.items() if present.get(name) != value]
        for part in parts_of(fresh, _MAX_PARAMS):
            self.client.log_batch(run_id, tags=part)
