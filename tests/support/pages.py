"""The sandbox's page as somebody in a story reads it: the channel, a run's thread, what they say, and a screenshot."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from sandbox.world import _page
from tests.support.browser import WIDE, chromium, visit
from tests.support.worlds import Story

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
"""Seconds for anything on a page, where a test does not say otherwise."""


@asynccontextmanager
async def reading(
    here: Story,
    who: str,
    run: str = "",
    *,
    size: tuple[int, int] = WIDE,
    dark: bool = False,
) -> AsyncIterator[Page]:
    """The channel as that person sees it, with the run's thread open."""
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        address = await _page(here.world, stack, 0)
        visited = await stack.enter_async_context(visit(browser, address, size=size, dark=dark))
        head = f"/{here.said(run)['head'][0].ts}" if run else ""
        await visited.page.goto(re.sub(r"/\?.*", f"/as/{who}/deploys{head}", address))
        yield visited.page
        assert visited.complaints == []


def thread_of(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Thread")


async def says(where: Locator, words: str) -> None:
    await expect(where).to_contain_text(words)


async def shot(page: Page, folder: str, name: str) -> None:
    """Kept as `artefacts/FOLDER/NAME.png`, for people to look at."""
    shown = ARTEFACTS / folder
    shown.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=shown / f"{name}.png")
