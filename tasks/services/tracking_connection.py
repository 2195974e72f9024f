"""The connection to an MLflow server: opened once, its SDK's errors turned into ours.

Only explicit client calls are used: no active run, no global tracking address, so that several rounds may be
logged from one process.

MLflow's SDK repeats failed requests itself for some minutes; what still fails comes out as
`TransientServiceError` (worth another try) or `TerminalServiceError` (somebody has to change something).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests  # what MLflow's own uploads raise
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from tasks.errors import ConfigError, ServiceError, TerminalServiceError, TransientServiceError
from tasks.services.tracking_values import entity_name

KEY_TAG = "madloop.key"  # our own key of a run, a model or a version: what is made is found by it

_MAX_METRICS = 1000  # MLflow's limit per request
_PING_SECONDS = 10.0
_RETRY_STATUSES = {408, 409, 425, 429, 499, 500, 502, 503, 504}

T = TypeVar("T")


class MlflowConnection:
    """An MLflow server that has answered.

    Attributes:
        uri: its address, as it was given; may hold a password.
        client: the SDK's client; to be used inside of `asking`.
    """

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
        self.uri = uri.rstrip("/")
        # Without a limit of our own a wrong address would be tried for minutes.
        with self.asking("answer a first request"):
            endpoint = "/api/2.0/mlflow/experiments/search"
            answer = http_request(
                get_default_host_creds(self.uri),
                endpoint,
                "GET",
                max_retries=0,
                timeout=_PING_SECONDS,
                raise_on_status=False,
                params={"max_results": 1},
            )
            verify_rest_response(answer, endpoint)
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        # The server keeps one row per (name, time stamp, step, value), so repeating a batch adds nothing.
        for part in parts_of(metrics, _MAX_METRICS):
            self.client.log_batch(run_id, metrics=part)

    def make_unless_there(self, make: Callable[[], object]) -> None:
        try:
            make()
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"):
                raise

    @contextmanager
    def asking(self, wish: str) -> Iterator[None]:
        """The one place where errors of the SDK become ours."""
        try:
            yield
        except MlflowException as error:
            raise self._service_error(wish, error.get_http_status_code(), error) from error
        except requests.HTTPError as error:
            status = 500 if error.response is None else error.response.status_code
            raise self._service_error(wish, status, error) from error

    def _service_error(self, wish: str, status: int, error: Exception) -> ServiceError:
        address = without_credentials(self.uri)
        reason = str(error).replace(self.uri, address)[:500]
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


def metric_points(
    values: Mapping[str, float], timestamp_ms: int, step: int, model_id: str | None = None
) -> list[Metric]:
    return [
        Metric(entity_name(name), float(value), timestamp_ms, step, model_id=model_id)
        for name, value in values.items()
    ]


def without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def parts_of(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
