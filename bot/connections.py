"""A bound on the connections of a server: who opens many and says nothing must not use up what Slack and the cluster are reached with.

A process has a limited number of open files, and each connection is one.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web


def at_most(most: int, server: web.Server | None) -> Callable[[], asyncio.Protocol]:
    """For `loop.create_server`: serves so many connections at once (a burst may go a little beyond), and hangs up on more."""
    assert server is not None, "the runner is set up"

    def accepted() -> asyncio.Protocol:
        return server() if len(server.connections) < most else _HangUp()

    return accepted


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "of a stream"
        transport.abort()
