"""The model registry in MLflow: versions, found by our key before they are made.

Models are stored as safetensors beside a config.json; nothing is ever pickled or unpickled. Everything here
may be repeated, as in `tasks.services.tracking`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.artifacts import download_artifacts

from tasks.errors import TerminalServiceError
from tasks.services.tracking_connection import KEY_TAG, MlflowConnection, metric_points
from tasks.services.tracking_values import (
    ModelRecord,
    ModelVersion,
    flattened,
    model_digest,
    model_name,
    quotable,
)

DIGEST_TAG = "madloop.model_digest"

_log = logging.getLogger(__name__)


class ModelRegistry(MlflowConnection):
    """Registered models of an MLflow server."""

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
        with self.asking(f"register model {record.key!r} under {name!r}"):
            self.make_unless_there(lambda: self.client.create_registered_model(name))
            found = self._versions(name, record.key)
            if not found:
                model_id = self._ensure_logged_model(record, digest)
                self.client.create_model_version(
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
                self.client.delete_model_version(name, twin.version)
        if oldest.tags.get(DIGEST_TAG) != digest:
            raise TerminalServiceError(
                f"version {oldest.version} of registered model {name!r} has key {record.key!r}, but other "
                f"weights ({oldest.tags.get(DIGEST_TAG)}) than {record.folder} ({digest}); delete that "
                "version in MLflow or register these weights under another key"
            )
        return ModelVersion(int(oldest.version), f"models:/{name}/{oldest.version}")

    def set_alias(self, registered_name: str, alias: str, version: int) -> None:
        """Points an alias such as "current" at a version; MLflow keeps "latest" for itself."""
        with self.asking(f"set alias {alias!r} of model {registered_name!r}"):
            self.client.set_registered_model_alias(registered_name, alias, str(version))

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
        with self.asking(f"download {uri}"):
            if alias is not None:
                version = self.client.get_model_version_by_alias(name, alias).version
            source = self.client.get_model_version(name, version).source
            # A models:/ address would be looked up in MLflow's global, local store, whatever is passed here.
            model = self.client.get_logged_model(source.removeprefix("models:/"))
            place = download_artifacts(
                model.artifact_location, dst_path=str(into), tracking_uri=self.uri, registry_uri=self.uri
            )
        return Path(place)

    def _ensure_logged_model(self, record: ModelRecord, digest: str) -> str:
        """Id of the stored model with this key, complete with its files, parameters and metrics."""
        experiment_id = self.client.get_run(record.run_id).info.experiment_id
        wanted = {KEY_TAG: record.key, DIGEST_TAG: digest}
        models = self._logged_models(experiment_id, wanted)
        if not models:
            self.client.create_logged_model(
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
            self.client.delete_logged_model(twin.model_id)
        model_id = str(oldest.model_id)
        if oldest.status != "READY":
            self.client.log_model_artifacts(model_id, str(record.folder))
            self.client.finalize_logged_model(model_id, "READY")
        # MLflow turns the NaN of a model's metric into 0; the run alone keeps what is undefined.
        of_model = {name: value for name, value in record.metrics.items() if math.isfinite(value)}
        of_run = {name: value for name, value in record.metrics.items() if name not in of_model}
        points = metric_points(of_model, record.timestamp_ms, record.step, model_id)
        self.log_metrics(record.run_id, points + metric_points(of_run, record.timestamp_ms, record.step))
        return model_id

    def _logged_models(self, experiment_id: str, tags: Mapping[str, str]) -> list[Any]:
        conditions = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self.client.search_logged_models([experiment_id], filter_string=conditions)
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def _versions(self, name: str, key: str) -> list[Any]:
        found = self.client.search_model_versions(f"name='{name}' and tags.`{KEY_TAG}`='{key}'")
        return sorted(found, key=lambda version: int(version.version))
