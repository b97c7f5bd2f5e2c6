"""The thread's workflow: the messages of one request, posted and edited in order, each once.

It is a workflow of its own, so that no run ever waits for Slack: the request and the run send it what to show, and it keeps at it
until Slack has it. What piles up while Slack is away is thinned to the newest of each message before it is sent.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from bot.boundary.outbound import Messenger, Posted, SurfaceGone
from bot.process import crash_points
from bot.runs.display import Display
from bot.runs.engine import Engine
from bot.runs.model import Request, Show
from bot.runs.thread.backlog import caught_up
from commands.kit.card import Card
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode

_log = logging.getLogger(__name__)

HEAD = "head"
_LONGEST_PAUSE = 30.0
"""Seconds between two tries while Slack is away."""
_SLOW = 5.0
"""Seconds: a delivery that took longer met an outage, so what waits behind it is thinned."""


class Threads:
    """The workflow `thread`."""

    def __init__(
        self, *, engine: Engine, messenger: Messenger | None, display: Display, channels: Mapping[str, str | None]
    ) -> None:
        """`channels`: environment → its own channel."""
        self._engine = engine
        self._messenger = messenger
        self._display = display
        self._own_channels = channels

    async def workflow(self, raw: Any) -> None:
        """Input: the request and its first head card. Ends when it is told to close."""
        request = Request.model_validate(raw["request"])
        kept: dict[str, Posted] = {}
        slow = await self._show(request, kept, Show(slot=HEAD, card=Card.model_validate(raw["head"])))
        waiting: list[Any] = []
        while True:
            message = waiting.pop(0) if waiting else await self._engine.receive(timeout=86400.0)
            if message is None:
                continue
            if slow:
                waiting = caught_up([message, *waiting, *await self._rest()], kept)
                message = waiting.pop(0)
            if message["kind"] == "close":
                self._display.forget(request.id)
                return
            show = Show.model_validate(message)
            if any(later["kind"] == "show" and later["slot"] == show.slot for later in waiting):
                continue  # a newer state of the same message is there already
            slow = await self._show(request, kept, show)

    async def _rest(self) -> list[Any]:
        found = []
        while (message := await self._engine.receive(timeout=0.0)) is not None:
            found.append(message)
        return found

    async def _show(self, request: Request, kept: dict[str, Posted], show: Show) -> bool:
        """Deliver one message as a recorded step; return whether that was slow."""
        before = kept.get(show.slot)

        async def deliver() -> Any:
            began = asyncio.get_running_loop().time()
            crash_points.reached(f"{show.slot}-posting")
            posted = await self._deliver(request, show, before, kept.get(HEAD))
            crash_points.reached(f"{show.slot}-posted")
            took = asyncio.get_running_loop().time() - began
            return {"posted": posted.model_dump() if posted else None, "slow": took > _SLOW}

        result = await self._engine.step(f"show {show.slot}", deliver)
        if result["posted"] is not None:
            posted = Posted.model_validate(result["posted"])
            kept[show.slot] = posted
            self._display.posted(request.id, show.slot, posted)
        return bool(result["slow"])

    async def _deliver(self, request: Request, show: Show, before: Posted | None, head: Posted | None) -> Posted | None:
        """Deliver the message and return where it is; None where Slack has no place for it."""
        search = await self._engine.recovered(f"{request.id}.thread")
        channels = self._channels(request, head)
        closed: Posted | None = None
        while True:
            try:
                posted = await self._once(request, show, before, head, channels, search=search)
                if posted is not None and posted == closed:
                    raise SurfaceGone("found where it can't be changed any more")  # noqa: TRY301 - it is gone all the same
            except SurfaceGone:
                if show.direct is not None or not channels:
                    return None
                if before is not None:
                    closed, before = before, None  # deleted, or in a channel that was archived: say it again
                elif head is not None and channels[0] == head.channel:
                    head = None  # the thread's first message is gone: say it in the channel
                else:
                    channels = channels[1:]  # archived, or the bot was removed
                search = True
            except RunbookError as error:
                again = await self._again(error, request, show, searched=search)
                if again is None:
                    return None
                search = again
            else:
                return posted

    async def _again(self, error: RunbookError, request: Request, show: Show, *, searched: bool) -> bool | None:
        """Return whether the message is to be looked for before the next try; None where another try helps nobody."""
        extra = {"run": request.id, "slot": show.slot}
        if isinstance(error, TemporaryError):
            _log.info("Slack is away, the message waits", extra=extra)
            await asyncio.sleep(min(max(error.retry_after, 0.1), _LONGEST_PAUSE))
            return True  # it may have arrived all the same
        # A refusal that nobody foresaw costs this message at most, and not the thread with all that comes after it.
        _log.error("Slack refuses a message: %s", error, extra=extra)
        return False if searched else None

    async def _once(
        self,
        request: Request,
        show: Show,
        before: Posted | None,
        head: Posted | None,
        channels: list[str],
        *,
        search: bool,
    ) -> Posted | None:
        messenger = self._messenger
        if messenger is None:  # a bot without Slack for now: the next one that has it posts
            raise TemporaryError("There is no Slack", code=ReasonCode.TIMED_OUT, retry_after=_LONGEST_PAUSE)
        if show.direct is not None:
            if show.absent_only and channels and await messenger.in_channel(channels[0], show.direct):
                return None
            return await messenger.direct(request.id, show.slot, show.direct, show.card, search=search)
        if before is not None:
            await messenger.edit(before, request.id, show.slot, show.card)
            return before
        if not channels:
            return None
        in_thread = show.slot != HEAD and head is not None and channels[0] == head.channel
        thread = head.ts if in_thread and head is not None else None
        return await messenger.post(
            request.id,
            show.slot,
            show.card,
            channel=channels[0],
            thread=thread,
            broadcast=show.broadcast and thread is not None,
            search=search,
        )

    def _channels(self, request: Request, head: Posted | None) -> list[str]:
        """Return the channels for the message, the best first: the thread's own, then the environment's."""
        own = self._own_channels[request.environment]
        return list(dict.fromkeys(filter(None, (head.channel if head else None, request.channel, own))))
