"""What starting and stopping of processes promises; small real processes instead of servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra import processes
from infra.guardian import read_stat
from infra.processes import Launch, ProcessRecord

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("started", child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    folder = tmp_path / "family"
    yield Launch(
        command=[sys.executable, "-c", FAMILY],
        environment={"PATH": os.environ["PATH"]},
        folder=folder,
        port=9,
    )
    processes.stop(folder)


def _started(launch: Launch, parent_pid: int | None = None) -> ProcessRecord:
    """Start and wait until guardian, parent and child are all there."""
    record = processes.start(launch, parent_pid=parent_pid)
    _until(lambda: "started" in processes.last_lines(launch.folder / "log.txt", 1))
    assert len(record.members()) == 3
    return record


def _until(condition, seconds: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stop_ends_the_whole_family_and_forgets_it(launch: Launch) -> None:
    record = _started(launch)

    assert processes.stop(launch.folder) is True

    assert record.members() == []
    assert processes.read_record(launch.folder) is None
    assert processes.stop(launch.folder) is False


def test_stop_ends_what_is_left_when_the_guardian_was_killed(launch: Launch) -> None:
    record = _started(launch)
    os.kill(record.pid, signal.SIGKILL)
    _until(lambda: not record.is_running())
    assert len(record.members()) == 2

    processes.stop(launch.folder)

    assert record.members() == []


def test_the_guardian_ends_the_children_of_a_command_that_died(launch: Launch) -> None:
    record = _started(launch)
    child = int(processes.last_lines(launch.folder / "log.txt", 1).split()[1])
    command = next(s.pid for s in record.members() if s.pid not in (record.pid, child))

    os.kill(command, signal.SIGKILL)

    _until(lambda: record.members() == [])


def test_everything_ends_with_the_parent(launch: Launch) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as parent:
        record = _started(launch, parent_pid=parent.pid)
        parent.kill()
    _until(lambda: record.members() == [])


def test_a_recycled_process_id_is_never_signalled(launch: Launch) -> None:
    record = _started(launch)
    stranger = replace(record, start_ticks=record.start_ticks - 1)
    processes.write_private(launch.folder / "process.json", vars(stranger))

    assert stranger.is_running() is False
    assert processes.stop(launch.folder) is False

    assert len(record.members()) == 3
    processes.write_private(launch.folder / "process.json", vars(record))


def test_a_process_of_an_earlier_boot_counts_as_gone(launch: Launch) -> None:
    record = _started(launch)

    earlier = replace(record, boot_id="another boot")

    assert earlier.is_running() is False
    assert earlier.members() == []


def test_nothing_starts_for_a_parent_that_is_gone(launch: Launch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as parent:
        pass
    record = processes.start(launch, parent_pid=parent.pid)

    _until(lambda: not record.is_running())

    assert "gone already" in processes.last_lines(launch.folder / "log.txt", 1)


def test_the_log_of_the_previous_run_is_kept(launch: Launch) -> None:
    _started(launch)
    processes.stop(launch.folder)
    _started(launch)

    assert "started" in processes.last_lines(launch.folder / "log.previous.txt", 20)


def test_a_taken_port_is_not_chosen_and_no_port_is_chosen_twice() -> None:
    taken = processes._hold(0)
    assert taken is not None
    with taken:
        port = taken.getsockname()[1]

        chosen = processes.choose_ports({"a": [port], "b": [port], "c": []})

    assert port not in chosen.values()
    assert len(set(chosen.values())) == 3


def test_any_port_is_none_that_an_outgoing_connection_may_sit_on_after_a_restart() -> None:
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()

    usual = processes.choose_ports({"usual": []})["usual"]  # free, too
    chosen = processes.choose_ports({str(n): [0, usual] for n in range(20)})

    assert len(set(chosen.values()) - {usual}) == 20
    assert max(chosen.values()) < int(outgoing[0])


def test_a_port_counts_as_ours_only_if_one_of_our_processes_listens(launch: Launch) -> None:
    listener = "import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept()"
    stranger = processes._hold(0)
    assert stranger is not None
    with stranger:
        port = stranger.getsockname()[1]
        record = _started(replace(launch, port=port))
        assert record.listens() is False
    processes.stop(launch.folder)

    own = replace(launch, port=port, command=[sys.executable, "-c", listener.format(port=port)])
    record = processes.start(own, parent_pid=None)

    _until(record.listens)


def test_a_zombie_counts_as_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        _until(lambda: (stat := read_stat(child.pid)) is not None and not stat.is_running)
