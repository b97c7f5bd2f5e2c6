"""The one place where cards leave: redacted, drawn, and said in plainer words where Slack does not take them as they are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.boundary.accounts import Directory
from bot.boundary.outbound import SurfaceGone
from bot.boundary.redacting import Redact, redacted
from bot.surfaces.slack.render.blocks import DrawnCard, Surface, drawn
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackError, Undrawable
from commands.kit.card import Attachment, Card

T = TypeVar("T")
Send = Callable[[str, list[Block] | None], Awaitable[T]]
"""Sends a text with blocks, or alone."""

_log = logging.getLogger(__name__)

_LARGE = 200_000
"""Characters; more takes tens of milliseconds to look through, so it is done beside the loop."""


class CardSender:
    """Draws and sends."""

    def __init__(self, names: Directory, redact: Redact, *, newest: bool) -> None:
        self._names = names
        self._redact = redact
        self._newest = newest

    async def drawn(self, card: Card, *, surface: Surface = "message") -> DrawnCard:
        """Return the card as it may leave. Raises `Withheld`."""
        size = sum(len(part.content) for part in card.body if isinstance(part, Attachment))
        if size > _LARGE:
            card = await asyncio.to_thread(redacted, card, self._redact)
        else:
            card = redacted(card, self._redact)
        return drawn(card, self._names, newest=self._newest, surface=surface)

    async def send(self, drawing: DrawnCard, card: Card, send: Send[T]) -> T:
        """Send the card; where Slack refuses the blocks, in older blocks, then in words alone."""
        try:
            return await send(drawing.text, drawing.blocks)
        except Undrawable:
            _log.warning("sending a card in plain blocks")
        except SlackError as error:
            raise _refused(error) from error
        plain = drawn(redacted(card, self._redact), self._names, newest=False)
        try:
            return await send(plain.text, plain.blocks)
        except SlackError:
            _log.warning("sending a card without blocks")
        try:
            return await send(plain.text, None)
        except SlackError as error:
            raise _refused(error) from error


def _refused(error: SlackError) -> SurfaceGone:
    """Return the error for a refusal that another try does not change: to the caller it is the same as a channel that is gone."""
    _log.error("Slack does not take a message: %s", error.error)
    return SurfaceGone(error.message)
