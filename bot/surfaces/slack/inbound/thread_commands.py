"""What was asked in a thread before a follow-up: read from the bot's own messages in it, so that nothing is kept in the process.

A thread in which Slack lets the bot read nothing, or not in time, tells nothing, and the follow-up says so: a query is then read as if typed
elsewhere, and what changes something has to name its environment.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.boundary.inbound import Inbound
from bot.surfaces.slack.inbound.payloads import SlackAct
from bot.surfaces.slack.outbound.own_messages import OwnMessages, OwnMessageSubject

_log = logging.getLogger(__name__)

_DEADLINE = 1.0
"""Seconds: what changes something is acknowledged after this, and Slack waits three."""
_MOST = 10
_RUNS = 3

TypedForRun = Callable[[str], Awaitable[tuple[str, str] | None]]
"""A run's id → what it was asked for with, and the key of who asked; None where there is no such run."""


class ThreadCommands:
    """One for the life of the process."""

    def __init__(self, messages: OwnMessages, typed_for: TypedForRun | None) -> None:
        self._messages = messages
        self._typed_for = typed_for

    async def noted(self, act: SlackAct) -> Inbound:
        """Return what came in; with the commands of its thread, newest first, where it was typed in one."""
        inbound, origin = act.inbound, act.origin
        if not inbound.text or inbound.drawn or not origin.in_thread or origin.channel is None or origin.thread is None:
            return inbound
        try:
            async with asyncio.timeout(_DEADLINE):
                found = await self._found(origin.channel, origin.thread)
        except Exception as error:  # noqa: BLE001 - whatever it was: the follow-up is acknowledged, and read alone
            _log.warning("a thread could not be read: %s", type(error).__name__)
            return replace(inbound, thread_unread=True)
        newest = next(iter(found.values()), None)
        return replace(
            inbound,
            thread_commands=tuple(found)[:_MOST],
            thread_found=tuple((typed, each.service) for typed, each in found.items() if each.service),
            thread_asked_by=newest.by if newest is not None else "",
        )

    async def _found(self, channel: str, thread: str) -> Mapping[str, OwnMessageSubject]:
        """Return what was asked, newest first, with what was noted of its newest answer."""
        found: dict[str, OwnMessageSubject] = {}
        runs: set[str] = set()
        for asked in reversed(await self._messages.asked(channel=channel, thread=thread)):
            if asked.typed:
                found.setdefault(asked.typed, asked)
            elif self._typed_for is not None and asked.run not in runs and len(runs) < _RUNS:
                runs.add(asked.run)
                if (known := await self._typed_for(asked.run)) is not None:
                    typed, by = known
                    found.setdefault(typed, OwnMessageSubject(typed, asked.run, by))
        return found
