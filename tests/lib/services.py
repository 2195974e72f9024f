"""The real Prefect, MLflow and Label Studio, started once for a whole test session.

A suite that needs them says `from tests.lib.services import services` in its conftest. They end with the
session, or with the test process if that is killed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from configs.settings import Settings, load_settings
from infra.launches import label_studio_executable
from infra.local import services_down, services_up

_STARTED = pytest.StashKey[Settings]()


@pytest.fixture(scope="session")
def label_studio_bin() -> Path:
    """The installed Label Studio, looked up before tests lose the variables of the environment."""
    return label_studio_executable(os.environ)


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a fresh home with all three servers up; a server that does not start fails the test.

    Several conftests may import this fixture, and pytest then takes each import for a fixture of its own: the
    first one starts the servers, the others find them.
    """
    stash = request.config.stash
    if _STARTED not in stash:
        settings = fresh_settings(tmp_path_factory.mktemp("home"))
        request.session.addfinalizer(lambda: services_down(settings))  # also when one of them does not start
        services_up(settings, on_event=_say, parent_pid=os.getpid())
        stash[_STARTED] = load_settings({"MADLOOP_HOME": str(settings.home)})
    return stash[_STARTED]


def fresh_settings(home: Path) -> Settings:
    """A home in which nothing was started yet; its servers take any ports but the usual ones."""
    settings = load_settings({"MADLOOP_HOME": str(home)})
    settings.services.mkdir(parents=True)
    ports = {"prefect": 0, "mlflow": 0, "label_studio": 0, "object_store": 0}
    (settings.services / "ports.json").write_text(json.dumps(ports))
    return settings


def _say(event: str) -> None:
    sys.stderr.write(f"{event}\n")
