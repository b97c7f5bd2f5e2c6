"""The Bolt app: its middleware, its listeners, and what becomes of an error. Socket Mode and HTTP deliver to the same app.

`process_before_response` makes a listener's acknowledgement leave when the listener returns, and none leave where it fails. So a listener
for an operation hands it over, then calls `ack()`; a listener for a query calls `ack()` and leaves the rest to `Background`.
"""

import logging
import re

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.surfaces.slack.inbound.deduplication import Deduplication
from bot.surfaces.slack.inbound.listeners import Listeners
from bot.surfaces.slack.inbound.normalisation import Normalisation
from bot.surfaces.slack.inbound.payloads import Shortcut
from bot.surfaces.slack.render.modals import CHOICE, FORM, INPUT
from bot.surfaces.slack.transport.web_api import SlackApi

_log = logging.getLogger(__name__)

_ANY = re.compile("")
"""The manifest names the slash command; a card names its buttons."""


def bolt_app(api: SlackApi, listeners: Listeners) -> AsyncApp:
    """Return the app with everything registered."""
    client = AsyncWebClient(base_url=api.client.base_url, timeout=15, retry_handlers=[])
    client.proxy = api.proxy
    token = api.client.token

    async def authorize() -> AuthorizeResult:
        """Return the bot's token without `auth.test`: Bolt would call that before it acknowledges the first delivery, and refuse the delivery where it fails."""
        return AuthorizeResult(enterprise_id=None, team_id=None, bot_token=token)

    app = AsyncApp(
        name="omnicare",
        logger=logging.getLogger("bot.surfaces.slack.bolt"),
        client=client,
        authorize=authorize,
        process_before_response=True,
        raise_error_for_unhandled_request=True,
    )

    deduplication = Deduplication()
    app.use(Normalisation())
    app.use(deduplication)
    app.listener_runner.listener_completion_handler = deduplication

    app.command(_ANY)(listeners.act)
    app.action(_ANY)(listeners.act)
    app.event("app_mention")(listeners.act)
    app.event("message")(listeners.act)
    app.view(FORM)(listeners.submit_form)
    app.options(INPUT)(listeners.suggest)
    app.view(CHOICE)(listeners.choose)
    app.global_shortcut(Shortcut.MENU)(listeners.act)
    app.message_shortcut(Shortcut.THREAD)(listeners.act)
    app.message_shortcut(Shortcut.DIAGNOSE)(listeners.act)
    app.message_shortcut(Shortcut.RUN)(listeners.show_run)
    app.event("app_home_opened")(listeners.publish_home)
    app.event("subteam_members_changed")(listeners.forget_groups)
    app.event("subteam_updated")(listeners.forget_groups)

    @app.error
    async def failed(error: Exception, request: AsyncBoltRequest) -> BoltResponse:
        """Log the error without the payload, which Bolt would log too. Slack tells the person, or delivers again."""
        _log.error("a delivery could not be read or handed over, so it is not acknowledged", exc_info=error)
        response = BoltResponse(status=500)
        await deduplication.handle(request, response)
        return response

    return app
