"""Finding the bot's own messages again: after a crash nobody knows whether a message was posted.

Run and slot stand in the message's metadata. Any app may write any metadata, so only messages of this very bot count.
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

from bot.boundary.outbound import Posted, SurfaceGone
from bot.surfaces.slack.json_path import at, list_at, text_at
from bot.surfaces.slack.transport.web_api import Self, SlackApi

METADATA = "omnicare_run"
ANSWER = "omnicare_answer"
"""Of a public answer: the command that it answers, for follow-ups in its thread."""
_PAGES = 10
_PAGE = 200


class ThreadTooLong(Exception):
    """A thread has more messages than are read."""


class OwnMessageSubject(NamedTuple):
    """What a message of the bot's own is about: a command as typed, or a run."""

    typed: str
    run: str
    by: str = ""
    """The account that asked; empty for a run, and in a message of the version before."""
    service: str = ""
    """That the answer is about, where the command did not say it."""


class OwnMessages:
    """Looks through a channel or a thread, newest pages first, and not without end."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api

    async def message(self, run: str, slot: str, *, channel: str, thread: str | None) -> Posted | None:
        """Return the message of that slot, if it is there."""
        wanted = {"run": run, "slot": slot}
        async for message in self._own(channel, thread):
            if at(message, "metadata", "event_type") == METADATA and at(message, "metadata", "event_payload") == wanted:
                return Posted(channel=channel, ts=text_at(message, "ts") or "")
        return None

    async def file(self, name: str, *, channel: str, thread: str) -> bool:
        """Return whether a file of that name, which nobody guesses, stands in the thread and is ours."""
        async for message in self._own(channel, thread):
            if any(at(file, "name") == name for file in list_at(message, "files")):
                return True
        return False

    async def asked(self, *, channel: str, thread: str) -> list[OwnMessageSubject]:
        """Return what the bot's messages in the thread are about, oldest first. Raises `ThreadTooLong`, or what Slack raises.

        Slack gives a thread's oldest messages first, and the newest ones say what it is about.
        """
        me, left = await self._api.myself(), _PAGES
        about: list[OwnMessageSubject] = []
        async for page in self._api.pages(
            "conversations.replies", channel=channel, ts=thread, limit=_PAGE, include_all_metadata="true"
        ):
            if not left:
                raise ThreadTooLong
            left -= 1
            for message in list_at(page, "messages"):
                kind, payload = at(message, "metadata", "event_type"), at(message, "metadata", "event_payload")
                typed, run = text_at(payload, "typed") or "", text_at(payload, "run") or ""
                if _is_mine(message, me) and ((kind == ANSWER and typed) or (kind == METADATA and run)):
                    by, service = text_at(payload, "by") or "", text_at(payload, "service") or ""
                    about.append(
                        OwnMessageSubject(typed, "", by, service) if kind == ANSWER else OwnMessageSubject("", run)
                    )
        return about

    async def _own(self, channel: str, thread: str | None) -> AsyncIterator[object]:
        me, left = await self._api.myself(), _PAGES
        method, where = ("conversations.history", {}) if thread is None else ("conversations.replies", {"ts": thread})
        try:
            async for page in self._api.pages(
                method, channel=channel, limit=_PAGE, include_all_metadata="true", **where
            ):
                for message in list_at(page, "messages"):
                    if _is_mine(message, me):
                        yield message
                left -= 1
                if not left:
                    return
        except SurfaceGone as error:
            if "thread_not_found" not in str(error):
                raise


def _is_mine(message: object, me: Self) -> bool:
    """Return whether the message is the bot's, by the ids that Slack itself sets; anybody may choose names and metadata."""
    return at(message, "bot_id") == me.bot if me.bot else at(message, "user") == me.user
