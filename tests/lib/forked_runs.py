"""`madloop` commands as processes that start at once: forked from one that has imported everything.

    python -m tests.lib.forked_runs

reads one JSON object a line on standard input, {"arguments": [...], "environment": {...}, "log": "..."},
forks a child that runs `madloop` with these arguments, and prints {"pid": ...} and then {"pid": ...,
"exit": ...}. The child is a real process: it can be killed at any moment without a word to anybody.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.settings import CHECKOUT, Settings


@dataclass(frozen=True)
class RunningCommand:
    """A forked command.

    Attributes:
        pid: process id.
        ended: set when the process is gone; `exit_code` is then known (negative: the signal).
    """

    pid: int
    ended: threading.Event
    result: dict[str, int]

    @property
    def exit_code(self) -> int:
        return self.result["exit"]

    def kill(self) -> bool:
        """SIGKILL now; whether there still was something to kill."""
        if self.ended.is_set():
            return False
        os.kill(self.pid, signal.SIGKILL)
        self.ended.wait(30)
        return self.exit_code == -signal.SIGKILL


class ForkedRuns:
    """Starts `madloop` commands one after the other."""

    def __init__(self, settings: Settings) -> None:
        environment = {**os.environ, "MADLOOP_HOME": str(settings.home)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lib.forked_runs"], cwd=CHECKOUT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self._answer()  # everything is imported

    def start(self, arguments: list[str], *, store: str, log: Path) -> RunningCommand:
        """Fork `madloop ARGUMENTS` with its own artefact store; its output goes to `log`."""
        order = {"arguments": arguments, "environment": {"MADLOOP_STORE": store}, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        command = RunningCommand(self._answer()["pid"], threading.Event(), {})
        threading.Thread(target=self._wait, args=(command,), daemon=True).start()
        return command

    def close(self) -> None:
        """End the forking process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _wait(self, command: RunningCommand) -> None:
        command.result.update(self._answer())
        command.ended.set()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the forking process ended with exit code {self._process.wait(30)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _run_in_child(order: dict[str, Any]) -> None:
    """Become the command; never returns."""
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(order["environment"])
    from flows.__main__ import madloop

    code = 1
    try:
        madloop(order["arguments"], prog_name="madloop")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except Exception:  # noqa: BLE001 - as Python itself does at the end of a process
        traceback.print_exc()
    # ONNX Runtime's threads are not forked along, and its destructors abort or wait for them for ever.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import what commands import, then fork on demand."""
    from configs.settings import load_settings
    from flows.running import prepare_environment

    prepare_environment(load_settings())
    import flows.campaign
    import flows.status
    import flows.troubleshoot  # noqa: F401 - imported here so that no child has to

    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run_in_child(json.loads(line))
        sys.stdout.write(json.dumps({"pid": pid}) + "\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"pid": pid, "exit": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
