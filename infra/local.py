"""Prefect, MLflow, Label Studio and, if asked for, SeaweedFS as plain processes, on loopback only.

Everything they keep lies under `<home>/services/<name>`: data, log, process record. They start in parallel,
are reused while they are healthy, and end with everything they started.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from pydantic import SecretStr

from configs.settings import (
    SERVICES,
    Endpoints,
    ServiceName,
    Settings,
    read_endpoints,
    write_endpoints,
    write_private,
)
from infra import processes
from infra.launches import administrator, label_studio_executable, launch_of
from infra.processes import LOOPBACK, ProcessRecord
from infra.seaweedfs import BUCKET, seaweedfs_access, seaweedfs_executable, seaweedfs_picture_keys
from tasks.errors import TerminalServiceError, TransientServiceError
from tasks.services.object_store import ensure_bucket, wait_until_readable

START_S = 240.0
PREFERRED_PORTS: dict[ServiceName, int] = {
    "prefect": 4200,
    "mlflow": 5000,
    "label_studio": 8080,
    "object_store": 8333,
}
State = Literal["up", "unhealthy", "down"]
OnEvent = Callable[[str], None]


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is.

    Attributes:
        name: what people call it.
        url: where it is or was last expected, None when never started.
        state: up (answers), unhealthy (runs, or should, but does not answer), down (not running).
        pid: leader of its processes when it was started here and runs.
        detail: one sentence for a person.
    """

    name: str
    url: str | None
    state: State
    pid: int | None
    detail: str


def services_up(
    settings: Settings,
    *,
    on_event: OnEvent,
    object_store: bool = False,
    parent_pid: int | None = None,
    deadline_s: float = START_S,
) -> Endpoints:
    """Start what is not running yet, wait until all answer, and write down where they are.

    Idempotent: a healthy service is left alone, a sick or half-dead one is ended and started again, and so is
    a Label Studio that was not told where the object store is.

    Args:
        settings: where services live.
        on_event: gets one sentence for every step.
        object_store: whether SeaweedFS is wanted, too, with its bucket; otherwise it is left as it is.
        parent_pid: a process whose end ends what is started now (tests, CI); None: they outlive the caller.
        deadline_s: seconds each service has to answer.

    Returns:
        The endpoints, as also written to `services.json`.

    Raises:
        ConfigError: Label Studio or SeaweedFS is not installed, or the file of Label Studio's administrator
            is lost.
        TransientServiceError: a service ended or did not answer in time; carries the end of its log.
    """
    label_studio_executable(os.environ)  # before anything is started, for it is the one that is missing
    if object_store:
        seaweedfs_executable()
    wanted = [name for name in SERVICES if object_store or name != "object_store"]
    with _only_one(settings):
        running = {name: r for name in wanted if (r := _reusable(settings, name)) is not None}
        token = SecretStr(administrator(settings).token)
        ports = _choose_ports(settings, [name for name in wanted if name not in running], on_event)
        s3_endpoint = settings.object_store.url
        if object_store:
            known = ports | {name: record.port for name, record in running.items()}
            s3_endpoint = _url("object_store", known["object_store"])
        ports |= _stop_uninformed(settings, running, s3_endpoint, on_event)
        for name, record in running.items():
            on_event(f"{_title(name)} is running already at {_url(name, record.port)}")
        started = {}
        for name, port in ports.items():
            launch = launch_of(settings, name, port, s3_endpoint)
            started[name] = processes.start(launch, parent_pid=parent_pid)
            on_event(f"{_title(name)} is starting at {_url(name, port)}")
        _wait(settings, started, on_event, deadline_s)
        records = running | started
        before = read_endpoints(settings.endpoints_file)
        endpoints = Endpoints(
            prefect_api_url=_url("prefect", records["prefect"].port),
            mlflow_uri=_url("mlflow", records["mlflow"].port),
            label_studio_url=_url("label_studio", records["label_studio"].port),
            label_studio_token=token,
            object_store=(
                seaweedfs_access(settings, s3_endpoint)
                if object_store and s3_endpoint
                else before.object_store
            ),
            picture_keys=seaweedfs_picture_keys(settings) if object_store else before.picture_keys,
        )
        _check_token(settings, _url("label_studio", records["label_studio"].port), token)
        write_endpoints(settings.endpoints_file, endpoints)
        if object_store:
            ensure_bucket(f"s3://{BUCKET}", endpoints.object_store)
            wait_until_readable(BUCKET, endpoints.object_store, deadline_s)
    return endpoints


def services_down(settings: Settings, *, on_event: OnEvent | None = None) -> None:
    """End every service that was started here, with all its processes. Safe to call when nothing runs."""
    with _only_one(settings):
        for name in SERVICES:
            stopped = processes.stop(_folder(settings, name))
            if stopped and on_event is not None:
                on_event(f"{_title(name)} is stopped")


def services_status(settings: Settings) -> list[ServiceStatus]:
    """How each service is now, whether it was started here or is named by the environment; starts nothing.

    The object store is among them where one is known.
    """
    return [
        _status(settings, name) for name in SERVICES if name != "object_store" or settings.object_store.url
    ]


def _status(settings: Settings, name: ServiceName) -> ServiceStatus:
    title = _title(name)
    record = processes.read_record(_folder(settings, name))
    if record is not None and record.members():
        url = _url(name, record.port)
        if not record.is_running():
            return ServiceStatus(title, url, "unhealthy", None, "its guardian was killed; start it again")
        if _is_healthy(name, url):
            return ServiceStatus(title, url, "up", record.pid, "started here")
        return ServiceStatus(title, url, "unhealthy", record.pid, f"see {_log(settings, name)}")
    known = settings.address(name)
    if known is None:
        return ServiceStatus(title, None, "down", None, "never started here; run `madloop services up`")
    if _is_healthy(name, known):
        return ServiceStatus(title, known, "up", None, "not started here")
    return ServiceStatus(title, known, "down", None, "not running; run `madloop services up`")


def _title(name: ServiceName) -> str:
    return SERVICES[name][0]


def _folder(settings: Settings, name: ServiceName) -> Path:
    return settings.services / name


def _log(settings: Settings, name: ServiceName) -> Path:
    return _folder(settings, name) / "log.txt"


def _url(name: ServiceName, port: int) -> str:
    return f"http://{LOOPBACK}:{port}" + ("/api" if name == "prefect" else "")


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Keep a second `services up` or `down` of the same home waiting until this one is done."""
    settings.services.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.services / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _reusable(settings: Settings, name: ServiceName) -> ProcessRecord | None:
    """The running, healthy process of a service; a sick one is ended, for two must not share the data."""
    folder = _folder(settings, name)
    record = processes.read_record(folder)
    if record is not None and record.is_running():
        for _ in range(10):
            if record.listens() and _is_healthy(name, _url(name, record.port)):
                return record
            time.sleep(0.5)
    processes.stop(folder)
    return None


def _stop_uninformed(
    settings: Settings,
    running: dict[ServiceName, ProcessRecord],
    s3_endpoint: str | None,
    on_event: OnEvent,
) -> dict[ServiceName, int]:
    """End a Label Studio that was told of another object store and take it from `running`; its port."""
    record = running.get("label_studio")
    if record is None or s3_endpoint is None or record.remark == s3_endpoint:
        return {}
    on_event(
        f"{_title('label_studio')} is started again, as it has to know the object store at {s3_endpoint}"
    )
    processes.stop(_folder(settings, "label_studio"))
    return {"label_studio": running.pop("label_studio").port}


def _choose_ports(
    settings: Settings, names: Sequence[ServiceName], on_event: OnEvent
) -> dict[ServiceName, int]:
    """A port for each service to be started: last time's, the usual one, or any; remembered for next time.

    A remembered 0 asks for any port.
    """
    path = settings.services / "ports.json"
    remembered: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wishes = {name: [remembered.get(name, PREFERRED_PORTS[name]), PREFERRED_PORTS[name]] for name in names}
    chosen = processes.choose_ports(wishes)
    for name, port in chosen.items():
        if wishes[name][0] not in (0, port):
            on_event(f"port {wishes[name][0]} is taken: {_title(name)} gets port {port}")
    write_private(path, remembered | {str(name): port for name, port in chosen.items()})
    return chosen


def _is_healthy(name: ServiceName, url: str) -> bool:
    try:
        path = "healthz" if name == "object_store" else "health"
        answer = httpx.get(f"{url}/{path}", timeout=5.0, trust_env=False)
        if name == "object_store":
            return answer.status_code < 500  # other servers than SeaweedFS refuse the question without keys
        return answer.status_code == 200 and (name != "label_studio" or answer.json().get("status") == "UP")
    except (httpx.HTTPError, ValueError):
        return False


def _wait(
    settings: Settings, started: Mapping[ServiceName, ProcessRecord], on_event: OnEvent, deadline_s: float
) -> None:
    """Return when every started service answers on its port; end those that failed and say why."""
    begin = time.monotonic()
    pending = dict(started)
    failures: list[str] = []
    while pending:
        for name, record in list(pending.items()):
            seconds = time.monotonic() - begin
            problem = _problem(record, seconds, deadline_s)
            if record.listens() and _is_healthy(name, _url(name, record.port)):
                on_event(f"{_title(name)} is up after {seconds:.0f} s")
                del pending[name]
            elif problem is not None:
                tail = processes.last_lines(_log(settings, name), 20)
                processes.stop(_folder(settings, name))
                failures.append(f"{_title(name)} {problem}. The end of {_log(settings, name)}:\n{tail}")
                del pending[name]
        time.sleep(0.25)
    if failures:
        raise TransientServiceError("\n".join(failures) + "\nRun `madloop services up` again.")


def _problem(record: ProcessRecord, seconds: float, deadline_s: float) -> str | None:
    if not record.is_running():
        return f"was required to run at port {record.port}, but ended after {seconds:.0f} s"
    if seconds > deadline_s:
        return f"was required to answer at port {record.port} within {deadline_s:.0f} s, but did not"
    return None


def _check_token(settings: Settings, label_studio_url: str, token: SecretStr) -> None:
    """Make sure that the token opens this Label Studio, which takes it over at its very first start only."""
    url = f"{label_studio_url}/api/current-user/whoami"
    headers = {"Authorization": f"Token {token.get_secret_value()}"}
    try:
        answer = httpx.get(url, headers=headers, timeout=30.0, trust_env=False)
    except httpx.HTTPError as error:
        raise TransientServiceError(f"Label Studio did not answer at {url}: {error}. Try again.") from error
    if answer.status_code != 200:
        folder = _folder(settings, "label_studio")
        raise TerminalServiceError(
            f"Label Studio was required to accept the token in {folder / 'credentials.json'}, but answered "
            f"{answer.status_code} at {url}. Restore that file, or move {folder} away to start empty."
        )
