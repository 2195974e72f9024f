"""What `services up`, `down` and `status` promise, on the real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import time
from pathlib import Path

import httpx
import pytest

from configs.settings import ServiceName, Settings, load_settings
from infra import processes
from infra.launches import launch_of
from infra.local import services_down, services_status, services_up
from infra.processes import ProcessRecord
from tasks.errors import ConfigError, TransientServiceError
from tests.lib.services import fresh_settings

pytestmark = pytest.mark.services

NAMES: tuple[ServiceName, ...] = ("prefect", "mlflow", "label_studio")


@pytest.fixture
def _label_studio(monkeypatch: pytest.MonkeyPatch, label_studio_bin: Path) -> None:
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))


def _record(settings: Settings, name: ServiceName) -> ProcessRecord:
    record = processes.read_record(settings.services / name)
    assert record is not None
    return record


def test_all_three_answer_at_the_addresses_that_were_written_down(services: Settings) -> None:
    assert httpx.get(f"{services.prefect_api_url}/health", trust_env=False).json() is True
    assert httpx.get(f"{services.mlflow_uri}/health", trust_env=False).text == "OK"
    assert httpx.get(f"{services.label_studio_url}/health", trust_env=False).json() == {"status": "UP"}


def test_status_names_the_running_processes(services: Settings) -> None:
    statuses = services_status(services)

    assert [s.name for s in statuses] == ["Prefect", "MLflow", "Label Studio"]
    assert [s.state for s in statuses] == ["up"] * 3
    assert [s.pid for s in statuses] == [_record(services, name).pid for name in NAMES]
    assert [s.url for s in statuses] == [
        services.prefect_api_url,
        services.mlflow_uri,
        services.label_studio_url,
    ]


def test_label_studio_runs_with_the_sqlite_that_waits(services: Settings) -> None:
    """Otherwise a lock makes it repeat requests, which loses pre-annotations and doubles answers."""
    database = services.services / "label_studio" / "data" / "label_studio.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_secrets_are_for_the_owner_only(services: Settings) -> None:
    for path in (services.endpoints_file, services.services / "label_studio" / "credentials.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert services.label_studio_token is not None
    assert services.label_studio_token.get_secret_value() not in repr(services)


@pytest.mark.usefixtures("_label_studio")
def test_up_again_leaves_healthy_services_alone(services: Settings) -> None:
    before = [_record(services, name) for name in NAMES]
    events: list[str] = []

    endpoints = services_up(services, on_event=events.append)

    assert [_record(services, name) for name in NAMES] == before
    assert endpoints.mlflow_uri == services.mlflow_uri
    assert len([event for event in events if "running already" in event]) == 3


@pytest.mark.usefixtures("_label_studio")
def test_up_starts_a_killed_service_again_at_its_port_and_leaves_the_others(services: Settings) -> None:
    before = {name: _record(services, name) for name in NAMES}
    for member in before["mlflow"].members():
        os.kill(member.pid, signal.SIGKILL)
    while before["mlflow"].members():  # the kernel takes a moment
        time.sleep(0.05)

    assert services_status(services)[1].state == "down"
    services_up(services, on_event=lambda _: None, parent_pid=os.getpid())

    after = {name: _record(services, name) for name in NAMES}
    assert after["mlflow"].port == before["mlflow"].port
    assert after["mlflow"].pid != before["mlflow"].pid
    assert (after["prefect"], after["label_studio"]) == (before["prefect"], before["label_studio"])


@pytest.mark.usefixtures("_label_studio")
def test_a_service_that_does_not_answer_in_time_is_ended_and_its_log_shown(tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path)

    with pytest.raises(TransientServiceError, match=r"Prefect was required to answer at port \d+ within 0 s"):
        services_up(settings, on_event=lambda _: None, deadline_s=0.0)

    assert [s.state for s in services_status(settings)] == ["down"] * 3
    assert [processes.read_record(settings.services / name) for name in NAMES] == [None] * 3


def test_a_program_that_ends_at_once_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "label-studio"
    broken.write_text("#!/bin/sh\necho 'the disk is on fire' >&2\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(broken))
    settings = fresh_settings(tmp_path / "home")

    with pytest.raises(
        TransientServiceError, match=r"(?s)Label Studio was required to run.*the disk is on fire"
    ):
        services_up(settings, on_event=lambda _: None, deadline_s=3.0)

    services_down(settings)


def test_a_missing_label_studio_is_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(tmp_path / "nothing"))
    settings = fresh_settings(tmp_path)

    with pytest.raises(ConfigError, match="MADLOOP_LABEL_STUDIO_BIN"):
        services_up(settings, on_event=lambda _: None)

    assert not (settings.services / "prefect").exists()


def test_lost_secrets_of_existing_data_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label_studio_bin: Path
) -> None:
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    settings = fresh_settings(tmp_path)
    (settings.services / "label_studio" / "data").mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"credentials\.json was required"):
        services_up(settings, on_event=lambda _: None)


@pytest.mark.usefixtures("_label_studio")
def test_servers_see_nothing_of_the_callers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = fresh_settings(tmp_path)
    for variable in ("HOST", "PORT", "USERNAME", "PASSWORD", "PREFECT_API_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(variable, "stray")

    for name in NAMES:
        assert "stray" not in launch_of(settings, name, 1).environment.values()


def test_status_of_a_home_where_nothing_was_started(tmp_path: Path) -> None:
    statuses = services_status(load_settings({"MADLOOP_HOME": str(tmp_path)}))

    assert [(s.state, s.url, s.pid) for s in statuses] == [("down", None, None)] * 3
    assert all("madloop services up" in s.detail for s in statuses)


def test_status_of_a_service_that_runs_elsewhere(services: Settings, tmp_path: Path) -> None:
    elsewhere = load_settings(
        {
            "MADLOOP_HOME": str(tmp_path),
            "MADLOOP_MLFLOW_URI": str(services.mlflow_uri),
            "MADLOOP_PREFECT_API_URL": "http://127.0.0.1:9/api",
        }
    )

    prefect, mlflow, _ = services_status(elsewhere)

    assert (mlflow.state, mlflow.pid, mlflow.detail) == ("up", None, "not started here")
    assert prefect.state == "down"
