"""The local S3 server as a fourth service: started on demand, found again with its data."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from configs.settings import Settings, load_settings, read_endpoints
from infra import processes
from infra.local import services_down, services_status, services_up
from infra.seaweedfs import BUCKET
from tasks.errors import TerminalServiceError
from tasks.services.object_store import list_objects, read_object, write_object

pytestmark = pytest.mark.services


@pytest.fixture
def started(services: Settings, monkeypatch: pytest.MonkeyPatch, label_studio_bin: Path) -> Settings:
    """The session's services with the S3 server beside them, as a command finds them."""
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    services_up(services, on_event=lambda _: None, object_store=True, parent_pid=os.getpid())
    return load_settings()


def test_it_is_up_with_its_bucket_and_keys_for_the_owner_only(started: Settings) -> None:
    write_object(f"s3://{BUCKET}/here/a", b"1")
    assert read_object(f"s3://{BUCKET}/here/a") == b"1"
    assert [(s.name, s.state) for s in services_status(started)][3:] == [("Object store", "up")]
    folder = started.services / "object_store"
    for path in (started.endpoints_file, folder / "identities.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    record = processes.read_record(folder)
    assert record is not None
    assert started.object_store.secret_key is not None
    secret = started.object_store.secret_key.get_secret_value().encode()
    commands = [Path(f"/proc/{member.pid}/cmdline").read_bytes() for member in record.members()]
    assert not any(secret in command for command in commands)
    assert secret not in (folder / "log.txt").read_bytes()


def test_all_its_ports_are_on_loopback(started: Settings) -> None:
    record = processes.read_record(started.services / "object_store")
    assert record is not None
    inodes = set().union(*(processes._open_sockets(member.pid) for member in record.members()))
    listening = [
        fields[1].split(":")[0]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in map(str.split, Path(table).read_text(encoding="ascii").splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]
    assert len(listening) >= 7
    assert set(listening) == {"0100007F"}


def test_up_without_it_leaves_it_alone_and_keeps_its_keys(started: Settings) -> None:
    before = processes.read_record(started.services / "object_store")
    services_up(started, on_event=lambda _: None)
    assert processes.read_record(started.services / "object_store") == before
    assert read_endpoints(started.endpoints_file).object_store == started.object_store


def test_killed_and_started_again_it_has_its_data_its_port_and_its_keys(started: Settings) -> None:
    write_object(f"s3://{BUCKET}/here/kept", b"kept")
    before = processes.read_record(started.services / "object_store")
    assert before is not None
    for member in before.members():
        os.kill(member.pid, signal.SIGKILL)
    while before.members():  # the kernel takes a moment
        time.sleep(0.05)
    endpoints = services_up(started, on_event=lambda _: None, object_store=True, parent_pid=os.getpid())
    assert endpoints.object_store == started.object_store
    assert read_object(f"s3://{BUCKET}/here/kept") == b"kept"
    assert f"s3://{BUCKET}/here/kept" in list(list_objects(f"s3://{BUCKET}/here"))


def test_its_keys_are_shown_to_no_other_endpoint(started: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADLOOP_S3_ENDPOINT_URL", "https://s3.example.org")
    elsewhere = load_settings()
    assert elsewhere.object_store.url == "https://s3.example.org"
    assert (elsewhere.object_store.access_key, elsewhere.object_store.secret_key) == (None, None)


def test_a_bucket_of_a_wrong_name_is_not_made(started: Settings) -> None:
    with pytest.raises(TerminalServiceError, match="NoSuchBucket"):
        write_object("s3://madlop/a", b"1")


def test_it_stops_with_the_others(tmp_path: Path) -> None:
    settings = load_settings({"MADLOOP_HOME": str(tmp_path)})
    services_down(settings)
    assert [s.name for s in services_status(settings)] == ["Prefect", "MLflow", "Label Studio"]
