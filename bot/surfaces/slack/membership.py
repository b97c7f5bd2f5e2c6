"""Who is where: whether the bot is in a channel, because a run needs a thread of its own there, and who sees what it posts."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import replace

from bot.boundary.inbound import ParsedInbound
from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.json_path import at, list_at
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.transport.web_api import SlackApi
from runbooks.kit.errors import RunbookError

_log = logging.getLogger(__name__)

_KEPT = 60.0
_DEADLINE = 1.0
_REMEMBERED = 2048


class BotMembership:
    """Remembers memberships for a while; a "no" is never remembered, because the next thing a person does is to invite the bot."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._member: OrderedDict[str, float] = OrderedDict()

    async def is_member(self, origin: Origin) -> bool:
        """Return whether the bot is in the channel; yes where Slack does not say, because then posting will tell."""
        channel = origin.channel
        if channel is None or origin.direct:
            return True
        now = asyncio.get_running_loop().time()
        if origin.mentioned:
            self._note(channel, now)
            return True
        if now - self._member.get(channel, -1e9) < _KEPT:
            return True
        try:
            async with asyncio.timeout(_DEADLINE):
                said = await self._api.read("conversations.info", channel=channel)
        except SurfaceGone:
            return False
        except (TimeoutError, RunbookError) as error:
            _log.warning("Slack did not say whether the bot is in a channel: %s", type(error).__name__)
            return True
        if not at(said, "channel", "is_member"):
            return False
        self._note(channel, now)
        return True

    async def noted(self, origin: Origin, parsed: ParsedInbound) -> ParsedInbound:
        """Return the same with a note where the bot is not in the channel."""
        if await self.is_member(origin):
            return parsed
        elsewhere = parsed.inbound.place.model_copy(update={"member": False})
        return replace(parsed, inbound=replace(parsed.inbound, place=elsewhere))

    def _note(self, channel: str, now: float) -> None:
        self._member[channel] = now
        self._member.move_to_end(channel)
        while len(self._member) > _REMEMBERED:
            self._member.popitem(last=False)


class ChannelMembers:
    """The people in a channel, remembered for a minute: they join and leave seldom."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def of(self, channel: str) -> frozenset[str]:
        """Return the members' Slack ids."""
        now = asyncio.get_running_loop().time()
        at, members = self._known.get(channel, (-1e9, frozenset()))
        if now - at < _KEPT:
            return members
        found: set[str] = set()
        async for page in self._api.pages("conversations.members", channel=channel, limit=1000):
            found.update(map(str, list_at(page, "members")))
        self._known[channel] = (now, frozenset(found))
        return self._known[channel][1]
