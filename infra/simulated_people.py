"""Simulated people as a process of their own: they log in to Label Studio and answer as a browser would.

    python -m infra.simulated_people CAMPAIGN.yaml [--parent PID]

The process reads the truth once, says "ready" on its standard output, and then answers whatever it finds,
until it gets SIGTERM or its parent ends. Each person has a session and a thread. A task is answered once:
only tasks without an answer are asked for, and only one such process serves a campaign.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from configs.load import load_campaign
from configs.settings import Settings, load_settings, read_logins
from infra.guardian import ProcessStat, read_stat, still_runs
from infra.simulated_truth import Knowledge, PeopleConfig, people_config
from tasks.core.brush_masks import PAINTED_FROM, regions_of
from tasks.core.label_maps import VOID
from tasks.core.rating_needs import need_of_task
from tasks.core.rle import decode_brush
from tasks.errors import ConfigError, TroubleshootError
from tasks.services.label_studio_answers import brush_result
from tasks.services.label_studio_checks import ParsedCheck, check_result
from tasks.services.label_studio_screens import IMAGE, OUT_OF_DOMAIN, RATING, picture_url
from tasks.services.label_studio_session import csrf_headers, log_in, open_client

POLL_S = 1.0
LOCK_TRIES = 10
AT_ONCE = 3  # people who act at the same moment; more only wait for the server's database
PAGE = 50

LabelMap = NDArray[np.uint8]

_UNANSWERED = json.dumps(
    {
        "filters": {
            "conjunction": "and",
            "items": [
                {"filter": f"filter:tasks:{name}", "operator": "equal", "type": "Number", "value": 0}
                for name in ("total_annotations", "cancelled_annotations")
            ],
        }
    }
)


class SimulatedPerson:
    """One person at a browser: looks for own projects, answers their open tasks."""

    def __init__(
        self, name: str, knowledge: Knowledge, turns: threading.Semaphore, stop: threading.Event
    ) -> None:
        """Prepare; nothing is sent before `work`."""
        self._name = name
        self._knowledge = knowledge
        self._turns = turns
        self._stop = stop
        self._browser: httpx.Client | None = None
        campaign = re.escape(knowledge.config.campaign)
        self._title = re.compile(rf"{campaign} r\d+ (rating|masks|checks) {re.escape(name)}")

    def work(self) -> None:
        """Answer until told to stop; a server that is away is waited for."""
        try:
            while not self._stop.is_set():
                try:
                    answered = self._look_round()
                except httpx.HTTPError:
                    # Whatever was under way may have been taken or not: the next look shows which.
                    self._leave()
                    answered = 0
                if answered == 0:
                    self._stop.wait(POLL_S)
        finally:
            self._leave()

    def _look_round(self) -> int:
        """Answer one page of open tasks of every own project; how many."""
        browser = self._browser or self._log_in(load_settings())
        if browser is None:
            return 0
        answer = browser.get("/api/projects", params={"include": "id,title", "page_size": 1000})
        answer.raise_for_status()
        answered = 0
        for project in answer.json()["results"]:
            match = self._title.fullmatch(project["title"])
            if match is not None:
                answered += self._answer_project(browser, project["id"], match[1])
        return answered

    def _log_in(self, settings: Settings) -> httpx.Client | None:
        """A session, None as long as the server or the person's account is not there."""
        url = settings.label_studio_url
        login = read_logins(settings).get(self._name)
        if url is None or login is None:
            return None
        browser = open_client(url, timeout_s=60.0)
        self._browser = browser
        if not log_in(browser, email=login.email, password=login.password.get_secret_value()):
            self._leave()
            return None
        return browser

    def _leave(self) -> None:
        if self._browser is not None:
            self._browser.close()
            self._browser = None

    def _answer_project(self, browser: httpx.Client, project_id: int, kind: str) -> int:
        params: dict[str, Any] = {"project": project_id, "page_size": PAGE, "query": _UNANSWERED}
        found = browser.get("/api/tasks", params={**params, "include": "id,data", "resolve_uri": "false"})
        found.raise_for_status()
        tasks = found.json()["tasks"]
        for task in tasks:
            if self._stop.is_set():
                break
            with self._turns:
                begin = time.monotonic()
                answer = {"rating": self._rating, "masks": self._mask, "checks": self._check}[kind]
                result = answer(browser, task)
                self._send(browser, task["id"], project_id, result, time.monotonic() - begin)
        return len(tasks)

    def _rating(self, browser: httpx.Client, task: dict[str, Any]) -> list[dict[str, Any]]:
        data = task["data"]
        shown = self._knowledge.shown_map(_picture(browser, task, "map"))
        need = need_of_task(data, self._name)
        given = self._knowledge.rate(
            self._name,
            image_id=data["image_id"],
            map_digest=data["map_digest"],
            shown=shown,
            repeat=0 if need is None else need.repeat,
        )
        choice = OUT_OF_DOMAIN if given.out_of_domain else str(given.score)
        return [
            {
                "id": "simulated0",
                "from_name": RATING,
                "to_name": IMAGE,
                "type": "choices",
                "origin": "manual",
                "value": {"choices": [choice]},
            }
        ]

    def _mask(self, browser: httpx.Client, task: dict[str, Any]) -> list[dict[str, Any]]:
        data = task["data"]
        height, width = _picture(browser, task, "image").shape[:2]
        whole = browser.get(f"/api/tasks/{task['id']}/", params={"resolve_uri": "false"})
        whole.raise_for_status()
        predictions = whole.json().get("predictions") or []
        names = self._knowledge.config.classes.names
        start = _start_map(predictions[-1]["result"], names, height, width) if predictions else None
        mask = self._knowledge.paint(
            self._name, image_id=data["image_id"], size=(height, width), start=start, turn=data["turn"]
        )
        regions = brush_result(regions_of(mask, names), width=width, height=height)
        return [
            {**region, "origin": _origin(mask, start, index)}
            for region, index in zip(regions, _classes_in(mask), strict=True)
        ]

    def _check(self, browser: httpx.Client, task: dict[str, Any]) -> list[dict[str, Any]]:
        data = task["data"]
        mask = self._knowledge.shown_map(_picture(browser, task, "map"))
        marks = self._knowledge.check(self._name, image_id=data["image_id"], mask=mask)
        height, width = mask.shape
        return check_result(ParsedCheck(not marks, marks), height=height, width=width)

    def _send(
        self,
        browser: httpx.Client,
        task_id: int,
        project_id: int,
        result: list[dict[str, Any]],
        seconds: float,
    ) -> None:
        """Submit as the browser does."""
        body = {
            "result": result,
            "lead_time": round(seconds, 3),
            "draft_id": 0,
            "parent_prediction": None,
            "parent_annotation": None,
            "project": str(project_id),
        }
        sent = browser.post(f"/api/tasks/{task_id}/annotations/", json=body, headers=csrf_headers(browser))
        sent.raise_for_status()


def _picture(browser: httpx.Client, task: dict[str, Any], name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 picture of a task, by its name in the task's data."""
    answer = browser.get(picture_url(task["data"][name], task["id"]))
    if answer.has_redirect_location:  # to a presigned link: no cookie of Label Studio goes there
        link = answer.headers["location"]
        with open_client(link, timeout_s=60.0) as anonymous:
            answer = anonymous.get(link)
    answer.raise_for_status()
    with Image.open(io.BytesIO(answer.content)) as image:
        return np.asarray(image.convert("RGB"))


def _start_map(result: list[dict[str, Any]], names: Sequence[str], height: int, width: int) -> LabelMap:
    """The map that a pre-annotation shows; void where no region is."""
    start = np.full((height, width), VOID, dtype=np.uint8)
    for region in result:
        value = region["value"]
        alpha = decode_brush(value["rle"], height=height, width=width)
        start[alpha >= PAINTED_FROM] = names.index(value["brushlabels"][0])
    return start


def _classes_in(mask: LabelMap) -> list[int]:
    return [int(value) for value in np.unique(mask) if value != VOID]


def _origin(mask: LabelMap, start: LabelMap | None, index: int) -> str:
    """What the editor says of a region: drawn anew, changed, or left as predicted."""
    if start is None or not (start == index).any():
        return "manual"
    return "prediction" if np.array_equal(mask == index, start == index) else "prediction-changed"


def answer_until(config: PeopleConfig, stop: threading.Event, *, parent: ProcessStat | None) -> None:
    """Let everybody answer until `stop` is set or the parent process is gone; says "ready" when they begin.

    Raises:
        DataError: the truth does not cover the pool, or a task shows something it cannot be about.
    """
    knowledge = Knowledge(config)
    turns = threading.Semaphore(AT_ONCE)
    names = dict.fromkeys((*config.raters, *config.annotators, *config.checkers))
    people = [SimulatedPerson(name, knowledge, turns, stop) for name in names]
    with ThreadPoolExecutor(max_workers=len(people), thread_name_prefix="person") as pool:
        futures = [pool.submit(person.work) for person in people]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        try:
            while not stop.is_set() and not _failed(futures) and still_runs(parent):
                stop.wait(POLL_S)
        finally:
            stop.set()
        for future in futures:
            future.result()


def _failed(futures: Sequence[Future[None]]) -> bool:
    return any(future.done() for future in wait(futures, timeout=0, return_when=FIRST_EXCEPTION).done)


@contextlib.contextmanager
def _only_one(settings: Settings, campaign: str) -> Iterator[None]:
    """Refuse a second process for the same campaign: two would answer the same task twice.

    One whose parent was killed notices within a second; it is waited for.
    """
    settings.services.mkdir(parents=True, exist_ok=True)
    with (settings.services / f"people-{campaign}.lock").open("w") as stream:
        for attempt in range(LOCK_TRIES):
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if attempt == LOCK_TRIES - 1:
                    raise ConfigError(
                        f"One process of simulated people was required for {campaign!r}, "
                        "but one runs already."
                    ) from error
                time.sleep(POLL_S)
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """The process; its exit code."""
    parser = argparse.ArgumentParser(
        description="Answer a campaign's Label Studio tasks as simulated people."
    )
    parser.add_argument("campaign", type=Path, help="campaign file with a section `simulated_people`")
    parser.add_argument("--parent", type=int, help="process whose end ends this one")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        parent = None if options.parent is None else read_stat(options.parent)
        if options.parent is not None and parent is None:
            raise ConfigError(f"A running parent process was required, but {options.parent} is gone.")
        config = people_config(load_campaign(options.campaign, with_people=True))
        with _only_one(load_settings(), config.campaign):
            answer_until(config, stop, parent=parent)
    except TroubleshootError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
