"""What a person does in the page: type, click, submit, close; and what they do to the world.

A request says which control was used; what the control means is taken from the workspace, never from the request.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.slack.model import Json, Outcome, Refused
from sandbox.slack.page.desk import Desk
from sandbox.slack.page.live import Tabs
from sandbox.slack.page.world import World
from sandbox.slack.workspace import Workspace

_SENTENCES = {
    "operation_timeout": "The app did not answer within 3 seconds. It may still do what was asked: look before pressing again.",
    "dispatch_failed": "The app is not connected, so it did not hear of this.",
    "not_in_channel": "You are not a member of this channel.",
    "channel_not_found": "There is no such channel.",
    "message_not_found": "This message is gone.",
    "action_not_found": "This control is gone: the message has changed meanwhile.",
    "is_archived": "This channel is archived.",
    "not_found": "This form is closed already.",
    "push_limit_reached": "Slack shows at most three forms on top of each other.",
}


class Acts:
    """The handlers of everything that is posted."""

    def __init__(self, workspace: Workspace, desk: Callable[[web.Request], Desk], tabs: Tabs, world: World) -> None:
        self._workspace, self._desk, self._tabs, self._world = workspace, desk, tabs, world
        self._verbs: dict[str, Callable[[Desk, Json], Awaitable[Any]]] = {
            "type": self._type,
            "click": self._click,
            "submit": self._submit,
            "close": self._close,
            "suggest": self._suggest,
            "join": self._join,
            "shortcut": self._shortcut,
        }

    async def handle(self, request: web.Request) -> web.Response:
        verb = self._verbs.get(request.match_info["verb"])
        if verb is None:
            raise web.HTTPNotFound
        desk = self._desk(request)
        asked = await _asked(request)
        try:
            outcome = await verb(desk, asked)
        except Refused as refusal:
            return web.json_response(_failed(refusal.error))
        return web.json_response(_answer(outcome) if isinstance(outcome, Outcome) else outcome)

    async def _type(self, desk: Desk, asked: Json) -> Outcome:
        text = str(asked.get("text", "")).strip()
        if not text:
            return Outcome()
        if text.startswith("/"):
            self._tabs.typed(str(asked.get("tab", "")), self._workspace.new_ts())
        return await self._workspace.type(
            desk.person, str(asked.get("channel", "")), text, str(asked.get("thread", "")) or None
        )

    async def _click(self, desk: Desk, asked: Json) -> Outcome:
        action, block, value = str(asked.get("action", "")), str(asked.get("block", "")), asked.get("value")
        values = _values(asked)
        if asked.get("view"):
            return await self._workspace.click_in_view(
                desk.person, str(asked["view"]), action, block, value, state_values=values
            )
        channel, ts = str(asked.get("channel", "")), str(asked.get("ts", ""))
        self._tabs.pressed(str(asked.get("tab", "")), self._head_of(channel, ts))
        return await self._workspace.click(
            desk.person,
            ts,
            channel,
            action,
            block,
            value,
            state_values=values,
        )

    def _head_of(self, channel: str, ts: str) -> str:
        """The message under which an answer to a press of this one would stand."""
        try:
            return self._workspace.message(channel, ts).thread_ts or ts
        except Refused:
            return ts  # an ephemeral one is in no channel

    async def _submit(self, desk: Desk, asked: Json) -> Outcome:
        return await self._workspace.submit_view(desk.person, str(asked.get("view", "")), _values(asked))

    async def _close(self, desk: Desk, asked: Json) -> Outcome:
        return await self._workspace.close_view(desk.person, str(asked.get("view", "")), clear=bool(asked.get("clear")))

    async def _suggest(self, desk: Desk, asked: Json) -> Json:
        offered = await self._workspace.suggest(
            desk.person,
            str(asked.get("action", "")),
            str(asked.get("block", "")),
            str(asked.get("typed", "")),
            view_id=str(asked.get("view", "")),
            channel=str(asked.get("channel", "")),
            message_ts=str(asked.get("ts", "")),
        )
        options = [one for entry in offered for one in entry.get("options", [entry])]
        return {"ok": True, "options": options}

    async def _shortcut(self, desk: Desk, asked: Json) -> Outcome:
        """A global shortcut, or one of a message."""
        name, channel, ts = (str(asked.get(key, "")) for key in ("shortcut", "channel", "ts"))
        if not ts:
            room = self._workspace.channels.get(channel)
            return await self._workspace.shortcut(desk.person, name, room if room and not room.is_im else "")
        if not self._workspace.sees(desk.person.id, self._workspace.channel(channel)):
            raise Refused("channel_not_found")
        self._tabs.pressed(str(asked.get("tab", "")), self._head_of(channel, ts))
        return await self._workspace.message_shortcut(desk.person, channel, ts, name)

    async def _join(self, desk: Desk, asked: Json) -> Outcome:
        channel = self._workspace.channel(str(asked.get("channel", "")))
        if channel.is_private:
            raise Refused("channel_not_found")
        self._workspace.join(desk.person, channel)
        return Outcome()

    async def world(self, request: web.Request) -> web.Response:
        verb, asked = request.match_info["verb"], await _asked(request)
        if verb == "reset":
            await self._world.reset()
            return web.json_response({"ok": True, "said": "Everything is back to what it was at first."})
        offered = {one.name for _, scenarios in self._world.scenario_groups for one in scenarios}
        if verb in ("on", "off") and asked.get("kind") in offered:
            said = await self._world.switch(str(asked["kind"]), on=verb == "on")
            return web.json_response({"ok": True, "said": said})
        kinds = {one.kind for one in self._world.breakages}
        if verb != "break" or asked.get("kind") not in kinds:
            raise web.HTTPNotFound
        return web.json_response({"ok": True, "said": await self._world.break_something(str(asked["kind"]))})


async def _asked(request: web.Request) -> Json:
    try:
        asked = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="This is not JSON.\n") from None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="This is not an object.\n")
    return asked


def _values(asked: Json) -> Json:
    values = asked.get("values")
    return values if isinstance(values, dict) else {}


def _answer(outcome: Outcome) -> Json:
    if outcome.ok or outcome.message is not None:
        # What Slackbot said of a failure is in the channel already.
        return {"ok": True}
    return {**_failed(outcome.error), "errors": dict(outcome.errors)}


def _failed(error: str) -> Json:
    return {"ok": False, "error": error, "said": _SENTENCES.get(error, f"This did not work: {error}.") if error else ""}
