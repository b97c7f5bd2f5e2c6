"""`pods/log` over HTTP: tail, since, timestamps, previous, limits, and a stream that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import web

from sandbox.cluster.api import Api
from sandbox.cluster.clock import parse
from sandbox.cluster.errors import ApiError, bad_request
from sandbox.cluster.log_moods import Mood, mood_of
from sandbox.cluster.logs import Line, Log, log_of, statuses_of
from sandbox.cluster.resources import POD, Json

_CHUNK_LINES = 500
_LOOK_SECONDS = 1.0
_SENTENCE = b"failed to watch log file: too many open files\n"


def _true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


def _container(pod: Json, asked: str) -> str:
    names = [str(entry["name"]) for entry in pod["spec"]["containers"]]
    others = [
        str(entry["name"])
        for kind in ("initContainers", "ephemeralContainers")
        for entry in pod["spec"].get(kind) or []
    ]
    name = pod["metadata"]["name"]
    if asked:
        if asked not in [*names, *others]:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) > 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    return names[0]


def _chosen(pod: Json, container: str, *, previous: bool) -> Log | None:
    """The log that is asked for; None for a pod that no node has yet."""
    name = pod["metadata"]["name"]
    statuses = statuses_of(pod)
    status = next((entry for entry in statuses if entry["name"] == container), None)
    if status is None:
        return None
    log = log_of(pod, container, previous=previous)
    if log is not None:
        return log
    if previous:
        raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
    reason = (status["state"].get("waiting") or {}).get("reason", "ContainerCreating")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        reason = "trying and failing to pull image" if reason == "ImagePullBackOff" else "image can't be pulled"
    raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')


_LEAST = (("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1))


def _check(pod: Json, query: Mapping[str, str]) -> None:
    """What the options may say, and the real server's words for what they may not."""
    name = pod["metadata"]["name"]
    for option, least in _LEAST:
        if option in query and not query[option].removeprefix("-").isdecimal():
            raise bad_request(f'strconv.ParseInt: parsing "{query[option]}": invalid syntax')
        if option in query and int(query[option]) < least:
            more = "greater than 0" if least else "greater than or equal to 0"
            raise _invalid(name, option, f"Invalid value: {query[option]}: must be {more}")
    if "sinceSeconds" in query and "sinceTime" in query:
        raise _invalid(
            name, "", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified", "FieldValueForbidden"
        )


def _invalid(name: str, field: str, message: str, reason: str = "FieldValueInvalid") -> ApiError:
    details = {
        "name": name,
        "kind": "PodLogOptions",
        "causes": [{"reason": reason, "message": message, "field": field}],
    }
    return ApiError(422, "Invalid", f'PodLogOptions "{name}" is invalid: {field}: {message}', details)


def _text(lines: list[Line], *, timestamps: bool) -> bytes:
    return "".join((line.stamped() if timestamps else line.text) + "\n" for line in lines).encode()


def _since(query: Mapping[str, str], now: datetime) -> datetime | None:
    if "sinceSeconds" in query:
        return now - timedelta(seconds=int(query["sinceSeconds"]))
    return parse(query["sinceTime"]) if "sinceTime" in query else None


async def serve_log(api: Api, pod: Json, request: web.Request) -> web.StreamResponse:
    query = request.query
    _check(pod, query)
    container = _container(pod, query.get("container", ""))
    log = _chosen(pod, container, previous=_true(query, "previous"))
    now = api.clock.now()
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    if log is None:
        await response.prepare(request)
        return response
    since = _since(query, now)
    last = int(query["tailLines"]) if "tailLines" in query else None
    stamps = _true(query, "timestamps")
    left = int(query["limitBytes"]) if "limitBytes" in query else None
    await response.prepare(request)
    printed = api.printed.get(pod["metadata"]["uid"], {}).get(container)
    if printed is not None:
        async for lines in printed.read(last=last, since=since, follow=_true(query, "follow")):
            await response.write(_text(lines, timestamps=stamps)[:left])
        return response
    mood = mood_of(pod)
    if mood is Mood.HANG:
        await asyncio.Event().wait()  # until whoever reads has gone
    if mood is Mood.LOST:
        await response.write(b"unable to retrieve container logs for containerd://0f1e2d3c")
        return response
    number = log.next_number(now)
    present = list(log.until(now, last=last, since=since))
    for first in range(0, len(present), _CHUNK_LINES):
        data = _text(present[first : first + _CHUNK_LINES], timestamps=stamps)
        if left is not None:
            data, left = data[:left], max(0, left - len(data))
        await response.write(data)
    if _true(query, "follow") and left is None:
        await _follow(api, pod, container, log, number, response, stamps=stamps)
    return response


async def _follow(
    api: Api, pod: Json, container: str, log: Log, number: int, response: web.StreamResponse, *, stamps: bool
) -> None:
    """Go on until the container ends or the client goes."""
    metadata = pod["metadata"]
    while True:
        now = api.clock.now()
        current = api.store.get(POD, metadata["namespace"], metadata["name"])
        if current is None or current["metadata"]["uid"] != metadata["uid"] or not _runs(current, container):
            return
        lines = []
        while log.due(number) <= now:
            lines.append(log.line(number))
            number += 1
            if log.ends_streams(number):
                break
        if lines:
            said = _SENTENCE if mood_of(pod) is Mood.SENTENCE else b""
            await response.write(said + _text(lines, timestamps=stamps))
            if log.ends_streams(number):
                return
        wait = (log.due(number) - now).total_seconds()
        await asyncio.sleep(min(_LOOK_SECONDS, max(0.01, wait)))


def _runs(pod: Json, container: str) -> bool:
    statuses = statuses_of(pod)
    return any(entry["name"] == container and "running" in entry["state"] for entry in statuses)
