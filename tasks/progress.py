"""Progress of a step that takes longer than a few seconds: a live bar with rate and remaining time.

Inside a Prefect run there is a progress artifact in the UI as well.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

_SECONDS_BETWEEN_UPDATES = 3.0  # each update of the artifact is a call to the Prefect server


class Progress:
    """Counts steps on the bar and, throttled, in the Prefect artifact."""

    def __init__(self, bar: tqdm[Any], artifact_id: object | None) -> None:
        self._bar = bar
        self._artifact_id = artifact_id
        self._updated_at = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Say that `n` more steps are done."""
        self._bar.update(n)
        if time.monotonic() - self._updated_at > _SECONDS_BETWEEN_UPDATES:
            self._publish()

    def note(self, text: str) -> None:
        """Show a short figure beside the bar, such as the latest loss."""
        self._bar.set_postfix_str(text)

    def _publish(self) -> None:
        self._updated_at = time.monotonic()
        if self._artifact_id is None:
            return
        from prefect.artifacts import update_progress_artifact  # noqa: PLC0415 - the command line stays light

        update_progress_artifact(
            artifact_id=self._artifact_id,  # type: ignore[arg-type]
            progress=100.0 * self._bar.n / max(self._bar.total or 1, 1),
            description=str(self._bar),
        )


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Progress]:
    """A progress display for `total` steps called `unit`."""
    with tqdm(desc=description, total=total, unit=unit, dynamic_ncols=True, mininterval=0.5) as bar:
        shown = Progress(bar, _progress_artifact(description, total, unit))
        try:
            yield shown
        finally:
            shown._publish()


def _progress_artifact(description: str, total: int, unit: str) -> object | None:
    """A new progress artifact of the current Prefect run, or None outside of one."""
    from prefect.artifacts import create_progress_artifact  # noqa: PLC0415 - the command line stays light
    from prefect.context import get_run_context  # noqa: PLC0415
    from prefect.exceptions import MissingContextError  # noqa: PLC0415

    try:
        get_run_context()
    except MissingContextError:
        return None
    key = re.sub(r"[^a-z0-9]+", "-", description.lower()).strip("-")
    return create_progress_artifact(progress=0.0, key=key, description=f"0/{total} {unit}")
