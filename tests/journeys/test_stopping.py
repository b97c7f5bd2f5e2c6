"""Stopping and going on, by a person in the page: hold, continue, cancel both ways, retry, and a failure that nobody answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from runbooks.wording import short_id
from tests.support.browser import PHONE
from tests.support.pages import reading, says, shot, thread_of
from tests.support.worlds import APPROVER, Story, story

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FOLDER = "stopping"
SLOW = "v2.1.0-slow"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Story]:
    times = {"escalate_after": 2.0, "escalate_times": 1}
    async with story(tmp_path / "world", times=times) as made:
        # a card that is drawn anew five times a second is no card to press a button of
        made.configure(lambda document: document["slack"].update({"progress_seconds": 2.0}))
        await made.start()
        yield made


async def hold(here: Story, page: Page, run: str) -> None:
    """*Hold* while the first service rolls out: approved only once the page is there, since a browser may take its time."""
    await expect(thread_of(page).get_by_role("button", name="Approve", exact=True)).to_be_visible()
    here.keep_unready("backend", SLOW)
    await here.press(APPROVER, "approve", run)
    await thread_of(page).get_by_role("button", name="Hold", exact=True).click()
    await here.until(lambda: "run:held" in here.event_names(run), "the hold was heard")
    here.let_ready("backend", SLOW)


async def stop(page: Page, then: str) -> None:
    """*Cancel…*, what is to follow, and yes."""
    await thread_of(page).get_by_role("button", name="Cancel…").click()
    form = page.get_by_role("dialog", name="Cancel")
    await says(form, "Now: ")
    await expect(form.get_by_label("Then")).to_have_value("stay")
    await form.get_by_label("Then").select_option(then)
    await shot(page, FOLDER, f"cancel-{then}")
    await form.get_by_role("button", name="Stop the run").click()
    await expect(form).to_be_hidden()


async def test_held_stopped_where_it_is_and_tried_again(here: Story) -> None:
    run = await here.ask(f"deploy {SLOW}")
    async with reading(here, "maya", run) as page:
        thread = thread_of(page)
        await hold(here, page, run)
        await says(thread, "Held before Frontend rollout by Maya")
        await expect(thread.get_by_role("button", name="Continue", exact=True)).to_be_visible()
        await says(page.get_by_role("log").first, "held by Maya before the next change")
        await shot(page, FOLDER, "held")
        await stop(page, "stay")
        await says(thread, "was stopped by Maya")
        await says(thread, f"Now: backend {SLOW}")
        await shot(page, FOLDER, "stopped")
        await thread.get_by_role("button", name="Retry", exact=True).click()
        again = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the retry")
        await here.ended_with(again, f"{SLOW} runs in production")
        await says(page.get_by_role("log").first, f"{SLOW} runs in production")
        await shot(page, FOLDER, "tried-again")
    assert f"Tomas's approval of run {short_id(run)} covers this plan" in here.text(again, "approval")
    assert "approval:asked" not in here.event_names(again)


async def test_let_go_on_and_then_stopped_to_go_back(here: Story) -> None:
    run = await here.ask(f"deploy {SLOW}")
    async with reading(here, "ines", run, size=PHONE, dark=True) as page:
        thread = thread_of(page)
        await hold(here, page, run)
        await says(thread, "Held before Frontend rollout by Ines")
        await shot(page, FOLDER, "held-phone")
        here.keep_unready("frontend", SLOW)
        await thread.get_by_role("button", name="Continue", exact=True).click()
        await here.until(lambda: here.tag("frontend") == SLOW, "the frontend is rolling")
        await stop(page, "rollback")
        await says(thread, "was stopped by Ines")
        back = await here.until(lambda: next((each for each in here.runs() if each != run), ""), "the rollback")
        await here.ended_with(back, "Back on v1.2.0")
        await shot(page, FOLDER, "gone-back-phone")
    assert {here.tag(service) for service in ("backend", "frontend")} == {"v1.2.0"}


async def test_a_failure_is_answered_from_the_channel(here: Story) -> None:
    run = await here.deployed("v2.1.0-bad", ends="stopped")
    await here.says(run, "is still undecided", "unanswered-1")
    async with reading(here, "ines", size=PHONE) as page:
        log = page.get_by_role("log").first
        await says(log, "replied to a thread")
        await says(log, "production is still undecided")
        await says(log, "@Ines Moreau")
        await shot(page, FOLDER, "unanswered-phone")
        await log.get_by_role("button", name="Leave as is…").last.click()
        form = page.get_by_role("dialog", name="Resolve")
        await form.get_by_label("Reason").fill("the registry is being mended")
        await form.get_by_role("button", name="Resolve").click()
        await here.until(lambda: here.environment().undecided is None, "it is decided")
        await shot(page, FOLDER, "left-as-it-is-phone")
    (resolved,) = [event for event in here.events() if event.name == "run:resolved"]
    assert (resolved.actor, resolved.reason) == ("ines", "the registry is being mended")
