"""A person at the page: they type, click and read, by keyboard where they like."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.sandbox.page.conftest import Served
from tests.support.browser import PHONE, WIDE, Visit, chromium, visit

pytestmark = pytest.mark.browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def maya(served: Served, browser: Browser) -> AsyncIterator[Visit]:
    async with visit(browser, served.link) as visited:
        await ready(visited.page)
        yield visited
        assert visited.complaints == []


async def ready(page: Page) -> None:
    """The stream stands, and the reader's time zone is known."""
    await expect(page.locator("#connection")).to_be_hidden()
    await page.wait_for_function("document.cookie.includes('zone=')")
    await page.wait_for_load_state("networkidle")


async def fits(page: Page, width: int) -> None:
    """Nothing is wider that would make one scroll sideways: the page itself, or a column of it."""
    wide = "Math.max(...[...document.querySelectorAll('html, body, .frame, .scroll, .home')].map((one) => one.scrollWidth))"
    await page.wait_for_function(f"{wide} <= {width}")


async def received(served: Served, count: int) -> None:
    """Waits until so many deliveries have come to the app: the page shows an act before it is done."""
    async with asyncio.timeout(60):
        while len(served.app.received) < count:  # noqa: ASYNC110 - what is looked at is in another server
            await asyncio.sleep(0.02)


async def test_a_command_is_typed_with_completion_and_its_thread_opens(served: Served, maya: Visit) -> None:
    page = maya.page
    composer = page.get_by_role("combobox", name="Message to deploys")
    await expect(composer).to_be_focused()
    await page.keyboard.type("/om")
    await expect(page.get_by_role("option", selected=True)).to_contain_text("/omnicare")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("option", selected=True)).to_contain_text("deploy")
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option", selected=True)).to_contain_text("rollback")
    await page.keyboard.type("dep")
    await page.keyboard.press("Tab")
    await expect(composer).to_have_value("/omnicare deploy ")
    await page.keyboard.type("v2.0.0")
    await page.keyboard.press("Enter")
    thread = page.get_by_role("complementary", name="Thread")
    await expect(thread.get_by_role("table")).to_contain_text("v2.0.0 b81c07")
    await expect(thread.get_by_role("button", name="Approve")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/as/maya/deploys/\d+\.\d+$"))
    assert served.app.received[0]["text"] == "deploy v2.0.0"
    await composer.focus()
    await page.keyboard.press("ArrowUp")
    await expect(composer).to_have_value("/omnicare deploy v2.0.0")


async def test_the_command_alone_asks_for_the_menu(served: Served, maya: Visit) -> None:
    await maya.page.keyboard.type("/omnicare")
    await expect(maya.page.get_by_role("option", selected=True)).to_contain_text("deploy")
    await maya.page.keyboard.press("Enter")
    await expect(maya.page.get_by_role("combobox", name="Message to deploys")).to_have_value("")
    await received(served, 1)
    assert served.app.received[0]["text"] == ""


async def test_no_table_is_cut_beside_an_open_thread_and_the_newest_message_stays_in_sight(
    served: Served, browser: Browser
) -> None:
    from sandbox.slack.page import sample

    head = sample.fill(served.workspace)
    cells = [
        "q3ef8704e select code, date_trunc($1, taken_at) from observations",
        "0.14 ms",
        "3,000",
        "157 ms",
        "> 99 %",
    ]
    rows = [[{"type": "raw_text", "text": text} for text in (*cells, "10,005", "v1.2.0 d558da")] for _ in range(12)]
    table = {"type": "table", "rows": rows, "column_settings": [{"is_wrapped": True}]}
    async with visit(browser, served.link) as visited:
        page = visited.page
        await page.goto(f"{served.url}/as/maya/deploys/{head}")
        await ready(page)
        served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "a wide one", blocks=[table, *said("the end")])
        await expect(page.get_by_text("the end")).to_be_in_viewport()
        wider = "[...document.querySelectorAll('.b-table')].filter((one) => one.scrollWidth > one.clientWidth).length"
        await page.wait_for_function(f"{wider} === 0")
        assert visited.complaints == []


async def test_on_a_phone_a_wide_table_has_each_row_as_a_paragraph_and_stays_a_table_to_who_listens(
    served: Served, browser: Browser
) -> None:
    head = ["Statement", "Mean", "Calls", "Total", "Share", "Cache", "Rows read"]
    cells = [
        "q3ef8704e select code from observations",
        "0.14 ms",
        "3,000",
        "157 ms",
        "> 99 %",
        "\N{EN DASH}",
        "10,005,000",
    ]
    rows = [[{"type": "raw_text", "text": text} for text in row] for row in (head, cells, ["7", *cells[1:]])]
    table = {"type": "table", "rows": rows, "column_settings": [{"is_wrapped": True}]}
    async with visit(browser, served.link, size=PHONE) as visited:
        page = visited.page
        await page.goto(f"{served.url}/as/maya/deploys")
        await ready(page)
        served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "a wide one", blocks=[table, *said("the end")])
        await expect(page.get_by_text("the end")).to_be_in_viewport()
        shown = page.get_by_role("table").last
        await expect(page.locator(".b-table.folded")).to_have_count(1)
        await page.wait_for_function("Math.max(...[...document.querySelectorAll('.b-table')].map((one) => one.scrollWidth - one.clientWidth)) === 0")  # fmt: skip
        calls = shown.get_by_role("cell", name="3,000").first
        assert await calls.evaluate("(cell) => getComputedStyle(cell, '::before').content") == '"Calls "'
        statement = shown.get_by_role("cell", name="q3ef8704e").first
        assert await statement.get_attribute("data-column") == ""
        await expect(shown.get_by_role("cell", name="Statement 7", exact=True)).to_be_visible()
        await expect(shown.get_by_role("cell", name="\N{EN DASH}")).to_have_count(0)
        await expect(shown.get_by_role("columnheader")).to_have_count(7)
        await page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        await expect(page.locator(".b-table.folded")).to_have_count(0)
        assert visited.complaints == []


async def test_on_a_phone_a_table_that_only_just_does_not_fit_stays_as_it_was_drawn(
    served: Served, browser: Browser
) -> None:
    head = ["Kind", "Name", "State", "Age"]
    rows = [head, ["Deployment", "frontend", "3/3 ready", "12\N{NO-BREAK SPACE}days"], ["Pod", "a", "ready", "now"]]
    async with visit(browser, served.link, size=PHONE) as visited:
        page = visited.page
        await page.goto(f"{served.url}/as/maya/deploys")
        await ready(page)
        for n in range(60):
            name = {
                "type": "rich_text_section",
                "elements": [{"type": "text", "text": "m" * n, "style": {"code": True}}],
            }
            cells = [[{"type": "raw_text", "text": text} for text in row] for row in rows]
            cells[2][1] = {"type": "rich_text", "elements": [name]} if n else cells[2][1]
            table = {
                "type": "table",
                "rows": cells,
                "column_settings": [{}, {"is_wrapped": True}, {"is_wrapped": True}, {}],
            }
            served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, f"table {n}", blocks=[table])
        served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "the end", blocks=said("the end"))
        await expect(page.get_by_text("the end")).to_be_in_viewport()
        folded = page.locator(".b-table.folded")
        first = await folded.count()
        assert 0 < first < 60
        seen = """async () => { const seen = new Set(); for (let frame = 0; frame < 12; frame++) { await new Promise(requestAnimationFrame);
            seen.add([...document.querySelectorAll(".b-table")].map((one) => one.className).join()); } return seen.size; }"""
        assert await page.evaluate(seen) == 1
        assert visited.complaints == []


async def test_an_approval_asks_once_more_and_the_card_changes(served: Served, maya: Visit) -> None:
    page = maya.page
    await page.keyboard.type("/omnicare deploy v2.0.0")
    await page.keyboard.press("Enter")
    await page.locator("#replies").get_by_role("button", name="Approve").click()
    question = page.get_by_role("dialog", name="Deploy v2.0.0 to production?")
    await expect(question).to_contain_text("It starts at once.")
    await question.get_by_role("button", name="Not yet").click()
    await expect(page.locator("#replies").get_by_role("button", name="Approve")).to_be_enabled()
    await page.locator("#replies").get_by_role("button", name="Approve").click()
    await page.keyboard.press("Enter")
    await expect(page.locator("#replies")).to_contain_text("Approved by @Maya Lindqvist")
    await expect(page.locator("#replies").get_by_role("button", name="Approve")).to_have_count(0)
    await expect(page.locator("#replies").get_by_role("img", name="running")).to_be_visible()
    sent = [one["actions"][0]["action_id"] for one in served.app.received if one.get("type") == "block_actions"]
    assert sent == ["approve"]


async def test_the_thread_in_which_a_button_is_answered_opens_for_who_pressed_it(
    served: Served, browser: Browser, maya: Visit
) -> None:
    app = served.workspace.app.user_id
    head = served.workspace.post("C0DEPLOYS", app, "x", blocks=[*served_actions()])
    async with visit(browser, served.link) as other:
        await other.page.goto(f"{served.url}/as/tomas/deploys")
        await ready(other.page)
        thread = maya.page.get_by_role("complementary", name="Thread")
        await maya.page.get_by_role("button", name="Press me").click()
        await received(served, 1)
        await expect(thread).to_be_hidden()
        served.workspace.post("C0DEPLOYS", app, "answered below", thread_ts=head.ts)
        await expect(thread).to_contain_text("answered below")
        await expect(other.page.get_by_text("1 reply").last).to_be_visible()
        await expect(other.page.get_by_role("complementary", name="Thread")).to_be_hidden()


async def test_a_button_waits_visibly_and_takes_no_second_press(served: Served, maya: Visit) -> None:
    served.app.answers.clear()
    served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "x", blocks=[*served_actions()])
    button = maya.page.get_by_role("button", name="Press me")
    await button.click()
    await expect(button).to_be_disabled()
    served.app.answers.set()
    await expect(button).to_be_enabled()
    assert len(served.app.received) == 1


async def test_a_card_that_is_drawn_anew_under_the_finger_is_pressed_all_the_same(served: Served, maya: Visit) -> None:
    bot = served.workspace.app.user_id
    card = served.workspace.post("C0DEPLOYS", bot, "at 1 of 3", blocks=[*served_actions()])
    page = maya.page
    await page.get_by_role("button", name="Press me").hover()
    await page.clock.install()
    await page.clock.pause_at(datetime.now() + timedelta(hours=1))  # noqa: DTZ005 - a finger stays for a second only
    await page.mouse.down()
    changed = served.workspace.update(
        "C0DEPLOYS", card.ts, text="at 2 of 3", blocks=[*said("2 of 3"), *served_actions()]
    )
    served.workspace.tell_of_update(card, changed)
    served.workspace.post("C0DEPLOYS", bot, "another message")
    await asyncio.sleep(0.3)  # the page has been told by now
    await expect(page.get_by_role("log").first).not_to_contain_text("2 of 3")
    await page.mouse.up()
    await page.clock.resume()
    await expect(page.get_by_role("log").first).to_contain_text("2 of 3")
    await expect(page.get_by_role("log").first).to_contain_text("another message")
    await received(served, 1)
    assert [one["type"] for one in served.app.received] == ["block_actions"]
    # who keeps the finger there is shown it all the same
    await page.mouse.down()
    served.workspace.post("C0DEPLOYS", bot, "a third one")
    await expect(page.get_by_role("log").first).to_contain_text("a third one")
    await page.mouse.up()


def said(text: str) -> list[dict[str, object]]:
    return [{"type": "section", "text": {"type": "plain_text", "text": text}}]


def served_actions() -> list[dict[str, object]]:
    label = {"type": "plain_text", "text": "Press me"}
    return [{"type": "actions", "elements": [{"type": "button", "action_id": "x", "text": label}]}]


async def test_a_form_is_filled_and_sent_by_keyboard_alone(served: Served, maya: Visit) -> None:
    page = maya.page
    await page.keyboard.type("/omnicare form")
    await page.keyboard.press("Enter")
    form = page.get_by_role("dialog", name="Deploy a release")
    await expect(form.get_by_label("Release")).to_be_focused()
    await page.keyboard.type("v2.0")
    await expect(form.locator(".combo [aria-selected]")).to_have_text("v2.0.0")
    await page.keyboard.press("Enter")
    await expect(form.get_by_label("Release")).to_have_value("v2.0.0")
    await form.get_by_role("button", name="Plan it").focus()
    await page.keyboard.press("Enter")
    await expect(form.get_by_role("alert").filter(has_text="Please complete")).to_have_count(1)
    await expect(form.get_by_label("Reason")).to_be_focused()
    await page.keyboard.type("the fix of the labels")
    await form.get_by_role("button", name="Plan it").focus()
    await page.keyboard.press("Enter")
    await expect(form).to_be_hidden()
    values = served.app.received[-1]["view"]["state"]["values"]
    assert values["version"]["version"]["selected_option"]["value"] == "v2.0.0"
    assert values["reason"]["text"]["value"] == "the fix of the labels"


async def test_escape_closes_the_form_and_the_thread(served: Served, maya: Visit) -> None:
    page = maya.page
    await page.keyboard.type("/omnicare form")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Deploy a release")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Deploy a release")).to_be_hidden()
    async with asyncio.timeout(60):
        while served.workspace.modals_of("maya"):  # noqa: ASYNC110 - what is looked at is in another server
            await asyncio.sleep(0.02)


async def test_jumping_by_keyboard_goes_to_another_channel_and_another_person(maya: Visit) -> None:
    page = maya.page
    await page.keyboard.press("Control+k")
    await page.keyboard.type("incid")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="incidents").first).to_be_visible()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("tomas")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="You are Tomas Okafor")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/as/tomas/incidents$"))


async def test_two_tabs_are_two_people(served: Served, maya: Visit) -> None:
    other = await maya.context.new_page()
    await other.goto(f"{served.url}/as/tomas/deploys")
    await ready(other)
    await maya.page.bring_to_front()
    await maya.page.get_by_role("combobox", name="Message to deploys").click()
    await maya.page.keyboard.type("hello <@Tomas> & *all*")
    await maya.page.keyboard.press("Enter")
    await expect(other.get_by_role("log").first).to_contain_text("hello <@Tomas> & all")
    await expect(other.get_by_role("article", name="Maya Lindqvist")).to_be_visible()


async def test_a_message_marked_as_seen_by_one_person_only(served: Served, maya: Visit) -> None:
    served.workspace.post_ephemeral("C0DEPLOYS", "U0MAYA", "for your eyes")
    await expect(maya.page.get_by_text("Only visible to you")).to_be_visible()


async def test_the_world_rolls_before_ones_eyes(served: Served, maya: Visit) -> None:
    page = maya.page
    await page.get_by_role("button", name="World").click()
    world = page.get_by_role("dialog", name="World")
    await expect(world.get_by_role("img", name="v1.2.0")).to_have_count(8)
    await world.get_by_role("button", name="Lose an image").click()
    await expect(world.get_by_role("img", name="ImagePullBackOff")).to_be_visible()
    await expect(page.locator(".toast")).to_contain_text("can't pull its image")


async def test_by_thumb_the_world_is_closed_again(served: Served, browser: Browser) -> None:
    async with visit(browser, served.link, size=PHONE, touch=True) as phone:
        await ready(phone.page)
        await phone.page.get_by_role("button", name="World", exact=True).tap()
        await phone.page.get_by_role("button", name="Close the World").tap()
        await expect(phone.page.get_by_role("dialog", name="World")).to_be_hidden()


async def test_what_is_broken_puts_the_command_that_shows_it_into_the_message_box(maya: Visit) -> None:
    page = maya.page
    await page.get_by_role("button", name="World").click()
    await page.get_by_role("button", name="Crash a pod").click()
    await expect(page.get_by_role("combobox", name="Message to deploys")).to_have_value("/omnicare pods")


async def test_what_is_lost_is_said_and_comes_back_by_itself(served: Served, maya: Visit) -> None:
    page = maya.page
    await page.context.set_offline(True)
    for subscription in tuple(served.workspace.subscriptions):
        subscription.close()
    await expect(page.get_by_text("The page has lost its connection.")).to_be_visible()
    served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "said meanwhile")
    await page.context.set_offline(False)
    await expect(page.get_by_role("log").first).to_contain_text("said meanwhile")
    await expect(page.get_by_text("The page has lost its connection.")).to_be_hidden()
    maya.complaints.clear()  # the browser complains of every attempt while there is no network


async def test_older_messages_come_when_one_scrolls_up(served: Served, maya: Visit) -> None:
    for at in range(250):
        served.workspace.post("C0GENERAL", "U0INES", f"message {at:03}")
    page = maya.page
    await page.get_by_role("link", name="general").click()
    await expect(page.get_by_text("message 249")).to_be_in_viewport()
    await page.locator("#scroll").evaluate("(box) => (box.scrollTop = 0)")
    await expect(page.get_by_text("message 149")).to_have_count(1)
    await page.locator("#scroll").evaluate("(box) => (box.scrollTop = 0)")
    await expect(page.get_by_text("message 000")).to_have_count(1)
    await expect(page.locator("#older")).to_have_count(0)


@pytest.mark.parametrize("dark", [False, True])
async def test_a_phone_shows_everything_without_scrolling_sideways(
    served: Served, browser: Browser, dark: bool
) -> None:
    from sandbox.slack.page import sample

    head = sample.fill(served.workspace)
    async with visit(browser, served.link, size=PHONE, dark=dark) as phone:
        page = phone.page
        await ready(page)
        for path in ("deploys", f"deploys/{head}", "general", "~omnicare/home"):
            await page.goto(f"{served.url}/as/maya/{path}")
            await fits(page, PHONE[0])
        await page.goto(f"{served.url}/as/maya/deploys/{head}")
        await expect(page.get_by_role("complementary", name="Thread")).to_be_in_viewport(ratio=0.9)
        await page.get_by_role("link", name="Close the thread").click()
        await page.get_by_role("button", name="Channels").click()
        await page.get_by_role("link", name="incidents").click()
        await expect(page.get_by_role("heading", name="incidents").first).to_be_in_viewport()
        assert phone.complaints == []


async def test_colours_are_chosen_and_kept(maya: Visit) -> None:
    page = maya.page
    await page.get_by_role("radio", name="Dark").click()
    await page.reload()
    await expect(page.get_by_role("radio", name="Dark")).to_have_attribute("aria-checked", "true")
    scheme = await page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert scheme == "dark"


async def test_a_thing_to_try_is_put_into_the_composer(maya: Visit) -> None:
    await maya.page.get_by_role("button", name="Try it").first.click()
    await expect(maya.page.get_by_role("combobox", name="Message to deploys")).to_have_value("/omnicare status")


async def test_shortcuts_are_in_a_messages_menu_and_beside_the_message_box(served: Served, maya: Visit) -> None:
    page, posted = maya.page, served.workspace.post("deploys", "tomas", "The backend is slow")
    row = page.locator("#messages .message", has_text="The backend is slow")
    await row.locator(".message-body").hover()
    await row.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Run a command here").click()
    await expect(page.locator("#message-menu")).to_be_hidden()
    await page.get_by_role("button", name="Shortcuts").first.click()
    await expect(page.locator("#shortcut-menu")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator("#shortcut-menu")).to_be_hidden()
    await received(served, 2)
    kinds = [(each["type"], each["callback_id"]) for each in served.app.received if "callback_id" in each]
    assert kinds == [("message_action", "omnicare_thread"), ("shortcut", "omnicare_menu")]
    assert served.app.received[0]["message"]["ts"] == posted.ts
