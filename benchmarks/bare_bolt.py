"""The peer of `benchmarks.acknowledgement`: a Bolt app with an empty handler, a process of its own.

Run as `python -m benchmarks.bare_bolt API_URL COMMAND CONNECTIONS`, its tokens in the bot's own variables. Ends with SIGTERM.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def _serve(api_url: str, command: str, connections: int) -> None:
    client = AsyncWebClient(token=os.environ["OMNICARE_SLACK_BOT_TOKEN"], base_url=api_url)
    app = AsyncApp(client=client)

    async def empty(ack: Any) -> None:
        await ack()

    app.command(command)(empty)
    handlers = [AsyncSocketModeHandler(app, os.environ["OMNICARE_SLACK_APP_TOKEN"]) for _ in range(connections)]
    for handler in handlers:
        await handler.connect_async()  # type: ignore[no-untyped-call]
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    for handler in handlers:
        await handler.close_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
