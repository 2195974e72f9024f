"""Running a tiny campaign as a user would, with people beside it, and comparing what came out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from configs.settings import CHECKOUT, Settings
from flows.status import identity_digests
from tasks.answer_log import VALID, read_log
from tasks.artifacts import ArtifactStore
from tasks.core.records import ANSWERS, CHECKS, DRAWINGS
from tasks.rounds import Round, load_campaign_by_name
from tests.lib.forked_runs import ForkedRuns, RunningCommand

WAITING = 4  # exit code of `madloop run` when people are needed
_DEADLINE_S = 400.0


@dataclass(frozen=True)
class CampaignRun:
    """One campaign with a store of its own on shared servers.

    Attributes:
        name: of the campaign.
        config: its file.
        settings: with this run's store.
        log: where the commands write.
    """

    name: str
    config: Path
    settings: Settings
    log: Path

    def digests(self) -> dict[str, str]:
        """`round/stage` -> identity digest."""
        return identity_digests(self.name, self.settings)

    def index_entries(self) -> set[str]:
        """Stages that have completed so far, as names of their index entries."""
        folder = Path(self.settings.store) / "campaigns" / self.name / "rounds"
        return {str(path.relative_to(folder)) for path in folder.glob("*/*.json")}


def prepare_run(
    config: Path, name: str, settings: Settings, folder: Path, *, store: str | None = None
) -> CampaignRun:
    """The tiny campaign under another name and with a store of its own, by default in `folder`."""
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    own = config.with_name(f"{name}.yaml")
    own.write_text(yaml.safe_dump({**values, "name": name}), encoding="utf-8")
    (folder / name / "store").mkdir(parents=True)
    place = store or str(folder / name / "store")
    return CampaignRun(
        name, own, settings.model_copy(update={"store_place": place}), folder / name / "log.txt"
    )


@contextmanager
def people_at_work(run: CampaignRun, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Simulated people; they have read the whole truth when this is entered."""
    command = [sys.executable, "-m", "infra.simulated_people", str(run.config)]
    with log.open("ab") as errors:
        environment = {"MADLOOP_HOME": str(run.settings.home), "PATH": "/usr/bin:/bin"}
        # where an S3 server is, if the test names one
        environment |= {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "MADLOOP_S3_"))}
        process = subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the simulated people did not start:\n{log.read_text(encoding='utf-8')}")
        yield process
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def finish(
    run: CampaignRun,
    runs: ForkedRuns,
    interfere: Callable[[RunningCommand], int] = lambda command: 0,
    options: Sequence[str] = (),
) -> int:
    """Run the campaign again and again until it has ended; returns how often `interfere` killed it.

    Args:
        run: the campaign.
        runs: where commands are started.
        interfere: what is done to every command; returns how often it killed it.
        options: further options of `madloop run`.

    Raises:
        AssertionError: a run failed by itself, or the campaign did not end in time.
    """
    kills, deadline = 0, time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        command = runs.start(["run", str(run.config), *options], store=run.settings.store, log=run.log)
        kills += interfere(command)
        command.ended.wait(_DEADLINE_S)
        if command.exit_code == 0:
            return kills
        if command.exit_code not in (WAITING, -9):
            raise AssertionError(f"a run failed with {command.exit_code}:\n{_tail(run.log)}")
        if command.exit_code == WAITING:
            time.sleep(1)
    raise AssertionError(f"{run.name} did not end in time:\n{_tail(run.log)}")


def twice_asked_or_answered(run: CampaignRun) -> list[str]:
    """Whatever exists twice that must exist once: tasks of one key, answers of one person to one question."""
    campaign = load_campaign_by_name(ArtifactStore.at(run.settings.store), run.name)
    first = Round(campaign, 1, run.settings.store)
    answers, drawings, checks = (
        [row for row in read_log(first, record) if row["state"] == VALID]
        for record in (ANSWERS, DRAWINGS, CHECKS)
    )
    questions = Counter(("rating", r["image_id"], r["map_digest"], r["rater"], r["repeat"]) for r in answers)
    questions += Counter(
        ("mask", r["image_id"], r["role"], r["copy"], r["turn"], r["start"], r["annotator"]) for r in drawings
    )
    questions += Counter(("check", r["image_id"], r["role"], r["mask_digest"], r["checker"]) for r in checks)
    doubled = [f"{question} was answered {n} times" for question, n in questions.items() if n > 1]
    keys: Counter[str] = Counter()
    for task in tasks_in_label_studio(run):
        keys[task["data"]["key"]] += 1
        if task["total_annotations"] > 1:
            doubled.append(f"task {task['data']['key']} has {task['total_annotations']} answers")
    return doubled + [f"task {key} exists {n} times" for key, n in keys.items() if n > 1]


def tasks_in_label_studio(run: CampaignRun) -> list[dict[str, Any]]:
    """Every task of every project of a campaign, read past our own client."""
    access = run.settings.require_label_studio()
    headers = {"Authorization": f"Token {access.token.get_secret_value()}"}
    tasks: list[dict[str, Any]] = []
    with httpx.Client(base_url=access.url, headers=headers, timeout=60) as client:
        answer = client.get("/api/projects", params={"page_size": 1000}).raise_for_status()
        projects = answer.json()["results"]
        for project in projects:
            if project["title"].startswith(f"{run.name} r"):
                query = {"project": project["id"], "page_size": 5000, "fields": "all", "resolve_uri": False}
                tasks += client.get("/api/tasks", params=query).raise_for_status().json()["tasks"]
    return tasks


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
