"""Warnings that stand in the log of the Prefect run they come from."""

from __future__ import annotations

import logging


def warn(message: str) -> None:
    """Say something in the log of the current Prefect run; outside of one, in Python's own."""
    from prefect.exceptions import MissingContextError  # noqa: PLC0415 - the command line stays light
    from prefect.logging import get_run_logger  # noqa: PLC0415

    logger: logging.Logger | logging.LoggerAdapter[logging.Logger]
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = logging.getLogger(__name__)
    logger.warning(message)
