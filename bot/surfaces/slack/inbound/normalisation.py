"""Middleware: reads the payload, and gives the listeners a typed value in its place."""

from collections.abc import Awaitable, Callable

from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.surfaces.slack.inbound.payloads import Payload, read

_KEY = "delivered"
"""Bolt passes what is in the context to a listener's argument of the same name."""


class Normalisation(AsyncMiddleware):
    """Puts the payload into the context; acknowledges what asks nothing of the bot."""

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,  # noqa: ARG002 - Bolt's signature
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 - Bolt's signature
    ) -> BoltResponse:
        payload = read(req.body)
        if payload is None:
            return await req.context.ack()
        req.context[_KEY] = payload
        return await next()


def payload_of(request: AsyncBoltRequest) -> Payload | None:
    """Return what `Normalisation` has read; None where it could not."""
    found = request.context.get(_KEY)
    return found if isinstance(found, Payload) else None
