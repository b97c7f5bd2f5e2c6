"""Finding the bot's own messages again: after a crash nobody knows whether a message was posted.

Run and slot stand in the message's metadata. Any app may write any metadata, so only messages of this very bot count.
"""

from collections.abc import AsyncIterator
from typing import Any

from bot.inbound import Posted, SurfaceGone
from bot.surfaces.slack.transport.web_api import Self, SlackApi

METADATA = "omnicare_run"
_PAGES = 10
_PAGE = 200


class OwnMessages:
    """Looks through a channel or a thread, newest pages first, and not without end."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api

    async def message(self, run: str, slot: str, *, channel: str, thread: str | None) -> Posted | None:
        """The message of that slot, if it is there."""
        wanted = {"run": run, "slot": slot}
        async for message in self._own(channel, thread):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == METADATA and metadata.get("event_payload") == wanted:
                return Posted(channel=channel, ts=str(message["ts"]))
        return None

    async def file(self, name: str, *, channel: str, thread: str) -> bool:
        """Whether a file of that name, which nobody guesses, stands in the thread and is ours."""
        async for message in self._own(channel, thread):
            if any(file.get("name") == name for file in message.get("files") or ()):
                return True
        return False

    async def _own(self, channel: str, thread: str | None) -> AsyncIterator[dict[str, Any]]:
        me = await self._api.myself()
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._page(channel, thread, cursor)
            for message in page.get("messages", ()):
                if _is_mine(message, me):
                    yield message
            cursor = page.get("response_metadata", {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _page(self, channel: str, thread: str | None, cursor: str | None) -> dict[str, Any]:
        asked: dict[str, Any] = {"channel": channel, "limit": _PAGE, "include_all_metadata": "true", "cursor": cursor}
        if thread is None:
            return await self._api.read("conversations.history", **asked)
        try:
            return await self._api.read("conversations.replies", ts=thread, **asked)
        except SurfaceGone as error:
            if "thread_not_found" in str(error):
                return {}
            raise


def _is_mine(message: dict[str, Any], me: Self) -> bool:
    """By the ids that Slack itself puts there; names and metadata anybody may choose."""
    if me.bot:
        return message.get("bot_id") == me.bot
    return message.get("user") == me.user
