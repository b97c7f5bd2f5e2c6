"""The last lines of a service's pods: read side by side, filtered as bytes, merged in time order, within bounded memory."""

import asyncio
from collections import deque
from contextlib import aclosing
from typing import Any

from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_views import PodView
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen

_POD_DEADLINE = 12.0
"""Seconds for one pod's log; one that is slower is named, the others are shown."""
_LONGEST_LINE = 4000
"""Characters of a line that are kept."""


class LogLine(Frozen):
    """One line, as the container wrote it."""

    at: str
    """As the kubelet stamps it (RFC 3339, nanoseconds), which sorts as text."""
    pod: str
    """The end of the pod's name, enough to tell the pods of a service apart."""
    text: str


class Tail(Frozen):
    """The newest lines of all pods, oldest first."""

    lines: tuple[LogLine, ...]
    left_out: int
    """Lines that matched and are older than the first one here."""
    silent: tuple[tuple[str, str], ...]
    """(pod, why) of the pods that gave nothing."""


async def tail(
    cluster: ClusterClient,
    environment: Environment,
    service: str,
    *,
    tail: int,
    since_seconds: int | None = None,
    grep: str | None = None,
) -> Tail:
    """The last `tail` lines over all pods of a service, of those that match `grep` (RE2, on bytes)."""
    found = environment.service(service)
    if found is None:
        raise PermanentError(f"There is no service {service} in {environment.name}.", code=ReasonCode.NOT_FOUND)
    deployment = await cluster.deployment(environment.namespace, found.deployment)
    pods = [pod for pod in await cluster.pods_of(deployment) if not pod.deleting]
    pattern = _compiled(grep) if grep else None
    readers = [_Reader(cluster, pod, found.container, tail, since_seconds, pattern) for pod in pods]
    await asyncio.gather(*(reader.read() for reader in readers))
    merged = sorted((line for reader in readers for line in reader.lines), key=lambda line: line.at)
    kept = merged[-tail:]
    matched = sum(reader.matched for reader in readers)
    silent = tuple((reader.pod, reader.why) for reader in readers if reader.why)
    return Tail(lines=tuple(kept), left_out=matched - len(kept), silent=silent)


def _compiled(grep: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(grep.encode(), options)
    except re2.error as error:
        raise PermanentError("The pattern can't be used (RE2).", code=ReasonCode.USAGE) from error


class _Reader:
    """One pod's log: keeps the newest lines that match, counts the rest."""

    def __init__(
        self, cluster: ClusterClient, pod: PodView, container: str, tail: int, since: int | None, pattern: Any
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._container = container
        # without a pattern the kubelet itself can cut; with one every line has to be looked at
        self._tail = tail if pattern is None else None
        self._since = since
        self._pattern = pattern
        self._kept: deque[bytes] = deque(maxlen=tail)
        self.pod = pod.name.rsplit("-", 1)[-1]
        self.matched = 0
        self.why = ""

    @property
    def lines(self) -> list[LogLine]:
        """What was kept."""
        found = []
        for raw in self._kept:
            at, _, text = raw.decode(errors="replace").partition(" ")
            found.append(LogLine(at=at, pod=self.pod, text=text[:_LONGEST_LINE]))
        return found

    async def read(self) -> None:
        try:
            async with asyncio.timeout(_POD_DEADLINE):
                await self._stream()
        except TimeoutError:
            self.why = f"no end within {_POD_DEADLINE:g} s"
        except RunbookError as error:
            self.why = error.message

    async def _stream(self) -> None:
        rest = b""
        stream = self._cluster.logs(
            self._pod.namespace,
            self._pod.name,
            self._container,
            tail=self._tail,
            since_seconds=self._since,
            timestamps=True,
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                self._take(lines)
                rest = rest[: 4 * _LONGEST_LINE]  # a line without an end does not fill the memory
        self._take([rest] if rest else [])

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            _, _, text = line.partition(b" ")
            if self._pattern is None or self._pattern.search(text):
                self._kept.append(line)
                self.matched += 1
