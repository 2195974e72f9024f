"""Long-running processes on this machine: started under the guardian, found again, and stopped for certain.

A process is known by its id *and* its start time: after a crash or a reboot the id may belong to somebody
else, who must never be signalled. Linux only (it reads /proc).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from configs.settings import write_private
from infra import guardian
from infra.guardian import ProcessStat, read_stat, session_members

STOP_S = 30.0
Name = TypeVar("Name", bound=str)
LOOPBACK = "127.0.0.1"
ANY_PORTS = range(20_000, 32_768)
"""Where a service gets a port that it shall find free again after a stop: below those which the system hands
to outgoing connections (Linux from 32,768, RFC 6335 from 49,152), any of which may sit on it just then."""


@dataclass(frozen=True)
class ProcessRecord:
    """A process we started, as written to `process.json`.

    Attributes:
        pid: the guardian, who leads the session and the process group of everything it runs.
        start_ticks: its start, in clock ticks since boot.
        boot_id: the boot in which `pid` and `start_ticks` mean something.
        port: TCP port on loopback that the service was told to listen on.
        remark: as in `Launch`.
    """

    pid: int
    start_ticks: int
    boot_id: str
    port: int
    remark: str = ""

    def is_running(self) -> bool:
        """Whether the guardian itself, not merely its id, is still there."""
        stat = read_stat(self.pid)
        return (
            stat is not None
            and stat.is_running
            and stat.start_ticks == self.start_ticks
            and self.boot_id == current_boot()
        )

    def members(self) -> list[ProcessStat]:
        """Everything of its session that still runs, also when the guardian was killed."""
        if self.boot_id != current_boot():
            return []
        leader = read_stat(self.pid)
        if leader is not None and leader.start_ticks != self.start_ticks:
            return []  # the id is somebody else's by now
        return session_members(self.pid, since_ticks=self.start_ticks)

    def listens(self) -> bool:
        """Whether one of its processes, not a stranger, listens on the port."""
        inodes = _listening_inodes(self.port)
        return any(_open_sockets(stat.pid) & inodes for stat in self.members())


@dataclass(frozen=True)
class Launch:
    """What to run.

    Attributes:
        command: executable and arguments; no shell comes between.
        environment: the whole environment of the command.
        folder: working directory; also gets `log.txt` and `process.json`.
        port: port the command was told to listen on.
        remark: what its record keeps besides, for whoever has to know how it was started.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    port: int
    remark: str = ""


def current_boot() -> str:
    """The kernel's name for the time since the last boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start(launch: Launch, *, parent_pid: int | None) -> ProcessRecord:
    """Start a command in its own session under the guardian and write down which process it is.

    The log of the previous run is kept beside the new one as `log.previous.txt`.

    Args:
        launch: what to run.
        parent_pid: a process whose end ends the command, None for none.
    """
    launch.folder.mkdir(parents=True, exist_ok=True)
    log = launch.folder / "log.txt"
    if log.exists():
        log.replace(launch.folder / "log.previous.txt")
    watch = [] if parent_pid is None else ["--parent", str(parent_pid)]
    script = str(Path(guardian.__file__).resolve())
    command = [sys.executable, "-I", script, "--cwd", str(launch.folder), *watch, "--", *launch.command]
    pid = os.posix_spawn(
        sys.executable,
        command,
        dict(launch.environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    stat = read_stat(pid)
    assert stat is not None  # noqa: S101 - a child that nobody has waited for keeps its entry
    record = ProcessRecord(pid, stat.start_ticks, current_boot(), launch.port, launch.remark)
    write_private(launch.folder / "process.json", asdict(record))
    return record


def read_record(folder: Path) -> ProcessRecord | None:
    """The process that was started for `folder`, None when none was or its record was cut short."""
    try:
        return ProcessRecord(**json.loads((folder / "process.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def stop(folder: Path) -> bool:
    """End the process that was started for `folder`, with everything it started; whether there was anything.

    SIGTERM first, SIGKILL for what is left after 30 s. Safe to call again; a recycled id is never signalled.
    """
    record = read_record(folder)
    members = [] if record is None else record.members()
    if record is not None and members:
        if record.is_running():
            _send(record.pid, record.start_ticks, signal.SIGTERM)  # the guardian passes it on to its group
        else:
            _send_all(members, signal.SIGTERM)
        if not _gone(record, STOP_S):
            _send_all(record.members(), signal.SIGKILL)
            _gone(record, STOP_S)
        _collect(record.pid)
    (folder / "process.json").unlink(missing_ok=True)
    return bool(members)


def _gone(record: ProcessRecord, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while record.members():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _collect(pid: int) -> None:
    """Take the exit status if the process was our own child, so that no zombie stays."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _send_all(members: Sequence[ProcessStat], number: signal.Signals) -> None:
    for stat in members:
        _send(stat.pid, stat.start_ticks, number)


def _send(pid: int, start_ticks: int, number: signal.Signals) -> None:
    """Signal exactly this process: the handle is opened first, then the start time is compared."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        stat = read_stat(pid)
        if stat is not None and stat.start_ticks == start_ticks:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


def choose_ports(wishes: Mapping[Name, Sequence[int]]) -> dict[Name, int]:
    """A free loopback port for each name: the first free one of its wishes, otherwise any of `ANY_PORTS`.

    A wish of 0 is for any port: those after it do not count. All are held open until the last is chosen, so
    no two names get the same one.
    """
    chosen: dict[Name, int] = {}
    with contextlib.ExitStack() as held:
        for name, ports in wishes.items():
            for port in (*takewhile(bool, ports), *random.SystemRandom().sample(ANY_PORTS, 100), 0):
                holder = _hold(port)
                if holder is not None:
                    held.enter_context(holder)
                    chosen[name] = holder.getsockname()[1]
                    break
    return chosen


def _hold(port: int) -> socket.socket | None:
    """A socket bound to the port, None when the port is taken."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # As servers do: a port whose old connections are only waiting to be forgotten counts as free.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((LOOPBACK, port))
        holder.listen(1)
    except OSError:
        holder.close()
        return None
    return holder


def last_lines(path: Path, count: int) -> str:
    """The last `count` lines of a log, empty when there is none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - 64 * 1024))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def _listening_inodes(port: int) -> set[str]:
    """Inodes of the sockets that listen on a TCP port, on any address."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(fields[9])
    return inodes


def _open_sockets(pid: int) -> set[str]:
    inodes = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    return inodes
