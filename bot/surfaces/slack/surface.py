"""Slack as one thing: what `bot.app` builds and what the rest of the bot asks of it.

slack = SlackSurface(settings.slack, names=people, redact=redact, supervisor=supervisor)
... Door(identity=slack.identity, ...), House(messenger=slack.messenger, ...)
slack.open(door, suggest=...)
await slack.start()
slack.ready()
await slack.close(drain=20.0)
"""

import logging
from urllib.parse import urlsplit

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.sections import SlackSettings
from bot.inbound import Directory, TakesInbound
from bot.redacting import Redact
from bot.supervision import Supervisor
from bot.surfaces.slack.identity import SlackIdentity
from bot.surfaces.slack.inbound.home_tab import Home
from bot.surfaces.slack.inbound.listeners import Edge, build
from bot.surfaces.slack.inbound.modal_forms import Forms, Suggest
from bot.surfaces.slack.membership import Places
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.outbound.replies import Answers
from bot.surfaces.slack.transport.connection_pool import Sockets
from bot.surfaces.slack.transport.web_api import SlackApi

_log = logging.getLogger(__name__)

HOME_QUERIES = ("runs",)
"""What stands below the menu in the app's Home."""


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
        self._edge: Edge | None = None
        self.sockets: Sockets | None = None

    def open(
        self, door: TakesInbound, *, suggest: Suggest | None = None, home: tuple[str, ...] = HOME_QUERIES
    ) -> AsyncApp:
        """Puts the door behind Slack's deliveries; nothing is delivered before `start`."""
        answers, places = Answers(self.messenger), Places(self.api)
        page = Home(self.api, self.messenger, door, home)
        forms = Forms(self.api, door, answers, page, self._redact, suggest)
        self._edge = Edge(door, answers, forms, page, places)
        self._edge.on_group_changed = self.identity.group_changed
        app = build(bolt_app(self.api), self._edge)
        self.sockets = Sockets(
            app,
            self.api,
            self._settings.app_token.get_secret_value(),
            supervisor=self._supervisor,
            connections=self._settings.connections,
            stale_seconds=self._settings.stale_seconds,
        )
        return app

    async def start(self) -> None:
        """Begins to connect, and returns."""
        assert self.sockets is not None, "open() comes first"
        self.api.session()
        _log.info("connecting to Slack at %s", urlsplit(self._settings.api_url).hostname)
        await self.sockets.start()

    def ready(self) -> bool:
        """Whether deliveries arrive: for `/readyz`."""
        return self.sockets is not None and self.sockets.ready()

    def fresh_connections(self) -> int:
        """How many connections deliveries arrive by: for `/metrics`."""
        return 0 if self.sockets is None else self.sockets.fresh_connections()

    async def close(self, *, drain: float = 20.0) -> None:
        """Takes nothing new, lets short things end, then ends the connections."""
        if self._edge is not None:
            await self._edge.drain(drain)
        await self.messenger.close()
        if self.sockets is not None:
            await self.sockets.close()
        await self.api.close()


def bolt_app(api: SlackApi) -> AsyncApp:
    """Bolt at the configured address: no call before a delivery is acknowledged, no listener but ours, no OAuth, no web server."""
    token = api.client.token
    client = AsyncWebClient(base_url=api.client.base_url, timeout=15, retry_handlers=[])
    client.proxy = api.proxy

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token)

    return AsyncApp(
        client=client,
        logger=logging.getLogger("bot.surfaces.slack.bolt"),
        authorize=authorize,
        request_verification_enabled=False,  # Socket Mode: the connection itself is authenticated
        ssl_check_enabled=False,
        url_verification_enabled=False,
        ignoring_self_events_enabled=False,  # reading.message leaves out every bot's messages
        attaching_function_token_enabled=False,
    )
