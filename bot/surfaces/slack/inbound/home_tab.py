"""The app's Home: the answer to `home`, published when somebody opens it and again while they may still look at it.

Slack says when Home is opened and not when it is left, so it is kept up to date for those who opened it lately: when a run looks
different, after whatever somebody did in Slack, and now and then for what nobody tells of. Nothing waits for it.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field

from bot.boundary.inbound import Exit, TakesInbound
from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.inbound.payloads import FromPerson, typed
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.render.buttons import actions
from bot.surfaces.slack.render.modals import CHOOSER
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError
from commands.kit.card import Button
from runbooks.kit.errors import TemporaryError

_log = logging.getLogger(__name__)

HOME = "home"
"""The command whose answer it is."""
_BLOCKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """How long and how often Home is kept up to date; all in seconds."""

    kept: float = 900.0
    """Since it was opened, or something was pressed in it."""
    every: float = 30.0
    """Between two looks where nothing told of a change."""
    apart: float = 3.0
    """At least, between two rounds."""
    each: float = 1.0
    """And so many for each person, which stays below Slack's 100 calls a minute."""
    people: int = 20
    """Only so many, those who opened it last."""


@dataclass(slots=True)
class _Viewer:
    visit: FromPerson
    until: float
    shown: object = None
    """The facts of what was published last."""
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One drawing after the other: an older look never replaces a newer one."""


class HomeTab:
    """One for the life of the process."""

    def __init__(
        self,
        api: SlackApi,
        messenger: SlackMessenger,
        dispatcher: TakesInbound,
        settings: HomeSettings | None = None,
    ) -> None:
        self._api = api
        self._messenger = messenger
        self._dispatcher = dispatcher
        self._settings = settings or HomeSettings()
        self._viewers: dict[str, _Viewer] = {}
        self._news = asyncio.Event()

    async def publish(self, visit: FromPerson) -> None:
        """Publish it for who opened it or pressed *Refresh*, and keep it up to date from now on."""
        account = visit.origin.account
        until = asyncio.get_running_loop().time() + self._settings.kept
        viewer = self._viewers.pop(account, None) or _Viewer(visit, until)
        viewer.visit, viewer.until, viewer.shown = visit, until, None
        self._viewers[account] = viewer
        while len(self._viewers) > self._settings.people:
            del self._viewers[next(iter(self._viewers))]
        try:
            await self._draw(viewer)
        except TemporaryError:  # nobody has asked in words, so nobody is told: the next round publishes it
            _log.info("Home could not be published yet", exc_info=True)
            self.changed()
        except SurfaceGone as error:  # Slack has no such account, or it has no Home: nobody could be told either
            _log.warning("Home could not be published: %s", error)
            self._viewers.pop(account, None)

    def changed(self) -> None:
        """Note that something may look different now; returns at once."""
        self._news.set()

    async def keep(self) -> None:
        """Publish it again for those who opened it lately, for as long as the process lives."""
        settings = self._settings
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.every):
                    await self._news.wait()
            self._news.clear()
            now = asyncio.get_running_loop().time()
            self._viewers = {account: each for account, each in self._viewers.items() if each.until > now}
            pause = max(settings.apart, settings.each * len(self._viewers))
            for account, viewer in list(self._viewers.items()):
                try:
                    await self._draw(viewer)
                except TemporaryError as error:
                    pause = max(pause, error.retry_after)
                except (SlackError, SurfaceGone):
                    _log.warning("Home could not be published again", exc_info=True)
                    self._viewers.pop(account, None)
            await asyncio.sleep(pause)

    async def _draw(self, viewer: _Viewer) -> None:
        """Publish it where its facts have changed. It is taken as the same act as the visit, so the audit log has it once."""
        origin = viewer.visit.origin
        async with viewer.drawing:
            answer = await self._dispatcher.take(typed(viewer.visit.delivery_id, origin, HOME))
            card = answer.card
            if card is None or card.data == viewer.shown:
                return
            # its buttons stand on top: a phone shows the end of Home last
            blocks = (await self._messenger.drawn(card.model_copy(update={"buttons": ()}), surface="home")).blocks
            if answer.exit is Exit.OK:
                run = Button(label="Run a command…", style="primary", does=CHOOSER)
                blocks[1:1] = actions((run, *card.buttons))
            else:
                self._viewers.pop(origin.account, None)
            view = {"type": "home", "blocks": blocks[:_BLOCKS]}
            await self._api.call("views.publish", user_id=origin.account, view=view)
            viewer.shown = card.data
