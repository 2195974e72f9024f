"""A run that has done all it can until people answer: it ends, in a state that says so by name."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.errors import Waiting


def waiting_state(waiting: Waiting) -> State[Any]:
    """A completed state named "Waiting for ratings", "... masks" or "... a word on NAME", with its data."""
    return Completed(name=f"Waiting for {waiting.what}", message=str(waiting), data=waiting)
