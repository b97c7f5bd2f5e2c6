"""The Web API's door: who calls, may they, how often, and the answer in Slack's form. What a method does is in `methods/`."""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

from aiohttp import web

import sandbox.slack.methods  # noqa: F401 - importing them fills the table
from sandbox.slack.calls import METHODS, Call, Method
from sandbox.slack.model import Json, Refused, Sent
from sandbox.slack.rates import Rates
from sandbox.slack.workspace import Workspace


class Api:
    """Answers to `/api/METHOD`."""

    def __init__(self, workspace: Workspace) -> None:
        self.record: deque[Sent] = deque(maxlen=10_000)
        self.base = ""
        self._workspace = workspace
        self._rates = Rates(workspace.settings)
        self._released = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [
            *(web.route("*", f"/api/{name}", self._answer) for name in METHODS),
            web.route("*", "/api/{method}", self._unknown),
        ]

    def release(self) -> None:
        """Let go of the calls that a fault keeps waiting."""
        self._released.set()

    async def _unknown(self, request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "error": "unknown_method", "req_method": request.match_info["method"]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.removeprefix("/api/")
        method = METHODS[name]
        arguments = await read_arguments(request)
        if (broken := await self.broken(request, name)) is not None:
            return broken
        call = Call(name, arguments, self._workspace, self.base)
        scopes = ",".join(sorted(self._workspace.app.scopes))
        headers = {"x-oauth-scopes": scopes, "x-accepted-oauth-scopes": ",".join(method.scopes)}
        status = HTTPStatus.OK
        try:
            self._authorise(request, call, method)
            if wait := self._wait(call, method):
                headers["Retry-After"] = str(wait)
                status = HTTPStatus.TOO_MANY_REQUESTS
                answer: Json = {"ok": False, "error": "ratelimited"}
            else:
                answer = {"ok": True, **await method.handler(call)}
        except Refused as refusal:
            answer = refused(refusal)
        self.record.append(Sent(name, {key: value for key, value in arguments.items() if key != "token"}, answer))
        return web.json_response(answer, status=status, headers=headers)

    async def broken(self, request: web.Request, name: str) -> web.Response | None:
        """The answer of a fault that was asked for, or None."""
        faults = self._workspace.faults
        if faults.down:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text="service unavailable")
        match faults.take(name):
            case None:
                return None
            case ("ratelimited", retry_after):
                return web.json_response(
                    {"ok": False, "error": "ratelimited"},
                    status=HTTPStatus.TOO_MANY_REQUESTS,
                    headers={"Retry-After": str(retry_after)},
                )
            case ("hang", _):
                await self._released.wait()
            case ("reset", _):
                if request.transport is not None:
                    request.transport.close()
        return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, text="internal error")

    def _authorise(self, request: web.Request, call: Call, method: Method) -> None:
        if method.token == "none":  # noqa: S105 - a kind of token
            return
        app = self._workspace.app
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip() or call.text("token")
        if not token:
            raise Refused("not_authed")
        if token not in {app.bot_token, app.app_token}:
            raise Refused("invalid_auth")
        if token != (app.app_token if method.token == "app" else app.bot_token):  # noqa: S105
            raise Refused("not_allowed_token_type")
        if method.token == "bot" and method.scopes and not app.scopes.intersection(method.scopes):  # noqa: S105
            raise Refused("missing_scope", needed=",".join(method.scopes), provided=",".join(sorted(app.scopes)))

    def _wait(self, call: Call, method: Method) -> int:
        place = call.text("channel") if method.per_channel else ""
        return self._rates.take(call.method, method.per_minute, burst=method.burst, place=place)


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """Query, form or JSON: Slack takes each."""
    arguments: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = await request.json() if request.can_read_body else {}
        except ValueError:
            body = None
        return arguments | body if isinstance(body, dict) else arguments
    form = await request.post()
    return arguments | {key: value for key, value in form.items() if isinstance(value, str)}


def refused(refusal: Refused) -> Json:
    answer: Json = {"ok": False, "error": refusal.error, **refusal.extra}
    if refusal.messages:
        answer["errors"] = [message.removeprefix("[ERROR] ") for message in refusal.messages]
        answer["response_metadata"] = {"messages": list(refusal.messages)}
    return answer
