"""The boundary to MLflow: experiments, runs, curves and the registry, all found by our key before being made.

Only explicit client calls are used: no active run, no global tracking address, so that several rounds may be
logged from one process. Everything here may be repeated: the same call with the same arguments gives the same
ids and leaves one row where there was one, since time stamps come from the caller. Models are stored as
safetensors beside a config.json; nothing is ever pickled or unpickled.

MLflow's SDK repeats failed requests itself for some minutes; what still fails comes out as
`TransientServiceError` (worth another try) or `TerminalServiceError` (somebody has to change something).
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests  # what MLflow's own uploads raise
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from tasks.errors import ConfigError, DataError, ServiceError, TerminalServiceError, TransientServiceError
from tasks.services.tracking_values import (
    MAX_TAG_LENGTH,
    MODEL_TRAINING_PAGES,
    ModelRecord,
    ModelVersion,
    RoundRecord,
    entity_name,
    flattened,
    model_digest,
    model_name,
    quotable,
    shortened,
)

KEY_TAG = "madloop.key"
DIGEST_TAG = "madloop.model_digest"
CHANGED_TAG = "madloop.changed."

_MAX_METRICS = 1000  # MLflow's limits per request and per value
_MAX_PARAMS = 100
_MAX_DIGEST_LENGTH = 36
_PING_SECONDS = 10.0
_RETRY_STATUSES = {408, 409, 425, 429, 499, 500, 502, 503, 504}

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Tracking:
    """An MLflow tracking server and its model registry."""

    def __init__(self, uri: str) -> None:
        """Opens the server and asks it one question.

        Args:
            uri: http(s) address of the server.

        Raises:
            ConfigError: `uri` is no http(s) address.
            TransientServiceError: nothing answers there within ten seconds.
            TerminalServiceError: the server refuses us (host check, credentials).
        """
        if not uri.startswith(("http://", "https://")):
            raise ConfigError(f"the MLflow address must start with http:// or https://, got {uri!r}")
        self._uri = uri.rstrip("/")
        # Without a limit of our own a wrong address would be tried for minutes.
        with self._asking("answer a first request"):
            endpoint = "/api/2.0/mlflow/experiments/search"
            answer = http_request(
                get_default_host_creds(self._uri),
                endpoint,
                "GET",
                max_retries=0,
                timeout=_PING_SECONDS,
                raise_on_status=False,
                params={"max_results": 1},
            )
            verify_rest_response(answer, endpoint)
        self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def experiment_url(self, experiment_id: str) -> str:
        """Address of an experiment in MLflow's pages."""
        return f"{_without_credentials(self._uri)}/#/experiments/{experiment_id}/runs?{MODEL_TRAINING_PAGES}"

    def run_url(self, run_id: str) -> str:
        """Address of a run in MLflow's pages."""
        with self._asking(f"read run {run_id}"):
            experiment_id = self._client.get_run(run_id).info.experiment_id
        base = f"{_without_credentials(self._uri)}/#/experiments/{experiment_id}"
        return f"{base}/runs/{run_id}?{MODEL_TRAINING_PAGES}"

    def ensure_experiment(self, name: str) -> str:
        """Id of the experiment `name`, made if there is none.

        Raises:
            TerminalServiceError: the experiment was deleted, which keeps its name taken.
        """
        with self._asking(f"find or make experiment {name!r}"):
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                self._make_unless_there(lambda: self._client.create_experiment(name))
                experiment = self._client.get_experiment_by_name(name)
        experiment_id = str(experiment.experiment_id)
        if experiment.lifecycle_stage != "active":
            raise TerminalServiceError(
                f"MLflow experiment {name!r} must be active, but it was deleted (id {experiment_id} at "
                f"{_without_credentials(self._uri)}); restore it with "
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
        with self._asking(f"find or make run {key!r}"):
            runs = self._runs(experiment_id, key)
            if not runs:
                self._client.create_run(experiment_id, tags=wanted, run_name=name)
                runs = self._runs(experiment_id, key)
            oldest, *twins = runs
            for twin in twins:
                _log.warning(
                    "deleting run %s, a younger twin of %s (key %r)",
                    twin.info.run_id,
                    oldest.info.run_id,
                    key,
                )
                self._client.delete_run(twin.info.run_id)
            run_id = str(oldest.info.run_id)
            if oldest.info.run_name != name:
                self._client.update_run(run_id, name=name)
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
        with self._asking(f"log the round into run {run_id}"):
            data = self._client.get_run(run_id).data
            fresh = [Param(name, value) for name, value in params.items() if name not in data.params]
            changed = {name: value for name, value in params.items() if data.params.get(name, value) != value}
            for part in _parts(fresh, _MAX_PARAMS):
                self._client.log_batch(run_id, params=part)
            self._log_metrics(run_id, _metrics(record.metrics, record.timestamp_ms, record.step))
            notes = {entity_name(CHANGED_TAG + name): value for name, value in changed.items()}
            self._set_tags(run_id, data.tags, {**record.tags, **notes})
            for folder, place in record.artifacts.items():
                store = self._client.log_artifacts if place.is_dir() else self._client.log_artifact
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
        with self._asking(f"log curve {name!r} into run {run_id}"):
            self._log_metrics(run_id, points)

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
        with self._asking(f"log data set {name!r} into run {run_id}"):
            tag = InputTag("mlflow.data.context", context)
            self._client.log_inputs(run_id, datasets=[DatasetInput(dataset, [tag])])

    def finish(self, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
        """Ends a run; a run that ended with this status before keeps its end time."""
        with self._asking(f"end run {run_id} as {status}"):
            if self._client.get_run(run_id).info.status != status:
                self._client.set_terminated(run_id, status)

    def ensure_model_version(self, record: ModelRecord) -> ModelVersion:
        """The registry version with this key, uploaded and registered if there is none.

        A half-made model of an earlier try is completed. If two processes registered it at the same time, the
        lowest version stays and the others are deleted.

        Raises:
            DataError: the folder has no config.json or model.safetensors, or holds what may be a pickle.
            TerminalServiceError: the key is registered with other weights.
        """
        digest = model_digest(record.folder)
        name = quotable(record.registered_name, "registered_name")
        quotable(record.key, "key")
        with self._asking(f"register model {record.key!r} under {name!r}"):
            self._make_unless_there(lambda: self._client.create_registered_model(name))
            found = self._versions(name, record.key)
            if not found:
                model_id = self._ensure_logged_model(record, digest)
                self._client.create_model_version(
                    name,
                    source=f"models:/{model_id}",
                    run_id=record.run_id,
                    model_id=model_id,
                    tags={KEY_TAG: record.key, DIGEST_TAG: digest},
                )
                found = self._versions(name, record.key)
            oldest, *twins = found
            for twin in twins:
                _log.warning("deleting version %s of %r, a twin of %s", twin.version, name, oldest.version)
                self._client.delete_model_version(name, twin.version)
        if oldest.tags.get(DIGEST_TAG) != digest:
            raise TerminalServiceError(
                f"version {oldest.version} of registered model {name!r} has key {record.key!r}, but other "
                f"weights ({oldest.tags.get(DIGEST_TAG)}) than {record.folder} ({digest}); delete that "
                "version in MLflow or register these weights under another key"
            )
        return ModelVersion(int(oldest.version), f"models:/{name}/{oldest.version}")

    def set_alias(self, registered_name: str, alias: str, version: int) -> None:
        """Points an alias such as "current" at a version; MLflow keeps "latest" for itself."""
        with self._asking(f"set alias {alias!r} of model {registered_name!r}"):
            self._client.set_registered_model_alias(registered_name, alias, str(version))

    def download_model(self, uri: str, into: Path) -> Path:
        """Fetches the files of a registered model.

        Args:
            uri: `models:/<name>/<version>` or `models:/<name>@<alias>`.
            into: directory, made if missing.

        Returns:
            The directory in `into` that holds config.json and model.safetensors.
        """
        match = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([\w-]+))", uri)
        if match is None:
            raise ValueError(f"`uri` must be models:/<name>/<version> or models:/<name>@<alias>, got {uri!r}")
        name, version, alias = match.groups()
        with self._asking(f"download {uri}"):
            if alias is not None:
                version = self._client.get_model_version_by_alias(name, alias).version
            source = self._client.get_model_version(name, version).source
            # A models:/ address would be looked up in MLflow's global, local store, whatever is passed here.
            model = self._client.get_logged_model(source.removeprefix("models:/"))
            place = download_artifacts(
                model.artifact_location, dst_path=str(into), tracking_uri=self._uri, registry_uri=self._uri
            )
        return Path(place)

    def _ensure_logged_model(self, record: ModelRecord, digest: str) -> str:
        """Id of the stored model with this key, complete with its files, parameters and metrics."""
        experiment_id = self._client.get_run(record.run_id).info.experiment_id
        wanted = {KEY_TAG: record.key, DIGEST_TAG: digest}
        models = self._logged_models(experiment_id, wanted)
        if not models:
            self._client.create_logged_model(
                experiment_id,
                name=model_name(record.registered_name),
                source_run_id=record.run_id,
                tags=wanted,
                params=flattened(record.params),
                model_type="segmentation",
            )
            models = self._logged_models(experiment_id, wanted)
        oldest, *twins = models
        for twin in twins:
            self._client.delete_logged_model(twin.model_id)
        model_id = str(oldest.model_id)
        if oldest.status != "READY":
            self._client.log_model_artifacts(model_id, str(record.folder))
            self._client.finalize_logged_model(model_id, "READY")
        # MLflow turns the NaN of a model's metric into 0; the run alone keeps what is undefined.
        of_model = {name: value for name, value in record.metrics.items() if math.isfinite(value)}
        of_run = {name: value for name, value in record.metrics.items() if name not in of_model}
        points = _metrics(of_model, record.timestamp_ms, record.step, model_id)
        self._log_metrics(record.run_id, points + _metrics(of_run, record.timestamp_ms, record.step))
        return model_id

    def _logged_models(self, experiment_id: str, tags: Mapping[str, str]) -> list[Any]:
        conditions = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_logged_models([experiment_id], filter_string=conditions)
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def _versions(self, name: str, key: str) -> list[Any]:
        found = self._client.search_model_versions(f"name='{name}' and tags.`{KEY_TAG}`='{key}'")
        return sorted(found, key=lambda version: int(version.version))

    def _runs(self, experiment_id: str, key: str) -> list[Any]:
        found = self._client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{key}'", ViewType.ACTIVE_ONLY)
        return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def _set_tags(self, run_id: str, present: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        texts = {name: shortened(value, MAX_TAG_LENGTH) for name, value in wanted.items()}
        fresh = [RunTag(name, value) for name, value in texts.items() if present.get(name) != value]
        for part in _parts(fresh, _MAX_PARAMS):
            self._client.log_batch(run_id, tags=part)

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        # The server keeps one row per (name, time stamp, step, value), so repeating a batch adds nothing.
        for part in _parts(metrics, _MAX_METRICS):
            self._client.log_batch(run_id, metrics=part)

    def _make_unless_there(self, make: Callable[[], object]) -> None:
        try:
            make()
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise

    @contextmanager
    def _asking(self, wish: str) -> Iterator[None]:
        """The one place where errors of the SDK become ours."""
        try:
            yield
        except MlflowException as error:
            raise self._service_error(wish, error.get_http_status_code(), error) from error
        except requests.HTTPError as error:
            status = 500 if error.response is None else error.response.status_code
            raise self._service_error(wish, status, error) from error

    def _service_error(self, wish: str, status: int, error: Exception) -> ServiceError:
        address = _without_credentials(self._uri)
        reason = str(error).replace(self._uri, address)[:500]
        fact = f"MLflow at {address} was asked to {wish}, but it failed (status {status}): {reason}"
        if status in _RETRY_STATUSES:
            return TransientServiceError(
                f"{fact}; check that the server runs, then run the same command again"
            )
        if status in (401, 403):
            return TerminalServiceError(
                f"{fact}; check the credentials, and that MLFLOW_SERVER_ALLOWED_HOSTS of the server names "
                "this address"
            )
        return TerminalServiceError(fact)


def _metrics(
    values: Mapping[str, float], timestamp_ms: int, step: int, model_id: str | None = None
) -> list[Metric]:
    return [
        Metric(entity_name(name), float(value), timestamp_ms, step, model_id=model_id)
        for name, value in values.items()
    ]


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
