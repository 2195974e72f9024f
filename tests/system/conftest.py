"""People's screens in a real browser, on the real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from configs.logins import ensure_logins
from configs.settings import Settings
from tests.lib.labelling_browser import Labeller, chromium
from tests.lib.services import label_studio_bin, services

__all__ = ["label_studio_bin", "services"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER` writes what people see to PNG files."""
    parser.addoption("--screenshots", type=Path, default=None, help="folder for PNGs of the three screens")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def at_the_screen(browser: Browser, services: Settings) -> Iterator[Callable[[str], Labeller]]:
    """Somebody, by name, logged in with the login that madloop made."""
    opened: list[Labeller] = []

    def labeller(person: str) -> Labeller:
        login = ensure_logins(services, [person])[person]
        opened.append(Labeller(browser, services.require("label_studio"), login))
        return opened[-1]

    yield labeller
    for one in opened:
        one.page.context.close()


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[str], Path | None]:
    """Where a screenshot of this name goes; None if nobody asked for screenshots."""
    folder: Path | None = request.config.getoption("--screenshots")
    return lambda name: None if folder is None else folder / f"{name}.png"
