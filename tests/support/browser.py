"""A headless Chromium for the tests that are a person in a browser: the system's own, driven by Playwright.

Nothing is fetched: the browser is Debian's package `chromium`, and it is told not to look for updates.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = (1280, 840)
PHONE = (390, 844)
PATIENCE = 60.0
"""Seconds for what the page does sooner or later: a busy machine is no fault of the page's."""

expect.set_options(timeout=PATIENCE * 1000)


@dataclass
class Visit:
    """A page with what went wrong in it; a test asserts that `complaints` stayed empty."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, closed at the end. Without one the test says that it was left out."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on this machine (Debian: apt-get install chromium)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def visit(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = WIDE,
    dark: bool = False,
    touch: bool = False,
) -> AsyncIterator[Visit]:
    """Open `url` as a new person's browser. Nothing moves, so that a screenshot is the same each time. `touch`: a phone, by thumb."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        timezone_id="Europe/London",
        has_touch=touch,
        is_mobile=touch,
    )
    context.set_default_timeout(PATIENCE * 1000)
    page = await context.new_page()
    visited = Visit(page, context)
    page.on("console", visited._console)
    page.on("pageerror", lambda error: visited.complaints.append(f"exception: {error}"))
    try:
        await page.goto(url)
        yield visited
    finally:
        await context.close()
