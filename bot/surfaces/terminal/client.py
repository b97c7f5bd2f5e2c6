"""The client side of the socket: sends one command and yields the bot's messages until the end.

A connection that breaks (because the bot restarts) is reopened with the same key, so nothing is done twice.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from bot.surfaces.terminal.wire_format import (
    ALIVE_SECONDS,
    LONGEST_LINE,
    AliveLine,
    AnswerLine,
    Call,
    EndLine,
    Line,
    NoticeLine,
    RefusedLine,
    read_line,
)

PATIENCE = 60.0
"""Seconds to wait for a bot that stopped in the middle."""


class Unreachable(Exception):
    """No bot answers; the message is a sentence with what to do."""


class NoBot(Unreachable):
    """Nothing is listening: no bot is running."""


def new_key() -> str:
    """Return 128 random bits: one key for each act."""
    return secrets.token_hex(16)


async def say(path: Path, call: Call, *, patience: float = PATIENCE) -> AsyncIterator[Line]:
    """Yield the bot's lines without `alive`; the last one is an `end` or a `refused`. Raises `Unreachable`."""
    answered = shown = False
    lost_at: float | None = None
    while True:
        try:
            async for line in _once(path, call):
                lost_at = None
                shown = shown or isinstance(line, NoticeLine)
                if isinstance(line, AliveLine) or (isinstance(line, AnswerLine) and answered):
                    continue
                answered = answered or isinstance(line, AnswerLine)
                yield line
                if isinstance(line, EndLine | RefusedLine):
                    return
        except _NeverThere as error:
            if lost_at is None:
                raise (Unreachable if error.refused else NoBot)(str(error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass
        if shown and not answered:  # each reading is in the audit log, so none is repeated automatically
            raise Unreachable(
                "The bot stopped in the middle of the unredacted lines. Run the command again if you need them."
            )
        now = time.monotonic()
        lost_at = lost_at or now
        if now - lost_at > patience:
            raise Unreachable(_gone(answered=answered))
        await asyncio.sleep(min(0.2 + (now - lost_at) / 5, 2.0))


class _NeverThere(Exception):
    """Return the error; `refused`: a bot may be running, but access is denied."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


async def _once(path: Path, call: Call) -> AsyncIterator[Line]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=3 * ALIVE_SECONDS)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path)), timeout=timeout) as session:
        try:
            response = await session.post("http://bot/deliver", data=call.model_dump_json(exclude_none=True))
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, PermissionError)
            raise _NeverThere(_absent(path, refused=refused), refused=refused) from error
        async with response:
            if response.status != 200:  # noqa: PLR2004 - HTTP's own
                raise Unreachable(
                    f"The server on {path} uses a different protocol from this `omnicare`. Is it a different version?"
                )
            async for raw in _lines(response):
                try:
                    yield read_line(raw)
                except ValidationError as error:
                    raise Unreachable(
                        "The bot's answer can't be read. Is its version different from this `omnicare`?"
                    ) from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in response.content.iter_any():
        first, *more = chunk.split(b"\n")
        held += first
        for part in more:
            if held:
                yield bytes(held)
            held = bytearray(part)
        if len(held) > LONGEST_LINE:
            raise Unreachable("The bot's answer is too long to show.")


def _absent(path: Path, *, refused: bool) -> str:
    if refused:
        return (
            f"You have no access to the bot's socket {path}. Ask for your account to be added to its group, "
            "or use the command in Slack."
        )
    return (
        f"No bot is running here: nothing is listening on {path}. Start it with `omnicare serve` as the bot's account, "
        "or name the running bot's socket with --socket."
    )


def _gone(*, answered: bool) -> str:
    if answered:
        return "The bot stopped and did not come back. What it had accepted is kept and continues when the bot starts again."
    return "The bot stopped before it answered. Run the command again when the bot is back: nothing that it accepted is lost."
