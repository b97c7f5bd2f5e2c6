"""Whatever Slack's Web API answers, or something in its place, ends as a value or as an error of the project's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.checks import check
from bot.surfaces.slack.identity import SlackIdentity
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.transport.web_api import SlackApi
from commands.kit.card import Attachment, Card, words
from runbooks.kit.errors import RunbookError
from tests.bot.surfaces.slack.conftest import Names

CARD = Card(title=words("x"), summary="x", body=(Attachment(filename="x.txt", content="x", summary="x"),))
_JSON = "application/json"


def _said(
    text: str | bytes, kind: str = _JSON, status: int = 200, *, after: str = "", encoding: str = "", to: str = ""
) -> web.Response:
    body = text if isinstance(text, bytes) else text.encode()
    more = {"Retry-After": after, "Content-Encoding": encoding, "Location": to}
    headers = {"Content-Type": kind, **{name: value for name, value in more.items() if value}}
    return web.Response(body=body, status=status, headers=headers)


ANSWERS: dict[str, Callable[[], web.Response]] = {
    "nothing but ok": lambda: _said('{"ok":true}'),
    "wrong types": lambda: _said('{"ok":true,"channel":{"id":5},"ts":[1],"team_id":{},"user":[],"users":3,"messages":{}}'),
    "ok as a text": lambda: _said('{"ok":"true","channel":"C","ts":"1"}'),
    "a list": lambda: _said("[]"),
    "null": lambda: _said("null"),
    "a text": lambda: _said('"ok"'),
    "empty": lambda: _said(""),
    "nested deep": lambda: _said("[" * 200_000),
    "nested deep inside": lambda: _said('{"ok":true,"x":' + "[" * 200_000 + "]" * 200_000 + "}"),
    "a page": lambda: _said("<html>Sign in", "text/html"),
    "a page that says it is JSON": lambda: _said("<html>Sign in"),
    "plain text": lambda: _said("ok", "text/plain"),
    "no UTF-8": lambda: _said(b'{"ok":true,"x":"\xff\xfe"}'),
    "an unknown encoding": lambda: _said('{"ok":true}', f"{_JSON}; charset=nonsense"),
    "not compressed": lambda: _said('{"ok":true}', encoding="gzip"),
    "numbers that are none": lambda: _said('{"ok":true,"ts":NaN,"channel":Infinity}'),
    "a number without end": lambda: _said('{"ok":true,"ts":' + "9" * 5000 + "}"),
    "an unknown error": lambda: _said('{"ok":false,"error":"no_such_word"}'),
    "an error of another type": lambda: _said('{"ok":false,"error":["x"]}'),
    "a long error": lambda: _said('{"ok":false,"error":"' + "x" * 100_000 + '"}'),
    "no error": lambda: _said('{"ok":false}'),
    "later, in strange digits": lambda: _said("", status=429, after="²"),
    "later, in the past": lambda: _said('{"ok":false}', status=429, after="-5"),
    "later, for ever": lambda: _said('{"ok":false,"error":"ratelimited"}', after="9" * 300),
    "a redirect to nowhere": lambda: _said("", status=302, to="http://["),
    "half a character": lambda: _said('{"ok":true,"channel":{"id":"\\ud800"},"ts":"\\ud800","user_id":"\\ud800"}'),
    "a list without end": lambda: _said(
        '{"ok":true,"members":["U2"],"messages":[],"team_id":"T","user_id":"U","response_metadata":{"next_cursor":"x"}}'
    ),
    "too large": lambda: _said(b'{"ok":true,"x":"' + b"x" * 33_000_000 + b'"}'),
}  # fmt: skip


class Answering:
    """A server in Slack's place, and the paths that it was asked for."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.Response] = lambda: _said('{"ok":true}')
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked.append(request.path)
        return self.answer()


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    made = Answering()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def api(server: Answering) -> AsyncIterator[SlackApi]:
    made = SlackApi("xoxb-test", f"{server.url}/api/", seconds=60.0)
    yield made
    await made.close()


def _messenger(api: SlackApi) -> SlackMessenger:
    return SlackMessenger(
        api, Names(), lambda text: text, newest_blocks=True, edits_per_minute=6000, progress_seconds=0.1
    )


@pytest.mark.parametrize("name", ANSWERS)
async def test_whatever_slack_answers_is_a_value_or_an_error_of_ours(
    api: SlackApi, server: Answering, name: str
) -> None:
    server.answer = ANSWERS[name]
    messenger = _messenger(api)
    asks: list[Callable[[], Awaitable[object]]] = [
        lambda: messenger.post("run", "head", CARD, channel="C1", thread=None, search=True),
        lambda: messenger.say(CARD, channel="C1"),
        lambda: messenger.direct("run", "told", "requester", CARD, search=False),
        lambda: messenger.whisper(CARD, channel="C1", account="U1"),
        lambda: messenger.respond(CARD, f"{server.url}/response", account="U1"),
        lambda: messenger.in_channel("C1", "requester"),
        lambda: api.socket_address("xapp-test"),
        api.myself,
    ]
    refused: list[str] = []
    async with asyncio.timeout(120):
        for ask in asks:
            try:
                await ask()
            except (RunbookError, SurfaceGone) as error:
                refused.append(str(error))
        identity = SlackIdentity(api, deadline=60.0)
        assert not (await identity.standing("U1REQUESTER", fresh=True)).ok
        assert await identity.group("S0APPROVERS") == frozenset()
        findings = [each async for each in check(api, "xapp-test", ["C1"])]
    assert any(not each.ok for each in findings)
    assert [each for each in refused if len(each) > 500] == [], "an error quotes no whole answer"


async def test_no_redirect_is_followed(api: SlackApi, server: Answering) -> None:
    """Neither with what a card says, nor for an answer that a stranger would give in Slack's place."""
    for status in (301, 302, 307, 308):
        server.answer = lambda status=status: _said("", status=status, to=f"{server.url}/elsewhere")  # type: ignore[misc]
        for ask in (
            api.call("chat.postMessage", text="x"),
            api.read("users.info"),
            api.send(f"{server.url}/r", json={}),
        ):
            with pytest.raises((RunbookError, SurfaceGone)):
                await ask
    assert "/elsewhere" not in server.asked
