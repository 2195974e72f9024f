"""A tiny watchdog: it runs one command, and ends the command's whole process group when it is told to, when
the command ends, or when a given parent process is gone.

Run by file name with the standard library only, so that it starts at once and lends nothing (no import path,
no working directory) to what it guards:

    python -I infra/guardian.py --cwd FOLDER [--parent PID] -- COMMAND ARGUMENT...

It is started as leader of a new session; the command and its children stay in that session and process group,
which is how they are found again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 25.0  # between SIGTERM and SIGKILL for the group
POLL_S = 1.0  # how often the parent is looked at


@dataclass(frozen=True)
class ProcessStat:
    """What tells one process from every other since boot, from /proc/PID/stat.

    Attributes:
        pid: process id; used again by the system after the process is gone.
        state: one letter; Z and X are processes that have ended.
        group: process group id.
        session: session id.
        start_ticks: start of the process in clock ticks since boot; with `pid` it names the process for good.
    """

    pid: int
    state: str
    group: int
    session: int
    start_ticks: int

    @property
    def is_running(self) -> bool:
        """Whether it has not ended (a zombie has)."""
        return self.state not in "ZX"


def read_stat(pid: int) -> ProcessStat | None:
    """The process's entry in the kernel's table, None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command's name in brackets and may hold spaces and brackets itself.
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessStat(pid, fields[0], int(fields[2]), int(fields[3]), int(fields[19]))


def session_members(session: int, *, since_ticks: int = 0) -> list[ProcessStat]:
    """The running processes of a session that started no earlier than `since_ticks`."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    stats = (stat for stat in map(read_stat, pids) if stat is not None)
    return [s for s in stats if s.session == session and s.is_running and s.start_ticks >= since_ticks]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command given after `--` and return its exit code."""
    parser = argparse.ArgumentParser(
        description="Run a command until it ends, SIGTERM comes or its parent ends."
    )
    parser.add_argument("--cwd", type=Path, required=True, help="working directory of the command")
    parser.add_argument("--parent", type=int, help="process whose end ends the command")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    parent = None if options.parent is None else read_stat(options.parent)
    if options.parent is not None and (parent is None or not parent.is_running):
        sys.stderr.write(f"the parent process {options.parent} is gone already; nothing was started\n")
        return 1
    wakeups = _signal_pipe()
    child = subprocess.Popen(options.command, cwd=options.cwd, stdin=subprocess.DEVNULL)
    while child.poll() is None and not _asked_to_stop(wakeups) and still_runs(parent):
        pass
    _end_group(child)
    return child.wait()


def _signal_pipe() -> int:
    """The reading end of a pipe that gets one byte, the signal's number, for every signal of interest."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reading


def _asked_to_stop(wakeups: int) -> bool:
    """Wait for a signal, at most `POLL_S`; whether one asked to stop (SIGCHLD only ends the wait)."""
    select.select([wakeups], [], [], POLL_S)
    with contextlib.suppress(BlockingIOError):
        return any(number != signal.SIGCHLD for number in os.read(wakeups, 4096))
    return False


def still_runs(process: ProcessStat | None) -> bool:
    """Whether this very process, not another one of its id, is still there; None never ends."""
    if process is None:
        return True
    now = read_stat(process.pid)
    return now is not None and now.is_running and now.start_ticks == process.start_ticks


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to everything left in our group, then SIGKILL after the grace, which ends this process too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if _others():
        os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while _others():
        child.poll()  # collects the child, or it would stay in the table as a zombie
        if time.monotonic() > deadline:
            os.killpg(0, signal.SIGKILL)
        time.sleep(0.05)


def _others() -> bool:
    return any(stat.pid != os.getpid() for stat in session_members(os.getpid()))


if __name__ == "__main__":
    sys.exit(main())
