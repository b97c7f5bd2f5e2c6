"""Slack as one thing: what `bot.app` builds and what the rest of the bot asks of it.

slack = SlackSurface(settings.slack, names=people, redact=redact, supervisor=supervisor)
... Dispatcher(identity=slack.identity, ...)
slack.open(dispatcher, suggest=...)
await slack.start()
slack.ready()
await slack.close(drain=20.0)
"""

import asyncio
import logging
from urllib.parse import urlsplit

from bot.boundary.accounts import Directory
from bot.boundary.inbound import TakesInbound
from bot.boundary.redacting import Redact
from bot.config.sections import SlackSettings
from bot.process.supervision import Supervisor
from bot.surfaces.slack.bolt_app import bolt_app
from bot.surfaces.slack.identity import SlackIdentity
from bot.surfaces.slack.inbound.answer_views import AnswerViews
from bot.surfaces.slack.inbound.background import Background
from bot.surfaces.slack.inbound.home_tab import HomeSettings, HomeTab
from bot.surfaces.slack.inbound.listeners import Listeners
from bot.surfaces.slack.inbound.modal_forms import ModalForms, Suggest
from bot.surfaces.slack.inbound.thread_commands import ThreadCommands, TypedForRun
from bot.surfaces.slack.membership import BotMembership
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.outbound.replies import Replies
from bot.surfaces.slack.transport.connection_pool import ConnectionPool
from bot.surfaces.slack.transport.web_api import SlackApi

_log = logging.getLogger(__name__)


class SlackSurface:
    """Everything of Slack's that lives as long as the process."""

    def __init__(
        self,
        settings: SlackSettings,
        *,
        names: Directory,
        redact: Redact,
        supervisor: Supervisor,
        call_seconds: float = 15.0,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._redact = redact
        self.api = SlackApi(settings.bot_token.get_secret_value(), settings.api_url, seconds=call_seconds)
        self.messenger = SlackMessenger(
            self.api,
            names,
            redact,
            newest_blocks=settings.newest_blocks,
            edits_per_minute=settings.edits_per_minute,
            progress_seconds=settings.progress_seconds,
        )
        self.identity = SlackIdentity(self.api, workspace=settings.workspace, deadline=settings.account_seconds)
        self._background: Background | None = None
        self._home: HomeTab | None = None
        self.connections: ConnectionPool | None = None

    def open(
        self,
        dispatcher: TakesInbound,
        *,
        suggest: Suggest | None = None,
        typed_for: TypedForRun | None = None,
        home: HomeSettings | None = None,
    ) -> None:
        """Connect the dispatcher to Slack's deliveries; nothing is delivered before `start`."""
        replies = Replies(self.messenger)
        self._home = HomeTab(self.api, self.messenger, dispatcher, home)
        forms = ModalForms(self.api, dispatcher, replies, self._redact, suggest)
        self._background = Background(replies)
        listeners = Listeners(
            dispatcher,
            replies,
            forms,
            self._home,
            BotMembership(self.api),
            self.identity,
            self._background,
            ThreadCommands(self.messenger.own_messages, typed_for),
            AnswerViews(self.api, self.messenger, replies),
        )
        self.connections = ConnectionPool(
            bolt_app(self.api, listeners),
            self.api,
            self._settings.app_token.get_secret_value(),
            supervisor=self._supervisor,
            connections=self._settings.connections,
            stale_seconds=self._settings.stale_seconds,
        )

    async def start(self) -> None:
        """Begin to connect, and return."""
        assert self.connections is not None, "open() comes first"
        assert self._home is not None
        self._supervisor.start("refreshing Home", self._home.keep)
        self.api.session()
        _log.info("connecting to Slack at %s", urlsplit(self._settings.api_url).hostname)
        await self.connections.connect_async()

    def changed(self) -> None:
        """Note that a run looks different, which Home shows; returns at once."""
        if self._home is not None:
            self._home.changed()

    def ready(self) -> bool:
        """Return whether deliveries arrive: for `/readyz`."""
        return self.connections is not None and self.connections.ready()

    def fresh_connections(self) -> int:
        """Return how many connections deliveries arrive by: for `/metrics`."""
        return 0 if self.connections is None else self.connections.fresh_connections()

    async def close(self, *, drain: float = 20.0) -> None:
        """Take nothing new, let short work end, then end the connections."""
        if self.connections is not None and self._background is not None:
            try:
                async with asyncio.timeout(drain):
                    await self.connections.drain()
                    await self._background.ended()
            except TimeoutError:
                self._background.stop()
        await self.messenger.close()
        if self.connections is not None:
            await self.connections.close_async()
        await self.api.close()
