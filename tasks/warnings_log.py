"""Warnings that stand in the log of the Prefect run they come from."""

from __future__ import annotations

import logging


def warn(message: str) -> None:
    """Say something in the log of the current Prefect run; outside of one, in Python's own."""
    from prefect.context import get_run_context  # noqa: PLC0415 - the command line stays light
    from prefect.exceptions import MissingContextError  # noqa: PLC0415
    from prefect.logging import get_run_logger  # noqa: PLC0415

    try:
        context = get_run_context()
    except MissingContextError:
        logging.getLogger(__name__).warning(message)
    else:
        get_run_logger(context).warning(message)
