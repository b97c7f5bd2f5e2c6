"""`pods/exec` over a WebSocket: the channel protocol of `kubectl exec`, v5 and v4, with standard input and exit statuses."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import WSMsgType, web

from sandbox.cluster.errors import bad_request
from sandbox.cluster.programs import Execution, Scripts, Write, run
from sandbox.cluster.resources import Json

_STDIN, _STDOUT, _STDERR, _ENDED = range(4)
_CLOSE = 255
_FRAME = 32 * 1024


async def serve_exec(
    pod: Json, request: web.Request, scripts: Scripts, protocols: tuple[str, ...]
) -> web.StreamResponse:
    query = request.query
    words = tuple(query.getall("command", []))
    if not words:
        raise bad_request("you must specify at least one command for the container")
    container = _container(pod, query.get("container", ""))
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=1 << 20)
    if not socket.can_prepare(request).ok:
        raise bad_request("Upgrade request required")
    await socket.prepare(request)
    execution = Execution(pod, container, words, _writer(socket, _STDOUT), _writer(socket, _STDERR))
    if query.get("stdin") not in ("true", "1"):
        execution.stdin.feed_eof()
    listening = asyncio.create_task(_listen(socket, execution))
    running = asyncio.create_task(run(execution, scripts))
    try:
        # a client that goes takes nothing with it: the program runs on, as in a real container, but nobody hears it
        await asyncio.wait({listening, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            with suppress(ConnectionError):
                await socket.send_bytes(bytes((_ENDED,)) + json.dumps(_status(running.result())).encode())
                await socket.close()
    finally:
        listening.cancel()
        running.cancel()
    return socket


def _container(pod: Json, asked: str) -> str:
    name, phase = pod["metadata"]["name"], pod["status"].get("phase", "Pending")
    if phase in ("Succeeded", "Failed"):
        raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
    names = [str(entry["name"]) for entry in pod["spec"]["containers"]]
    if asked and asked not in names:
        raise bad_request(f"container {asked} is not valid for pod {name}")
    if not asked and len(names) > 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    chosen = asked or names[0]
    statuses = pod["status"].get("containerStatuses") or []
    if not any(entry["name"] == chosen and "running" in entry["state"] for entry in statuses):
        raise bad_request(f'unable to upgrade connection: container not found ("{chosen}")')
    return chosen


def _writer(socket: web.WebSocketResponse, channel: int) -> Write:
    async def write(data: bytes) -> None:
        for first in range(0, len(data), _FRAME):
            with suppress(ConnectionError):
                await socket.send_bytes(bytes((channel,)) + data[first : first + _FRAME])

    return write


async def _listen(socket: web.WebSocketResponse, execution: Execution) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _STDIN:
            execution.stdin.feed_data(data)
        elif channel == _CLOSE and data[:1] == bytes((_STDIN,)):
            execution.stdin.feed_eof()


def _status(code: int) -> Json:
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
