"""A deploy at a time, by a person in the page: its form, what plan and approval say of it, and go or no go on a phone."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.browser import PHONE
from tests.support.pages import reading, says, shot, thread_of
from tests.support.worlds import APPROVER, Story, story

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FOLDER = "appointments"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    async with story(tmp_path / "world", times={"go_before": 7200.0}) as made:
        await made.start()
        yield made


async def test_a_deploy_at_a_time_from_its_plan_to_a_no_go(here: Story) -> None:
    at = datetime.now(UTC) + timedelta(seconds=3600)
    run = await here.ask(f"deploy v2.0.0 --at {at:%H:%M}")
    async with reading(here, "maya", run) as page:
        thread = thread_of(page)
        await says(thread, f"{at:%A} {at.day} {at:%B %Y}, {at:%H:%M} UTC")
        await says(thread, "The approval is valid until")
        await shot(page, FOLDER, "asked")
        await here.press(APPROVER, "approve", run)
        await says(thread, "Go or no-go: Deploy v2.0.0 to production")
        await says(page.get_by_role("log").first, f"waiting until {at:%H:%M} UTC")
        await expect(thread.get_by_role("button", name="Go", exact=True)).to_be_visible()
        await thread.get_by_role("button", name="Go", exact=True).scroll_into_view_if_needed()
        await shot(page, FOLDER, "go-or-no-go")
        await thread.get_by_role("button", name="Go", exact=True).click()
        sure = page.get_by_role("dialog")
        await says(sure, "Stay with it")
        await sure.get_by_role("button", name="Go", exact=True).click()
        await says(thread, "Its plan is made again then")
        await shot(page, FOLDER, "go-was-said")
    async with reading(here, "ines", run, size=PHONE, dark=True) as page:
        thread = thread_of(page)
        await shot(page, FOLDER, "waits-phone")
        await thread.get_by_role("button", name="No-go", exact=True).click()
        await says(thread, "No-go by Ines")
        await expect(thread.get_by_role("button", name="No-go", exact=True)).to_be_hidden()
        await shot(page, FOLDER, "no-go-phone")
    assert here.environment().run is None


async def test_the_form_offers_it(here: Story) -> None:
    async with reading(here, "maya") as page:
        await here.type("maya", "/omnicare deplyo v2.0.0")
        await here.whispered("maya", "Did you mean")
        await says(page.get_by_role("log").first, "Did you mean")
        await page.get_by_role("button", name=re.compile("deploy")).last.click()
        form = page.get_by_role("dialog", name="Deploy")
        await form.get_by_label(re.compile(r"^At\b")).first.fill("yesterday")
        await form.get_by_role("button", name="Request").click()
        await says(form, "`yesterday` is not a time")
        await shot(page, FOLDER, "form")
        await form.get_by_label(re.compile(r"^At\b")).first.fill("2024-01-01T02:00")
        await form.get_by_role("button", name="Request").click()
        await says(form, "is in the past")
        at = datetime.now(UTC) + timedelta(seconds=7200)
        await form.get_by_label(re.compile(r"^At\b")).first.fill(f"{at:%H:%M}")
        await form.get_by_role("button", name="Request").click()
        (run,) = await here.until(here.runs, "it is asked for")
        await here.says(run, f"{at.day} {at:%B %Y}, {at:%H:%M} UTC", "plan")
