"""Showing an answer to the person who asked: only to them where it concerns only them, where they look, by whatever way is open.

A private answer goes to the thread they stand in, else through the address that came with what they did, else as a whisper in the
channel, else as a direct message.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from bot.boundary.inbound import Answer, Exit
from bot.boundary.outbound import Posted, SurfaceGone
from bot.boundary.redacting import Withheld
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from commands.kit.card import Attachment, Button, Card, Note, OpenForm, State, words
from commands.kit.follows import LiveState
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.metrics.chart import Chart

_log = logging.getLogger(__name__)

_TRIES = 4
_NO_RUN = ""
_LONGEST_PAUSE = 5.0
_NOT_SENT = "The answer could not be checked for private data, so it was not sent. The bot's log says why."
_FAILED = "The answer could not be created or sent. The bot's log says why, under {reference}."

Way = Callable[[], Awaitable[object]]


class Replies:
    """One for the life of the process."""

    def __init__(self, messenger: SlackMessenger) -> None:
        self._messenger = messenger

    async def show(self, origin: Origin, answer: Answer) -> None:
        """Show the answer. Never raises: what can't be shown is logged."""
        if answer.card is None:
            return
        card = _with_form(answer.card, answer.form)
        try:
            if answer.live is not None:
                await self._going_on(origin, card, answer.live, answer.typed)
                return
            ways = self._private(origin, card) if answer.private else self._public(origin, card, answer.typed)
            await self._on([*self._in_its_place(origin, answer, card), *ways])
        except Withheld:
            _log.exception("an answer was withheld")
            await self.say(origin, _NOT_SENT)

    async def _going_on(self, origin: Origin, card: Card, live: AsyncGenerator[LiveState], typed: str) -> None:
        """Post one message and edit it until the answer has ended, for the last time with its files."""
        async with aclosing(live):
            posted = await self._posted(origin, card, typed)
            if posted is None:
                _log.error("an answer that goes on could not be shown in any way")
                return
            slot = f"live-{posted.ts}"
            try:
                async for state in live:
                    card = state.card
                    self._messenger.progress(posted, _NO_RUN, slot, card)
                await self._on([lambda: self._messenger.edit(posted, _NO_RUN, slot, card)])
            except SurfaceGone:
                _log.info("the message of an answer that goes on is gone")

    async def _posted(self, origin: Origin, card: Card, typed: str) -> Posted | None:
        """Post the card where the person looks, else in a direct message; None where neither works.

        A message that only one person sees in a channel can't be edited.
        """
        if origin.channel is not None:
            for again in range(_TRIES):
                try:
                    return await self._messenger.say(
                        card, channel=origin.channel, thread=origin.thread, typed=typed, account=origin.account
                    )
                except Withheld:
                    raise
                except TemporaryError as error:
                    await asyncio.sleep(min(_LONGEST_PAUSE, error.retry_after) if again + 1 < _TRIES else 0)
                except (SurfaceGone, RunbookError):
                    break
        channel = await self._messenger.direct_channel(origin.account)
        return await self._messenger.say(card, channel=channel) if channel else None

    async def say(self, origin: Origin, sentence: str) -> None:
        """Say a sentence of the surface's own to that person only."""
        try:
            await self._on(self._private(origin, notice(sentence)))
        except Withheld:
            _log.exception("a sentence was withheld")

    async def failed(self, origin: Origin, reference: str) -> None:
        """Tell the person of a bug: where to look, not what was raised."""
        await self.say(origin, _FAILED.format(reference=reference))

    def _in_its_place(self, origin: Origin, answer: Answer, card: Card) -> list[Way]:
        """Return the way to put the answer where the card is that was clicked; what concerns one person never replaces what others see."""
        url, shared = origin.response_url, not (origin.ephemeral or origin.direct)
        if not origin.replaces or url is None or answer.exit is not Exit.OK or (answer.private and shared):
            return []
        where = (
            Posted(channel=origin.channel, ts=origin.thread) if origin.channel and origin.thread and shared else None
        )
        typed = answer.typed if shared else ""
        return [lambda: self._messenger.replace(card, url, account=origin.account, files=where, typed=typed)]

    def _private(self, origin: Origin, card: Card) -> list[Way]:
        messenger, account = self._messenger, origin.account
        channel, thread, url = origin.channel, origin.thread if origin.in_thread else None, origin.response_url
        ways: list[Way] = []
        if channel is not None and origin.direct:
            ways.append(lambda: messenger.say(card, channel=channel, thread=thread))
        elif channel is not None and thread is not None:
            ways.append(lambda: messenger.whisper(card, channel=channel, account=account, thread=thread))
        if url is not None and not origin.direct:
            ways.append(lambda: messenger.respond(card, url, account=account))
        if channel is not None and not origin.direct:
            ways.append(lambda: messenger.whisper(card, channel=channel, account=account))
        ways.append(lambda: self._directly(account, card))
        return ways

    def _public(self, origin: Origin, card: Card, typed: str) -> list[Way]:
        messenger, account, url = self._messenger, origin.account, origin.response_url
        channel, thread = origin.channel, origin.thread
        ways: list[Way] = []
        has_file = any(isinstance(part, Attachment | Chart) for part in card.body)
        if url is not None and thread is None and not origin.direct and not has_file:
            ways.append(lambda: messenger.respond(card, url, account=account, public=True, typed=typed))
        if channel is not None:
            ways.append(lambda: messenger.say(card, channel=channel, thread=thread, typed=typed, account=account))
        return [*ways, *self._private(origin, card)]

    async def _directly(self, account: str, card: Card) -> None:
        channel = await self._messenger.direct_channel(account)
        if channel is None:
            raise SurfaceGone("no direct messages")
        await self._messenger.say(card, channel=channel)

    async def _on(self, ways: list[Way]) -> None:
        """Answer by the first way that works. Where Slack asks to wait, try again a few times."""
        for way in ways:
            for again in range(_TRIES):
                try:
                    await way()
                except Withheld:
                    raise
                except TemporaryError as error:
                    if again + 1 < _TRIES:
                        await asyncio.sleep(min(_LONGEST_PAUSE, error.retry_after))
                    continue
                except (SurfaceGone, RunbookError) as error:
                    _log.info("one way of answering is closed: %s", error)
                    break
                return
        _log.error("an answer could not be shown in any way")


def _with_form(card: Card, form: OpenForm | None) -> Card:
    """Return the card with a button for the form, unless it has one."""
    if form is None or any(
        isinstance(button.does, OpenForm) and button.does.command == form.command for button in card.buttons
    ):
        return card
    return card.model_copy(update={"buttons": (*card.buttons, Button(label=f"Fill in {form.command}…", does=form))})


def notice(sentence: str, *, state: State | None = None, note: str = "") -> Card:
    """Return a card of one sentence."""
    body = (Note(text=words(note)),) if note else ()
    return Card(title=words(sentence), summary=sentence, state=state, body=body)
