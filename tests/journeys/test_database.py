"""A DBA in the page: slow queries, *Explain*, credentials proved; and each scenario of the database, switched on in the World. Pictures are kept."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from sandbox.postgres import Database
from sandbox.scenarios import DATABASE
from sandbox.scenarios.scenario import Scenario
from sandbox.world import _page
from tests.support.browser import PHONE, WIDE, chromium, visit
from tests.support.worlds import Story, story

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SHOWN = Path(__file__).parents[2] / "artefacts" / "database"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    parts = ("verification",)  # that a database has become slower is known by its metric alone
    async with Database().serve() as database, story(tmp_path / "world", parts=parts, database=database) as made:
        await made.inside()
        await database.ready()
        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@asynccontextmanager
async def reading(
    here: Story, browser: Browser, *, size: tuple[int, int] = WIDE, dark: bool = False
) -> AsyncIterator[Page]:
    SHOWN.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        address = await _page(here.world, stack, 0)
        visited = await stack.enter_async_context(visit(browser, address, size=size, dark=dark))
        await visited.page.goto(re.sub(r"/\?.*", "/as/dana/deploys", address))
        yield visited.page
        assert visited.complaints == []


async def type_in(page: Page, text: str) -> None:
    await page.locator("#composer-text").fill(text)
    await page.keyboard.press("Escape")  # the completion
    await page.locator("#composer-text").press("Enter")


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_from_the_list_to_a_plan(here: Story, browser: Browser, look: str) -> None:
    size = PHONE if look == "phone" else (1280, 1400)
    async with reading(here, browser, size=size, dark=look == "dark") as page:
        await type_in(page, "/omnicare slow-queries")
        log = page.get_by_role("log").first
        await expect(log).to_contain_text("Start with")
        await expect(log).to_contain_text("Statistics since")
        await page.screenshot(path=SHOWN / f"{look}-slow-queries.png")
        await log.get_by_role("button", name=re.compile("^Explain q")).first.click()
        thread = page.get_by_role("complementary", name="Thread")
        await expect(thread).to_contain_text("Planned without values and not executed.")
        await expect(thread).to_contain_text("of the cost is")
        await thread.get_by_text("Planned without values").scroll_into_view_if_needed()
        await page.screenshot(path=SHOWN / f"{look}-explain.png")
        if look == "phone":
            return
        await type_in(page, "/omnicare db connect")
        await expect(log).to_contain_text("accepts the bot's credentials")
        await expect(log).to_contain_text("a replica, up to date")
        await page.screenshot(path=SHOWN / f"{look}-connect.png")
        assert here.world.database is not None
        assert here.world.database.reader_password not in await page.content()


@pytest.mark.parametrize("night", DATABASE, ids=lambda night: night.name)
async def test_a_bad_night_of_the_database(here: Story, browser: Browser, night: Scenario) -> None:
    async with reading(here, browser, size=(1280, 1200), dark=night.name == "database-gone") as page:
        await page.get_by_role("button", name="World").click()
        await page.locator("#world-nights summary").click()
        play = page.get_by_role("switch", name=night.name, exact=True)
        await play.scroll_into_view_if_needed()
        await play.click()
        await expect(play).to_be_checked()
        await expect(page.get_by_role("region", name="Broken now")).to_contain_text(night.sentence)
        await page.keyboard.press("Escape")
        database = here.world.database
        assert database is not None
        await here.until(lambda: database.broken, "the database is in that state")
        if night.name == "database-lock":  # who waits is told once they have waited for two seconds
            await here.until(lambda: waits_for(database) > 2.5, "they have waited for long enough")
        await type_in(page, f"/omnicare {night.command}")
        await expect(page.get_by_role("log").first).to_contain_text(night.cause)
        await page.screenshot(path=SHOWN / f"{night.name}.png")


def waits_for(database: Database) -> float:
    """Seconds since somebody began to wait; 0 where nobody does."""
    return time.monotonic() - database.waiting_since if database.waiting_since else 0.0
