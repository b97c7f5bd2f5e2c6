"""Middleware: a delivery that comes twice acts once, because Slack promises "at least once".

This is about deliveries (a trigger id, an event id); the act's own key is the dispatcher's business. A second delivery waits until the
first is handled and is answered with the same acknowledgement, because only then may it be acknowledged.

Bolt's middleware are filters: `next` does not run the listener. How a delivery ended is therefore learned from Bolt's completion handler.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from slack_bolt.listener.async_listener_completion_handler import AsyncListenerCompletionHandler
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.surfaces.slack.inbound.normalisation import payload_of

_ACKNOWLEDGED, _FAILED = 200, 500


class Deduplication(AsyncMiddleware, AsyncListenerCompletionHandler):
    """The deliveries of the last while, and how each was acknowledged."""

    def __init__(self, most: int = 8192) -> None:
        self._most = most
        self._seen: OrderedDict[str, asyncio.Future[BoltResponse]] = OrderedDict()

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,  # noqa: ARG002 - Bolt's signature
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 - Bolt's signature
    ) -> BoltResponse:
        """Let the first delivery through; answer any other as the first was answered."""
        if (delivery := _delivery_id(req)) is None:
            return await next()
        if (first := self._seen.get(delivery)) is not None:
            return await asyncio.shield(first)
        self._seen[delivery] = asyncio.get_running_loop().create_future()
        self._forget_oldest()
        return await next()

    async def handle(self, request: AsyncBoltRequest, response: BoltResponse | None) -> None:
        """Note how the delivery was acknowledged. One that was not, or whose listener failed (`response`), may be tried again."""
        delivery = _delivery_id(request)
        if delivery is None or (first := self._seen.get(delivery)) is None or first.done():
            return
        failed = response is not None and response.status == _FAILED
        acknowledged = (request.context.ack.response if not failed else None) or BoltResponse(status=_FAILED)
        if acknowledged.status != _ACKNOWLEDGED:
            del self._seen[delivery]
        first.set_result(acknowledged)

    def _forget_oldest(self) -> None:
        while len(self._seen) > self._most and next(iter(self._seen.values())).done():
            self._seen.popitem(last=False)


def _delivery_id(request: AsyncBoltRequest) -> str | None:
    payload = payload_of(request)
    return None if payload is None else payload.delivery_id
