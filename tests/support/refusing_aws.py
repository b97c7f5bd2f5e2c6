"""An AWS that answers everything in one way: a refusal, nonsense, or nothing at all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

SECRET = "patient Maria Lopez"


@asynccontextmanager
async def refusing(status: int, code: str = "", *, text: str | None = None, silent: bool = False) -> AsyncIterator[str]:
    """Its address. `text`: the whole body instead of an error with that code; `silent`: it never answers."""
    ending = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if silent:
            await ending.wait()
        error = f"<ErrorResponse><Error><Code>{code}</Code><Message>{SECRET}</Message></Error></ErrorResponse>"
        return web.Response(status=status, text=error if text is None else text, content_type="text/xml")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        try:
            yield str(server.make_url("/")).rstrip("/")
        finally:
            ending.set()
