"""`python -m sandbox.slack.page [PORT]`: look at the page with one of each message in it. Ctrl-C ends it."""

import asyncio
import contextlib
import secrets
import sys

from aiohttp import web

from sandbox.slack.page import sample
from sandbox.slack.page.application import create_page
from sandbox.slack.workspace import Workspace


async def serve(port: int) -> None:
    workspace = Workspace()
    sample.furnish(workspace)
    thread = sample.fill(workspace)
    token = secrets.token_urlsafe(16)
    application = create_page(
        workspace, token=token, commands=sample.COMMANDS, world=sample.SampleWorld(), tries=sample.tries(workspace)
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    address = runner.addresses[0]
    sys.stdout.write(f"http://{address[0]}:{address[1]}/?token={token}\nthread /as/maya/deploys/{thread}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
