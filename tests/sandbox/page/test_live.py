"""The stream: what happens in the workspace reaches the tabs that show it, once, and nobody else."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from sandbox.slack.page import sample_blocks as cards
from tests.sandbox.page.conftest import Served

Order = dict[str, Any]


class Tab:
    """What a browser's tab does: load the page, open its stream, take the orders."""

    def __init__(self, html: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.html, self.socket = html, socket
        self.orders: list[Order] = []

    async def until(self, **wanted: str) -> Order:
        """The next order that has these words in these places."""
        async with asyncio.timeout(60):
            while True:
                order = await self.socket.receive_json()
                self.orders.append(order)
                if all(word in str(order.get(key, "")) for key, word in wanted.items()):
                    return dict(order)


@asynccontextmanager
async def tab(served: Served, path: str = "/as/maya/deploys", tab_id: str = "") -> AsyncIterator[Tab]:
    html = await served.get(path, headers={"X-Part": "frame"})
    found = re.search(r'data-tab="([^"]+)"', html)
    assert found
    address = f"{served.url}/live/{tab_id or found[1]}"
    async with served.client.ws_connect(address, origin=served.url) as socket:
        yield Tab(html, socket)


def app(served: Served) -> str:
    return served.workspace.app.user_id


async def test_a_message_arrives_in_the_channel_that_shows_it(served: Served) -> None:
    async with tab(served) as maya:
        ts = served.workspace.post("C0DEPLOYS", app(served), "*hello* <script>").ts
        order = await maya.until(op="put")
    assert order["order"] == ts
    assert order["list"] == "messages"
    assert order["new"] is True
    assert "<strong>hello</strong>" in order["html"]
    assert "<script>" not in order["html"]


async def test_nothing_is_lost_between_the_page_and_its_stream(served: Served) -> None:
    html = await served.get("/as/maya/deploys")
    served.workspace.post("C0DEPLOYS", app(served), "in between")
    found = re.search(r'data-tab="([^"]+)"', html)
    assert found
    async with served.client.ws_connect(f"{served.url}/live/{found[1]}", origin=served.url) as socket:
        assert "in between" in (await Tab(html, socket).until(op="put"))["html"]


async def test_an_edit_comes_in_the_old_ones_place(served: Served) -> None:
    ts = served.workspace.post("C0DEPLOYS", app(served), "0 of 3").ts
    async with tab(served) as maya:
        assert "0 of 3" in maya.html
        served.workspace.update("C0DEPLOYS", ts, text="3 of 3")
        order = await maya.until(op="put")
    assert "3 of 3" in order["html"]
    assert order["new"] is False
    assert f'id="{order["id"]}"' in maya.html


async def test_many_edits_of_one_moment_are_sent_once(served: Served) -> None:
    ts = served.workspace.post("C0DEPLOYS", app(served), "start").ts
    async with tab(served) as maya:
        for at in range(50):
            served.workspace.update("C0DEPLOYS", ts, text=f"{at} of 49")
        await maya.until(op="put", html="49 of 49")
    assert sum(order["op"] == "put" for order in maya.orders) == 1


async def test_a_deleted_message_goes_and_the_next_one_shows_its_author(served: Served) -> None:
    first = served.workspace.post("C0DEPLOYS", "U0MAYA", "first").ts
    second = served.workspace.post("C0DEPLOYS", "U0MAYA", "second").ts
    async with tab(served) as maya:
        served.workspace.delete("C0DEPLOYS", first)
        await maya.until(op="drop")
        order = await maya.until(op="put")
    assert order["order"] == second
    assert "grouped" not in order["html"]


async def test_an_ephemeral_message_reaches_one_person_only(served: Served) -> None:
    async with tab(served) as maya, tab(served, "/as/tomas/deploys") as tomas:
        served.workspace.post_ephemeral("C0DEPLOYS", "U0MAYA", "for your eyes")
        assert "Only visible to you" in (await maya.until(op="put"))["html"]
        served.workspace.post("C0DEPLOYS", app(served), "for everybody")
        await tomas.until(op="put", html="for everybody")
    assert not any("for your eyes" in str(order) for order in tomas.orders)


async def test_an_ephemeral_message_is_gone_after_a_reload_but_not_after_a_step_aside(served: Served) -> None:
    served.workspace.post_ephemeral("C0DEPLOYS", "U0MAYA", "for your eyes")
    aside = await served.get("/as/maya/deploys", headers={"X-Part": "frame"})
    assert "for your eyes" in aside
    assert "for your eyes" not in await served.get("/as/maya/deploys")


async def test_a_message_elsewhere_marks_its_channel_as_unread(served: Served) -> None:
    async with tab(served) as maya:
        served.workspace.post("C0INCIDENTS", "U0INES", "<@U0MAYA> look here")
        order = await maya.until(op="swap", id="side", html="has-new")
        assert 'aria-label="1 unread"' in order["html"]
    async with tab(served, "/as/maya/incidents") as maya:
        assert ">New<" in maya.html
        latest = served.workspace.history("C0INCIDENTS")[-1].ts
        await maya.socket.send_json({"seen": latest})
        await maya.until(op="swap", id="side")
    assert "has-new" not in await served.get("/as/maya/deploys")


async def test_the_thread_that_a_command_starts_is_opened(served: Served) -> None:
    async with tab(served) as maya, tab(served, "/as/tomas/deploys") as tomas:
        tab_id = re.search(r'data-tab="([^"]+)"', maya.html)
        assert tab_id
        asked = {"channel": "C0DEPLOYS", "text": "/omnicare deploy v2.0.0", "tab": tab_id[1]}
        assert (await served.post("/act/maya/type", asked))["ok"]
        order = await maya.until(op="go")
        head = served.workspace.history("C0DEPLOYS")[-1].ts
        assert order["url"] == f"/as/maya/deploys/{head}"
        served.workspace.post("C0DEPLOYS", "U0INES", "the end")
        await tomas.until(op="put", html="the end")
    assert not any(order["op"] == "go" for order in tomas.orders)


async def test_a_reply_arrives_in_the_open_thread_and_is_counted(served: Served) -> None:
    head = served.workspace.post("C0DEPLOYS", app(served), "head").ts
    async with tab(served, f"/as/maya/deploys/{head}") as maya:
        served.workspace.post("C0DEPLOYS", app(served), "a reply", thread_ts=head)
        order = await maya.until(op="put", list="replies", html="a reply")
        assert order["new"] is True
        assert (await maya.until(op="swap", id="thread-count"))["html"] == "1 reply"
    counted = [order for order in maya.orders if order["op"] == "put" and order["list"] == "messages"]
    assert "1 reply" in re.sub(r"<[^>]+>", "", counted[-1]["html"])


async def test_a_form_opens_for_the_person_who_asked(served: Served) -> None:
    async with tab(served) as maya, tab(served, "/as/tomas/deploys") as tomas:
        await served.post("/act/maya/type", {"channel": "C0DEPLOYS", "text": "/omnicare form"})
        order = await maya.until(op="modal")
        assert "Deploy a release" in order["html"]
        view = re.search(r'data-modal="([^"]+)"', order["html"])
        assert view
        answer = await served.post("/act/maya/submit", {"view": view[1], "values": {}})
        assert "reason" in dict(answer["errors"])  # type: ignore[call-overload]
        assert not (await served.post("/act/tomas/submit", {"view": view[1], "values": {}}))["ok"]
        await served.post("/act/maya/close", {"view": view[1]})
        assert (await maya.until(op="modal"))["html"] == ""
        served.workspace.post("C0DEPLOYS", "U0INES", "the end")
        await tomas.until(op="put", html="the end")
    assert not any(order["op"] == "modal" for order in tomas.orders)


async def test_what_stands_in_the_form_is_what_the_app_receives(served: Served) -> None:
    await served.post("/act/maya/type", {"channel": "C0DEPLOYS", "text": "/omnicare form"})
    view = served.workspace.modals_of("maya")[-1]
    values = {
        "version": {"version": cards.option("v2.0.0")},
        "services": {"s": ["backend"]},
        "reason": {"text": "because of the fix"},
    }
    assert (await served.post("/act/maya/submit", {"view": view.id, "values": values}))["ok"]
    received = served.app.received[-1]["view"]["state"]["values"]
    assert received["version"]["version"]["selected_option"]["value"] == "v2.0.0"
    assert received["env"]["env"]["selected_option"]["value"] == "production"
    assert [one["value"] for one in received["services"]["s"]["selected_options"]] == ["backend"]
    assert received["reason"]["text"]["value"] == "because of the fix"


async def test_a_select_whose_options_the_app_gives_asks_for_them(served: Served) -> None:
    await served.post("/act/maya/type", {"channel": "C0DEPLOYS", "text": "/omnicare form"})
    view = served.workspace.modals_of("maya")[-1]
    asked = {"view": view.id, "block": "version", "action": "version", "typed": "v2.0"}
    answer = await served.post("/act/maya/suggest", asked)
    assert [one["value"] for one in answer["options"]] == ["v2.0.0", "v2.0.0-bad"]  # type: ignore[attr-defined]


async def test_a_scenario_is_switched_on_and_off_before_everybodys_eyes(served: Served) -> None:
    async with tab(served) as maya:
        await maya.until(op="swap", id="world-nights")
        for name in ("quota", "taint"):
            answer = await served.post("/world/on", {"kind": name})
            assert "Type: /omnicare deploy v2.0.0" in str(answer["said"])
        order = await maya.until(op="swap", id="world-body", html="taint that the backend")
        assert "Switch quota off" in order["html"]
        await served.post("/world/off", {"kind": "quota"})
        order = await maya.until(op="swap", id="world-nights", html='data-switch="quota" aria-checked="false"')
        assert 'data-switch="taint" aria-checked="true"' in order["html"]


async def test_the_world_shows_what_breaks(served: Served) -> None:
    async with tab(served) as maya:
        await maya.until(op="swap", id="world-body")
        answer = await served.post("/world/break", {"kind": "registry"})
        assert "can't pull" in str(answer["said"])
        order = await maya.until(op="swap", id="world-body", html="pod-failed")
    assert "backend-7c9f-x2lq2" in order["html"]


async def test_the_home_tab_is_drawn_when_the_app_publishes_it(served: Served) -> None:
    async with tab(served, "/as/maya/~omnicare/home") as maya:
        assert "What goes on" in maya.html
        served.workspace.publish_home("maya", {"type": "home", "blocks": [cards.section("Something else")]})
        assert "Something else" in (await maya.until(op="swap", id="home"))["html"]


async def test_a_thing_to_try_ticks_itself(served: Served) -> None:
    async with tab(served) as maya:
        assert "try done" not in maya.html
        served.workspace.post("C0DEPLOYS", "U0MAYA", "the status is good")
        assert "try done" in (await maya.until(op="swap", id="welcome", html="try done"))["html"]


async def test_a_stream_that_is_not_known_any_more_is_told_so(served: Served) -> None:
    async with tab(served, tab_id="forgotten") as maya:
        await maya.until(op="stale")
        assert (await maya.socket.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}


async def test_a_long_channel_shows_its_newest_hundred_and_older_ones_when_asked(served: Served) -> None:
    for at in range(1000):
        served.workspace.post("C0GENERAL", "U0MAYA", f"message number {at:04}")
    html = await served.get("/as/maya/general")
    assert "number 0900" in html
    assert "number 0899" not in html
    oldest = re.search(r'data-order="([^"]+)"', html)
    assert oldest
    async with served.client.get(f"{served.url}/as/maya/general/older?before={oldest[1]}") as response:
        answer = await response.json()
    assert "number 0899" in answer["html"]
    assert "number 0799" not in answer["html"]
    assert answer["more"] is True


async def test_leaving_forgets_the_subscription(served: Served) -> None:
    async with tab(served) as maya:
        (subscription,) = served.workspace.subscriptions
        await maya.until(op="swap")
    async with asyncio.timeout(60):
        assert await subscription.queue.get() is None
    assert not served.workspace.subscriptions
