"""Every scenario of a deploy, by a person in the page: switched on in the World, typed, approved, and its card read. Pictures are kept."""

import re
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from sandbox.people import DEPLOYS
from sandbox.scenarios import SCENARIOS
from sandbox.scenarios.scenario import Scenario
from sandbox.world import _page
from tests.support.browser import PHONE, WIDE, chromium, visit
from tests.support.worlds import APPROVER, FAST_CLUSTER, Story, story

pytestmark = pytest.mark.browser

PICTURES = Path("artefacts") / "scenarios"
CLUSTER = replace(FAST_CLUSTER, nodes=3, node_grace_seconds=0.3)


@pytest.mark.parametrize("size", [pytest.param(WIDE, id="wide"), pytest.param(PHONE, id="phone")])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_bad_night_in_the_page(scenario: Scenario, size: tuple[int, int], tmp_path: Path) -> None:
    if size == PHONE and scenario.name not in ("crash", "unschedulable", "quota"):
        pytest.skip("by thumb: three of them, since the cards are of one hand")
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = f"{scenario.name}{'-phone' if size == PHONE else ''}"
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(story(tmp_path / "world", cluster=CLUSTER, times={"explain_after": 1.0}))
        here.world.hurry = 4
        await here.inside()
        address = await _page(here.world, stack, 0)
        browser = await stack.enter_async_context(chromium())
        visited = await stack.enter_async_context(visit(browser, address, size=size))
        page = visited.page
        await choose(page, scenario, name)
        await page.locator("#composer-text").press("Enter")
        run = await here.until(lambda: next(iter(here.runs()), ""), "the run's head message")
        await here.press(APPROVER, "approve", run)
        if scenario.cause:
            await the_card_names_the_cause(here, page, run, scenario)
        else:
            await here.says(run, "1 pod not ready", "progress")
        await thread(here, page, address)
        await page.screenshot(path=PICTURES / f"{name}.png")
        assert visited.complaints == []


async def choose(page: Page, scenario: Scenario, name: str) -> None:
    await page.get_by_role("button", name="World").click()
    await page.locator("#world-nights summary").click()
    if scenario is SCENARIOS[0]:
        await page.screenshot(path=PICTURES / f"world-{name}.png")
    play = page.get_by_role("switch", name=scenario.name, exact=True)
    await play.scroll_into_view_if_needed()
    await play.click()
    # the sentence and the command are shown, and a click puts the command into the message box
    await expect(play).to_be_checked()
    broken = page.get_by_role("region", name="Broken now")
    await expect(broken).to_contain_text(scenario.sentence)
    await broken.get_by_role("button", name=f"/omnicare {scenario.command}").click()
    await expect(page.locator("#composer-text")).to_have_value(f"/omnicare {scenario.command}")


async def the_card_names_the_cause(here: Story, page: Page, run: str, scenario: Scenario) -> None:
    result = await here.says(run, f"stopped at Backend rollout: {scenario.cause}", "result")
    order = ["stopped at Backend rollout", "Kubernetes: ", "Usual causes"]
    if scenario.name == "crash":
        order.insert(2, "Last log lines")
    places = [result.index(words) for words in order]
    assert places == sorted(places), result
    assert re.search(r"serves? backend: \d ready endpoint", result), result
    assert "health URL 200 (" in result
    assert "Frontend was not touched." in result


async def thread(here: Story, page: Page, address: str) -> None:
    head = here.slack.history(DEPLOYS)[-1].ts
    await page.goto(f"{address.partition('?')[0]}as/maya/deploys/{head}")
    replies = page.locator("#replies .message")
    await replies.last.wait_for()
    await replies.last.scroll_into_view_if_needed()
    await page.evaluate("document.activeElement.blur()")
