"""A rater who answers by the requests that a browser sends, without a screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from configs.logins import ensure_logins
from configs.settings import Settings
from tasks.core.rating_needs import RatingNeed
from tasks.services.label_studio_session import csrf_headers, log_in, open_client

CHOICE = {"from_name": "rating", "to_name": "image", "type": "choices"}


class Rater:
    """Somebody at a browser, in the own project or in somebody else's."""

    def __init__(self, browser: httpx.Client, project_id: int) -> None:
        self._browser = browser
        self.project_id = project_id

    def task_ids(self) -> dict[str, int]:
        """Our key -> id of the task on the server."""
        params = {"project": self.project_id, "include": "id,data", "page_size": 1000, "resolve_uri": "false"}
        found = self._browser.get("/api/tasks", params=params).raise_for_status()
        return {task["data"]["key"]: task["id"] for task in found.json()["tasks"]}

    def rate(self, need: RatingNeed, choice: str | None, **fields: Any) -> int:
        """Submit as the browser does; None is an answer without a choice. The id of the answer."""
        result = [] if choice is None else [{**CHOICE, "value": {"choices": [choice]}}]
        path = f"/api/tasks/{self.task_ids()[need.key]}/annotations/"
        sent = self._send("POST", path, json={"result": result, "lead_time": 4.0, **fields})
        return int(sent.json()["id"])

    def change(self, annotation_id: int, choice: str) -> None:
        """Edit an answer, one's own or not."""
        result = [{**CHOICE, "value": {"choices": [choice]}}]
        self._send("PATCH", f"/api/annotations/{annotation_id}/", json={"result": result})

    def delete(self, what: str, number: int) -> None:
        """Delete a task, an annotation or a project."""
        self._send("DELETE", f"/api/{what}/{number}/")

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        return self._browser.request(
            method, path, headers=csrf_headers(self._browser), **body
        ).raise_for_status()


@contextmanager
def rater_session(settings: Settings, name: str, project_id: int) -> Iterator[Rater]:
    """A rater who is logged in with the login that madloop made."""
    login = ensure_logins(settings, [name])[name]
    with open_client(settings.require("label_studio"), timeout_s=60.0) as browser:
        assert log_in(browser, email=login.email, password=login.password.get_secret_value())
        yield Rater(browser, project_id)
