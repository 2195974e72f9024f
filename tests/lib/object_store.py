"""A real SeaweedFS with a folder, ports and keys of its own, started once for a whole test session."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from configs.settings import ObjectStoreAccess, load_settings
from infra import processes
from infra.launches import launch_of
from infra.processes import LOOPBACK, choose_ports
from infra.seaweedfs import BUCKET, seaweedfs_access, seaweedfs_picture_keys
from tasks.services.object_store import ensure_bucket

_STARTED = pytest.StashKey["ObjectStore"]()
_DEADLINE_S = 120.0


@dataclass(frozen=True)
class ObjectStore:
    """A running S3 server.

    Attributes:
        access: its address and keys.
        home: folder of its data and its log.
    """

    access: ObjectStoreAccess
    home: Path

    def environment(self, *, url: str | None = None, secret: str | None = None) -> dict[str, str]:
        """The variables by which any program finds it.

        Args:
            url: another address, of a proxy in front of it.
            secret: another secret key, a wrong one.
        """
        assert self.access.url is not None
        assert self.access.access_key is not None
        assert self.access.secret_key is not None
        reader = seaweedfs_picture_keys(load_settings({"MADLOOP_HOME": str(self.home)}))
        return {
            "MADLOOP_PICTURE_ACCESS_KEY_ID": reader.access_key.get_secret_value(),
            "MADLOOP_PICTURE_SECRET_ACCESS_KEY": reader.secret_key.get_secret_value(),
            "MADLOOP_S3_ENDPOINT_URL": url or self.access.url,
            "AWS_ACCESS_KEY_ID": self.access.access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": secret or self.access.secret_key.get_secret_value(),
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": LOOPBACK,
        }


@pytest.fixture(scope="session")
def object_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """The server with its bucket; if it does not start the test fails."""
    stash = request.config.stash
    if _STARTED not in stash:
        settings = load_settings({"MADLOOP_HOME": str(tmp_path_factory.mktemp("object-store"))})
        port = choose_ports({"object_store": [0]})["object_store"]
        access = seaweedfs_access(settings, f"http://{LOOPBACK}:{port}")
        launch = launch_of(settings, "object_store", port)
        request.session.addfinalizer(lambda: processes.stop(launch.folder))
        processes.start(launch, parent_pid=os.getpid())
        _wait(f"{access.url}/healthz", launch.folder)
        ensure_bucket(f"s3://{BUCKET}", access)
        stash[_STARTED] = ObjectStore(access, settings.home)
    return stash[_STARTED]


@pytest.fixture
def reachable(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ObjectStore:
    """The server, named by the environment as one that somebody else runs; with a home of the test's own."""
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MADLOOP_HOME", str(tmp_path / "home"))
    return object_store


def _wait(url: str, folder: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"SeaweedFS did not start:\n{processes.last_lines(folder / 'log.txt', 40)}")
