"""Running a campaign from the command line: its process environment, and waiting for simulated people."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from configs.settings import CHECKOUT, Settings
from tasks.errors import NotReadyError, ServiceError, TransientServiceError, Waiting, WaitingForWord

_SECONDS_BETWEEN_LOOKS = 2.0


def quiet_environment() -> None:
    """Keep Prefect, MLflow and torch from calling home and from spinning; call before any is imported."""
    os.environ.update(
        {
            # the terminal shows progress bars, the UI the log
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
            "PREFECT_CLI_PROMPT": "false",
            "DO_NOT_TRACK": "1",
            # Threads that wait sleep instead of spinning: on a shared machine spinning starves the others.
            "OMP_WAIT_POLICY": "PASSIVE",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # our tasks retry too; seven would take minutes
        }
    )


def prepare_environment(settings: Settings) -> None:
    """Say where the Prefect server is, and make sure it answers; call before Prefect is imported.

    Raises:
        ConfigError: no server is known.
        TransientServiceError: it does not answer.
    """
    quiet_environment()
    os.environ["PREFECT_API_URL"] = settings.require("prefect")
    os.environ["PREFECT_HOME"] = str(settings.home / "prefect-client")
    check_prefect(os.environ["PREFECT_API_URL"])


def check_prefect(url: str) -> None:
    """Make sure that the Prefect server answers, before a flow fails with a long traceback.

    Raises:
        TransientServiceError: it does not.
    """
    try:
        httpx.get(f"{url}/health", timeout=30).raise_for_status()
    except httpx.HTTPError as error:
        raise TransientServiceError(
            f"The Prefect server at {url} was required, but does not answer ({error}). "
            "Start it with `madloop services up`, then run the same command again."
        ) from error


def advance(campaign: str, rounds: int | None) -> Waiting | None:
    """Run the flow `troubleshoot` once; what people still owe, or None when the campaign has finished.

    Raises:
        TroubleshootError: whatever stopped it.
    """
    from flows.troubleshoot import troubleshoot  # noqa: PLC0415 - imports torch and Prefect

    result: Any = troubleshoot(campaign, rounds)
    return result if isinstance(result, Waiting) else None


def advance_until_finished(
    campaign: str, rounds: int | None, settings: Settings, people: subprocess.Popen[bytes]
) -> None:
    """Run `troubleshoot` again and again while simulated people answer, until the campaign has finished.

    Raises:
        ServiceError: the people's process ended, so nobody would ever answer.
        NotReadyError: the owner has to decide something.
    """
    before: Waiting | None = None
    while (waiting := advance(campaign, rounds)) is not None:
        if isinstance(waiting, WaitingForWord):
            raise NotReadyError(waiting)
        if waiting == before:
            raise ServiceError(
                f"Every published task has an answer, but still {waiting}. Some answers do not count: see "
                f"`madloop artifacts {campaign}`, table `answers` or `drawings`, column `state`."
            )
        _wait_for_answers(settings, waiting, people)
        before = waiting


def _wait_for_answers(settings: Settings, waiting: Waiting, people: subprocess.Popen[bytes]) -> None:
    """Watch Label Studio's counters until every task that was published has an answer."""
    from tasks.labelling import label_studio  # noqa: PLC0415 - imports the SDK
    from tasks.progress import progress  # noqa: PLC0415

    with label_studio(settings) as service:
        projects = [number for _, number in waiting.projects]
        looks = [service.progress(number) for number in projects]
        total, seen = sum(look.total for look in looks), 0
        with progress(f"people at work: {waiting.what}", total, "answer") as shown:
            while True:
                finished = sum(service.progress(number).finished for number in projects)
                shown.advance(finished - seen)
                seen = finished
                if seen >= total:
                    return
                if people.poll() is not None:
                    log = people_log(settings)
                    raise ServiceError(
                        "Simulated people were to answer, but their process ended with exit code "
                        f"{people.returncode}; {log} ends: {_last_line(log)}"
                    )
                time.sleep(_SECONDS_BETWEEN_LOOKS)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "(nothing)"


def people_log(settings: Settings) -> Path:
    """Where the simulated people write what they do."""
    return settings.services / "simulated-people.log"


@contextmanager
def simulated_people(config: Path, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Simulated people at work, as a process of their own: the only one that is told where the truth is."""
    log = people_log(settings)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "infra.simulated_people", str(config), "--parent", str(os.getpid())]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, stdout=output, stderr=output, env=_people_environment(settings)
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _people_environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "MADLOOP_HOME": str(settings.home)}
