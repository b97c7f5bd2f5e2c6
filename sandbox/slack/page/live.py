"""The stream: what changes is rendered again and sent to the tabs that show it.

A tab subscribes when its page is rendered, so nothing is lost between the page and the stream's beginning. Messages are
small JSON objects: `put` a piece with an id (insert it in order if it is new), `drop` it, `swap` the inside of a
standing place, `go` to an address.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from sandbox.slack.model import Event, Message, Refused
from sandbox.slack.page import fragments
from sandbox.slack.page.desk import Desk, Place, ReadMarks
from sandbox.slack.page.fragments import Look, Setting
from sandbox.slack.page.rendering import dom_id
from sandbox.slack.workspace import Subscription, Workspace

UNCLAIMED = 60.0  # seconds that a rendered page may take until its stream begins
FOLLOW = 60.0  # seconds after a command in which a thread that it starts is opened
_TOGETHER = 0.03  # seconds in which what comes is sent together

Order = dict[str, Any]


@dataclass(slots=True, eq=False)
class Tab:
    """One tab of a browser: who it is, where it looks, what it was sent."""

    id: str
    person: str
    zone: str
    look: Look
    subscription: Subscription
    made: float = field(default_factory=time.monotonic)
    claimed: bool = False
    follow_after: str = ""
    follow_thread: str = ""
    follow_until: float = 0.0
    world_changed: asyncio.Event = field(default_factory=asyncio.Event)
    standing: dict[str, str] = field(default_factory=dict)


class Tabs:
    """All tabs. Those whose stream never began are forgotten after a while."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._tabs: dict[str, Tab] = {}

    def open(self, person: str, zone: str, look: Look) -> Tab:
        now = time.monotonic()
        for old in [tab for tab in self._tabs.values() if not tab.claimed and tab.made + UNCLAIMED < now]:
            self.close(old)
        tab = Tab(secrets.token_urlsafe(12), person, zone, look, self._workspace.subscribe(person))
        self._tabs[tab.id] = tab
        return tab

    def get(self, tab_id: str) -> Tab | None:
        return self._tabs.get(tab_id)

    def close(self, tab: Tab) -> None:
        tab.subscription.close()
        self._tabs.pop(tab.id, None)

    def all(self) -> list[Tab]:
        return list(self._tabs.values())

    def world_changed(self) -> None:
        for tab in self._tabs.values():
            tab.world_changed.set()

    def typed(self, tab_id: str, ts: str) -> None:
        """A command was typed there: the next thread that the app starts in that channel is opened there."""
        if (tab := self._tabs.get(tab_id)) is not None:
            tab.follow_after, tab.follow_thread, tab.follow_until = ts, "", time.monotonic() + FOLLOW

    def pressed(self, tab_id: str, head: str) -> None:
        """A button was pressed there, of the message `head` or in its thread: where the app answers in that thread, it is opened there."""
        if (tab := self._tabs.get(tab_id)) is not None:
            tab.follow_after, tab.follow_thread, tab.follow_until = "", head, time.monotonic() + FOLLOW


class Stream:
    """The stream of one tab."""

    def __init__(self, workspace: Workspace, setting: Setting, marks: ReadMarks, tab: Tab) -> None:
        self._workspace, self._setting, self._marks, self._tab = workspace, setting, marks, tab

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Until the tab goes away."""
        tasks = [
            asyncio.create_task(self._send_changes(socket)),
            asyncio.create_task(self._send_world(socket)),
            asyncio.create_task(self._listen(socket)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                    raise outcome

    def _desk(self) -> Desk:
        return Desk.of(self._workspace, self._tab.person, self._marks, self._tab.zone)

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                return
            with suppress(ValueError, Refused, AttributeError):
                seen = str(json.loads(message.data).get("seen", ""))
                self._read(seen)

    def _read(self, ts: str) -> None:
        """The person looked at the channel up to here: its name is bold no more, in any of their tabs."""
        channel = self._desk().find(self._tab.look.place).channel
        if ts and self._marks.seen(self._tab.person, channel.id, ts):
            self._workspace.announce("channel_changed", channel=channel.id, person=self._tab.person)

    async def _send_world(self, socket: web.WebSocketResponse) -> None:
        while True:
            parts = {"world-body": fragments.world(self._setting), "world-nights": fragments.nights(self._setting)}
            for order in [order for name, html in parts.items() for order in self._standing(name, html)]:
                await socket.send_json(order)
            if (welcome := self._welcome(self._desk())) is not None:
                await socket.send_json(welcome)
            await self._tab.world_changed.wait()
            self._tab.world_changed.clear()
            await asyncio.sleep(_TOGETHER)

    async def _send_changes(self, socket: web.WebSocketResponse) -> None:
        async for events in _gathered(self._tab.subscription):
            for order in self.orders(events):
                await socket.send_json(order)

    def orders(self, events: list[Event]) -> list[Order]:
        """What the tab is told of these events: each message once, however often it changed."""
        desk, look = self._desk(), self._tab.look
        try:
            place = desk.find(look.place)
        except Refused:
            return [{"op": "go", "url": f"{desk.reader.base}/"}]
        orders: list[Order] = []
        touched: dict[tuple[str, str], bool] = {}
        for event in events:
            if event.kind.startswith(("message", "ephemeral")) and event.channel == place.channel.id:
                posted = event.kind.endswith("posted")
                touched[event.ts, event.thread_ts] = touched.get((event.ts, event.thread_ts), False) or posted
        for (ts, thread_ts), posted in touched.items():
            orders += self._message(desk, place, ts, thread_ts, posted=posted)
        kinds: set[str] = {event.kind for event in events}
        orders += self._parts(desk, place, kinds)
        orders += self._follow(desk, place, events)
        return orders

    def _message(self, desk: Desk, place: Place, ts: str, thread_ts: str, *, posted: bool) -> list[Order]:
        orders: list[Order] = []
        in_channel = desk.messages(place.channel)
        lists = [("m", "messages", in_channel)]
        if self._tab.look.thread and self._tab.look.thread in {ts, thread_ts}:
            lists.append(("t", "replies", desk.thread(place.channel, self._tab.look.thread)))
        for where, list_id, messages in lists:
            own_key = f"{where}-{place.channel.id}-{dom_id(ts)}"
            shown = desk.show_one(messages, ts)
            if shown is None:
                orders.append({"op": "drop", "id": own_key})
                orders += self._following(desk, messages, ts, where, list_id)
                continue
            html = str(fragments.message(desk, shown, where))
            orders.append({"op": "put", "id": own_key, "list": list_id, "order": ts, "html": html, "new": posted})
        return orders

    def _following(self, desk: Desk, messages: list[Message], ts: str, where: str, list_id: str) -> list[Order]:
        """What stood after a message that went away may have to show its author or day now."""
        following = next((one for one in messages if one.ts > ts), None)
        shown = desk.show_one(messages, following.ts) if following else None
        if shown is None:
            return []
        html = str(fragments.message(desk, shown, where))
        key = fragments.message_id(shown.message, where)
        return [{"op": "put", "id": key, "list": list_id, "order": shown.message.ts, "html": html, "new": False}]

    def _parts(self, desk: Desk, place: Place, kinds: set[str]) -> list[Order]:
        look = self._tab.look
        orders = [*self._standing("side", fragments.navigation(desk, look))]
        if any(kind.startswith("view") for kind in kinds):
            orders.append({"op": "modal", "html": str(fragments.modal(desk))})
        if "home_published" in kinds and look.home:
            orders.append({"op": "swap", "id": "home", "html": str(fragments.home(desk))})
        if kinds & {"presence", "channel_changed"}:
            orders += self._standing("app-status", fragments.status(desk))
        if fragments.is_first(desk, place) and (welcome := self._welcome(desk)) is not None:
            orders.append(welcome)
        if look.thread:
            replies = self._workspace.replies(place.channel, look.thread)
            orders += self._standing("thread-count", fragments.reply_count(replies))
        return orders

    def _standing(self, name: str, html: str) -> list[Order]:
        """Send a standing part only if it is another than the one sent before."""
        if self._tab.standing.get(name) == html:
            return []
        self._tab.standing[name] = html
        return [{"op": "swap", "id": name, "html": str(html)}]

    def _welcome(self, desk: Desk) -> Order | None:
        if not self._setting.tries:
            return None
        orders = self._standing("welcome", fragments.welcome(desk, self._setting))
        return orders[0] if orders else None

    def _follow(self, desk: Desk, place: Place, events: list[Event]) -> list[Order]:
        """Open the thread that the person's command started, or in which the button is answered that they pressed."""
        tab = self._tab
        if time.monotonic() > tab.follow_until:
            return []
        for event in events:
            if event.kind != "message_posted" or event.channel != place.channel.id or not event.thread_ts:
                continue
            head = self._head(event)
            if head is None or head.user != self._workspace.app.user_id:
                continue
            if head.ts == tab.follow_thread or (tab.follow_after and head.ts > tab.follow_after):
                tab.follow_after = tab.follow_thread = ""
                if tab.look.thread == head.ts:
                    return []  # it is open
                return [{"op": "go", "url": f"{desk.reader.base}/{place.path}/{head.ts}"}]
        return []

    def _head(self, event: Event) -> Message | None:
        try:
            return self._workspace.message(event.channel, event.thread_ts)
        except Refused:
            return None


async def _gathered(subscription: Subscription) -> AsyncIterator[list[Event]]:
    """Events as they come, those of the same moment together."""
    queue = subscription.queue
    while (event := await queue.get()) is not None:
        events = [event]
        await asyncio.sleep(_TOGETHER)
        while not queue.empty():
            more = queue.get_nowait()
            if more is None:
                yield events
                return
            events.append(more)
        yield events


def stream_handler(
    workspace: Workspace, setting: Setting, marks: ReadMarks, tabs: Tabs
) -> Callable[[web.Request], Any]:
    """A tab claims its stream once; one that is not known any more is told to load the page again."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=4096)
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response()  # the tab has gone; aiohttp drops this answer without a traceback
        tab = tabs.get(request.match_info["tab"])
        if tab is None or tab.claimed:
            with suppress(ConnectionError):  # the tab may have gone
                await socket.send_json({"op": "stale"})
                await socket.close()
            return socket
        tab.claimed = True
        try:
            await Stream(workspace, setting, marks, tab).run(socket)
        finally:
            tabs.close(tab)
            await socket.close()
        return socket

    return handle
