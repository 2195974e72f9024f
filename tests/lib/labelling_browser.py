"""A person at Label Studio in a real, headless Chromium: what one reads, presses, clicks and draws.

All positions are in pixels of the picture, whatever size it has on the screen.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from configs.settings import Login

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LAPTOP = (1366, 768)
Point = tuple[float, float]

_PICTURES = "img[alt=image]"
_ALL_LOADED = """n => {
  const pictures = [...document.querySelectorAll('img[alt=image]')];
  return pictures.length === n && pictures.every(p => p.complete && p.naturalWidth > 0);
}"""
_TASK_ID = "parseInt(document.querySelector('.lsf-current-task__task-id')?.firstChild?.textContent) || 0"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium; without one the test fails, with the way out."""
    executable = shutil.which("chromium")
    if executable is None:
        raise AssertionError(
            "Chromium was required for tests/system, but there is no program `chromium`. Install it, on "
            "Debian with `apt-get install --no-install-recommends chromium`."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS), headless=True)
        try:
            yield browser
        finally:
            browser.close()


class Labeller:
    """Somebody who is logged in, on a laptop's screen."""

    def __init__(self, browser: Browser, url: str, login: Login) -> None:
        """Log in with the form, as people do."""
        self._url = url
        width, height = LAPTOP
        self.page: Page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        self.page.goto(f"{url}/user/login/")
        self.page.fill("input[name=email]", login.email)
        self.page.fill("input[name=password]", login.password.get_secret_value())
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda address: "/user/login" not in address)

    def start(self, project_id: int) -> str:
        """Open a project and label all tasks; returns the instruction one sees, and closes it."""
        self.page.goto(f"{self._url}/projects/{project_id}/data")
        self.page.get_by_role("button", name="Label All Tasks").click()
        told = self.page.locator(".lsf-modal-ls__content").filter(has_text="Labeling Instructions")
        told.wait_for()
        text = told.inner_text()
        self.page.keyboard.press("Escape")
        told.wait_for(state="hidden")
        return text

    def see(self, n_pictures: int) -> None:
        """Wait until that many pictures are there, all of them loaded."""
        self.page.wait_for_function(_ALL_LOADED, arg=n_pictures)

    def see_regions(self, n_regions: int) -> None:
        """Wait until the list has that many regions or marks."""
        expect(self.page.locator(".lsf-outliner-item")).to_have_count(n_regions)

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return self.page.locator("body").inner_text()

    @property
    def task_id(self) -> int:
        """Number of the task on the screen."""
        return int(self.page.evaluate(_TASK_ID))

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        self.page.keyboard.press(key)

    def submit(self, *, is_last: bool = False) -> None:
        """Press Enter and wait for the next task by itself, or for the word that there is none."""
        self._wait_until_it_can_be_sent()
        before = self.task_id
        self.press("Enter")
        if is_last:
            self.page.get_by_text("No More Tasks Left in Queue").wait_for()
        else:
            self.page.wait_for_function(f"before => ({_TASK_ID} || before) !== before", arg=before)

    def click(self, point: Point, *, picture: int = 0) -> None:
        """Click at a place of a picture; pictures are counted from 0, left to right."""
        self.page.mouse.click(*self._on_screen(point, picture))

    def stroke(self, start: Point, end: Point) -> None:
        """Draw a straight line with the pressed mouse on the only picture."""
        self.page.mouse.move(*self._on_screen(start, 0))
        self.page.mouse.down()
        self.page.mouse.move(*self._on_screen(end, 0), steps=20)
        self.page.mouse.up()

    def keep_screenshot(self, path: Path | None) -> None:
        """Write what is on the screen to a PNG, if somebody wants it."""
        if path is not None:
            self._wait_until_it_can_be_sent()
            self.page.mouse.move(*(side - 1 for side in LAPTOP))
            self.page.screenshot(path=path)

    def _wait_until_it_can_be_sent(self) -> None:
        expect(self.page.locator("button", has_text=re.compile("^Submit$"))).to_be_enabled()

    def _on_screen(self, point: Point, picture: int) -> Point:
        shown = self.page.locator(_PICTURES).nth(picture)
        box = shown.bounding_box()
        assert box is not None, "the picture is not on the screen"
        width, height = shown.evaluate("p => [p.naturalWidth, p.naturalHeight]")
        return box["x"] + point[0] / width * box["width"], box["y"] + point[1] / height * box["height"]
