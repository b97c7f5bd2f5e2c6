"""The night: a deploy hangs at 1 of 3, production is locked, and Ines is alone. `rollback`, one confirmation, and it is over.

Once in the page by thumb, on a phone; once in a terminal while Slack is down.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from sandbox.world import _page
from tests.support.browser import PHONE, chromium, visit
from tests.support.night import HANGING, falls, morning
from tests.support.terminals import ended, omnicare, read_until, run_of, started
from tests.support.worlds import Story, story

SHOWN = Path(__file__).parents[2] / "artefacts" / "night"
STOPWATCH = re.compile(r"\d+\ss of the (guide's )?5\smin budget")
THUMB = 44
"""Pixels: what a thumb hits without looking twice."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world") as made:
        await made.start()
        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize("dark", [False, True])
async def test_in_the_page_by_thumb(here: Story, browser: Browser, *, dark: bool) -> None:
    failed = await falls(here)
    async with AsyncExitStack() as stack:
        address = await _page(here.world, stack, 0)
        phone = await stack.enter_async_context(visit(browser, address, size=PHONE, dark=dark, touch=True))
        page, look = phone.page, _Look(phone.page, "dark" if dark else "light")
        await page.goto(re.sub(r"/\?.*", "/as/ines/deploys", address))
        await expect(page.get_by_role("log").first).to_contain_text(HANGING)
        await look.at("1-what-there-is")
        composer = page.get_by_role("combobox", name="Message to deploys")
        await composer.tap()
        await page.keyboard.type("/omnicare rollback")
        await look.at("2-typed")
        await tap(page.get_by_role("button", name="Send"))
        thread = page.get_by_role("complementary", name="Thread")
        await expect(thread).to_be_in_viewport(ratio=0.9)
        confirm = thread.get_by_role("button", name="Confirm", exact=True)
        await expect(confirm).to_be_visible()
        await look.at("3-what-will-be-done")
        await expect(thread).to_contain_text("lock")
        await thread.get_by_role("table").scroll_into_view_if_needed()
        await look.at("3-what-will-be-done-table")
        await tap(confirm)
        question = page.get_by_role("dialog")
        await expect(question).to_be_visible()
        await look.at("4-once-more")
        await tap(question.get_by_role("button", name="Confirm", exact=True))
        await expect(thread).to_contain_text("Back on v1.2.0 in production")
        await expect(thread).to_contain_text(STOPWATCH)
        await look.at("5-back")
        await tap(page.get_by_role("link", name="Close the thread"))
        await expect(page.get_by_role("log", name="Messages in deploys")).to_contain_text(
            "Back on v1.2.0 in production"
        )
        await look.at("6-the-channel")
        assert phone.complaints == []
    await here.says(failed, "overtaken")
    morning(here)


async def tap(what: Locator) -> None:
    """By thumb: it has to be large enough, and in view."""
    await what.scroll_into_view_if_needed()
    box = await what.bounding_box()
    assert box is not None
    label = await what.inner_text() or await what.get_attribute("aria-label")
    assert min(box["height"], box["width"]) >= THUMB - 0.5, f"{label}: {box['width']:.0f} by {box['height']:.0f}"
    await what.tap()


class _Look:
    """Screenshots for people, and what would make a phone scroll sideways."""

    def __init__(self, page: Page, name: str) -> None:
        self._page = page
        self._folder = SHOWN / name
        self._folder.mkdir(parents=True, exist_ok=True)

    async def at(self, name: str) -> None:
        await self._page.screenshot(path=self._folder / f"{name}.png")
        wide = (
            "Math.max(...[...document.querySelectorAll('html, body, .frame, .scroll')].map((one) => one.scrollWidth))"
        )
        assert await self._page.evaluate(wide) <= PHONE[0], name


@pytest.mark.kill
async def test_in_a_terminal_while_slack_is_down(here: Story) -> None:
    failed = await falls(here)
    here.world.slack.go_down()
    status, seen = await omnicare(here.config, "--as", "ines", "status")
    assert status == 0
    assert HANGING in seen
    going = await started(here.config, "--as", "ines", "rollback")
    asked = await read_until(going, "omnicare approve ")
    assert "lock" in asked
    status, told = await omnicare(here.config, "--as", "ines", "approve", run_of(asked))
    assert status == 0, told
    status, rest = await ended(going)
    assert status == 0, rest
    assert "Back on v1.2.0 in production" in rest
    assert STOPWATCH.search(rest)
    morning(here)
    assert "overtaken" not in here.text(failed), "Slack knows nothing of it yet"
    here.world.slack.come_back()
    (run,) = {event.run for event in here.events() if event.command == "rollback" and event.run}
    assert run is not None
    await here.ended_with(run, "Back on v1.2.0 in production")
    await here.says(failed, "overtaken")
    here.nothing_was_said_twice(run)
    here.nothing_was_said_twice(failed)
