"""A WebSocket on loopback between the bot and the sandbox's Socket Mode, which fails around one delivery as networks and Slack do.

Part of `interference`'s proxy in front of Slack. A frame's words are forwarded as they are until a fault is planted; it strikes at the
next delivery of its kind, on whichever connection that comes.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

Json = dict[str, Any]


class Leg(StrEnum):
    """What becomes of a delivery, of its acknowledgement, or of the connection around it."""

    BEFORE = "reset before it arrives"
    AT_ONCE = "reset in the moment in which it arrives"
    UNHEARD = "acknowledged, and reset before that arrives"
    HEARD = "acknowledged, and reset afterwards"
    DEAF = "half-open: nothing more of Slack's arrives"
    MUTE = "half-open: nothing more of the bot's arrives"
    LATE = "acknowledged after Slack's three seconds"
    TWICE = "delivered twice in the same moment"
    AGAIN = "delivered again after its acknowledgement"
    TORN = "truncated, and the connection reset"
    GARBLED = "truncated, and the connection goes on"
    NOISE = "between frames that are no envelopes"
    BROKEN_FRAME = "after bytes that are no frame"
    WARNING = "after a disconnect with warning"
    REFRESH = "after a disconnect with refresh_requested, and the end"
    TOO_MANY = "after a disconnect with too_many_websockets, and the end"
    UNGREETED = "no hello: nothing comes"
    REFUSED = "too_many_websockets in place of hello, and the end"


_DISCONNECTS = {Leg.WARNING: "warning", Leg.REFRESH: "refresh_requested", Leg.TOO_MANY: "too_many_websockets"}
_NOISE = ("", "no JSON", "{", '{"type":', "[]", "null", "{}", '{"type":"hello"}', '{"type":"of_tomorrow","payload":{}}',
          '{"envelope_id":"x","type":"slash_commands"}', '{"envelope_id":"x","type":"slash_commands","payload":{}}',
          '{"envelope_id":7,"type":["interactive"],"payload":"null"}')  # fmt: skip
_PERSONS = frozenset({"slash_commands", "interactive", "events_api"})


@dataclass(slots=True)
class Strike:
    """A fault that waits for its delivery, and whether it has struck."""

    leg: Leg
    matches: Callable[[Json], bool]
    seconds: float
    struck: bool = False


@dataclass(eq=False, slots=True)
class Pair:
    """One connection: the bot's side and Slack's."""

    bot: web.WebSocketResponse
    slack: aiohttp.ClientWebSocketResponse
    transport: asyncio.Transport
    deaf: bool = False
    mute: bool = False
    lose: str = ""
    """The envelope whose acknowledgement is the moment of the fault."""
    strike: Strike | None = None
    again: Json = field(default_factory=dict)
    copies: set[str] = field(default_factory=set)
    """Envelopes that Slack knows nothing of."""

    def reset(self) -> None:
        self.transport.abort()


@dataclass(slots=True)
class SocketWire:
    """All connections of the bot; `strikes` may be changed while it serves."""

    upstream: str
    strikes: list[Strike] = field(default_factory=list)
    greetings: list[Leg] = field(default_factory=list)
    """What becomes of the next connections' beginnings."""
    pairs: list[Pair] = field(default_factory=list)
    opened: int = 0

    def fail(self, leg: Leg, matches: Callable[[Json], bool] = lambda _: True, *, seconds: float = 1.0) -> Strike:
        """At the next delivery that matches; `seconds` is for what is late, or lasts."""
        strike = Strike(leg, matches, seconds)
        self.strikes.append(strike)
        return strike

    def cut(self) -> None:
        """Every connection is reset."""
        for pair in tuple(self.pairs):
            pair.reset()

    async def handle(self, request: web.Request, session: aiohttp.ClientSession) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        try:
            slack = await session.ws_connect(f"{self.upstream}{request.rel_url}", autoping=False, autoclose=False)
        except aiohttp.WSServerHandshakeError as error:
            return web.Response(status=error.status)
        bot = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=0)
        await bot.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        pair = Pair(bot, slack, request.transport)
        self.pairs.append(pair)
        self.opened += 1
        pumps = [asyncio.ensure_future(self._down(pair)), asyncio.ensure_future(self._up(pair))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if pair.mute and pair.strike is not None:  # Slack does not hear that the bot has left, either
                await asyncio.sleep(pair.strike.seconds)
        finally:
            for pump in pumps:
                pump.cancel()
            self.pairs.remove(pair)
            with suppress(Exception):
                await slack.close()
            pair.reset()
        return bot

    async def _down(self, pair: Pair) -> None:
        """From Slack to the bot."""
        async for message in pair.slack:
            if message.type is WSMsgType.TEXT:
                if not pair.deaf:
                    await self._delivered(pair, message.data)
            elif not pair.deaf:
                await _forward(message, pair.bot)
        if not pair.deaf:
            await _forward(aiohttp.WSMessage(WSMsgType.CLOSE, pair.slack.close_code, ""), pair.bot)

    async def _delivered(self, pair: Pair, text: str) -> None:
        envelope = json.loads(text)
        if envelope.get("type") == "hello" and self.greetings:
            await self._greet(pair, self.greetings.pop(0))
            return
        person = envelope.get("type") in _PERSONS
        strike = self._next(envelope) if person else None
        while strike is not None and strike.leg in (Leg.NOISE, Leg.WARNING):
            await self._before(pair, strike.leg, text)
            strike = self._next(envelope)
        if strike is None:
            await pair.bot.send_str(text)
            return
        pair.strike, pair.lose = strike, envelope["envelope_id"]
        if strike.leg is not Leg.BEFORE:
            await self._struck(pair, strike.leg, envelope, text)
        if strike.leg in (Leg.BEFORE, Leg.AT_ONCE, Leg.TORN):
            pair.reset()

    async def _struck(self, pair: Pair, leg: Leg, envelope: Json, text: str) -> None:
        pair.deaf, pair.mute = leg is Leg.DEAF, leg is Leg.MUTE
        if leg in (Leg.REFRESH, Leg.TOO_MANY):
            await self._before(pair, leg, text)
        elif leg is Leg.BROKEN_FRAME:
            pair.transport.write(b"\xff\xff\xff")
        if not pair.deaf:
            with suppress(ConnectionError):
                await pair.bot.send_str(text[: len(text) // 2] if leg in (Leg.TORN, Leg.GARBLED) else text)
        if leg is Leg.TWICE:
            await self._copy(pair, envelope)
        pair.again = envelope

    async def _greet(self, pair: Pair, leg: Leg) -> None:
        pair.deaf = True
        if leg is Leg.REFUSED:
            await self._before(pair, Leg.TOO_MANY, "")
            await pair.bot.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    def _next(self, envelope: Json) -> Strike | None:
        found = next((each for each in self.strikes if not each.struck and each.matches(envelope)), None)
        if found is not None:
            found.struck = True
        return found

    async def _before(self, pair: Pair, leg: Leg, text: str) -> None:
        """What comes before the delivery."""
        if leg is Leg.NOISE:
            for words in (*_NOISE, text[:-1]):
                await pair.bot.send_str(words)
            await pair.bot.send_bytes(b"\x00\xff{")
        else:
            told = {"type": "disconnect", "reason": _DISCONNECTS[leg], "debug_info": {"host": "wire"}}
            await pair.bot.send_str(json.dumps(told))

    async def _copy(self, pair: Pair, envelope: Json) -> None:
        number = str(uuid.uuid4())
        pair.copies.add(number)
        more = {"retry_attempt": 1, "retry_reason": "timeout"} if envelope["type"] == "events_api" else {}
        with suppress(ConnectionError):
            await pair.bot.send_str(json.dumps({**envelope, "envelope_id": number, **more}))

    async def _up(self, pair: Pair) -> None:
        """From the bot to Slack."""
        async for message in pair.bot:
            if pair.mute:
                continue
            if message.type is WSMsgType.TEXT:
                await self._acknowledged(pair, message.data)
            else:
                await _forward(message, pair.slack)

    async def _acknowledged(self, pair: Pair, text: str) -> None:
        number = json.loads(text).get("envelope_id")
        if number in pair.copies:
            return
        if pair.strike is None or number != pair.lose:
            await pair.slack.send_str(text)
            return
        match pair.strike.leg:
            case Leg.UNHEARD:
                pair.reset()
            case Leg.HEARD:
                await pair.slack.send_str(text)
                pair.reset()
            case Leg.AGAIN:
                await pair.slack.send_str(text)
                await self._copy(pair, pair.again)
            case Leg.LATE:
                await asyncio.sleep(pair.strike.seconds)
                await pair.slack.send_str(text)
            case Leg.REFRESH | Leg.TOO_MANY:
                await pair.slack.send_str(text)
                await pair.bot.close(code=aiohttp.WSCloseCode.GOING_AWAY)
            case _:
                await pair.slack.send_str(text)


async def _forward(message: aiohttp.WSMessage, there: Any) -> None:
    """What is not text: pings and their answers, the end."""
    send: Callable[[], Awaitable[object]]
    match message.type:
        case WSMsgType.PING:
            send = lambda: there.ping(message.data)  # noqa: E731
        case WSMsgType.PONG:
            send = lambda: there.pong(message.data)  # noqa: E731
        case WSMsgType.BINARY:
            send = lambda: there.send_bytes(message.data)  # noqa: E731
        case _:
            send = lambda: there.close(code=message.data or 1000)  # noqa: E731
    with suppress(ConnectionError, RuntimeError):
        await send()
