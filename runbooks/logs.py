"""The last lines of a service's pods: read side by side, filtered as bytes, merged in time order, within bounded memory.

A pattern is tried on whole chunks first, which is ten times faster than line by line; a hit is then checked against its line
without the kubelet's time stamp. What is kept is redacted, and a line that matched only by what redaction hides is dropped: the
pattern must not become a way to ask for what may not be read.
"""

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from runbooks.clients.cluster import ClusterClient
from runbooks.clients.cluster_views import PodView
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.redaction import Scope, default_redactor
from runbooks.kit.targets import Environment, Frozen

MOST = 5000
"""Lines that one answer may have."""
_POD_DEADLINE = 12.0
"""Seconds for one pod's log; one that is slower is named, the others are shown."""
_LONGEST_LINE = 4000
"""Characters of a line that are kept."""
_LONGEST_RAW = 2 * _LONGEST_LINE
_ANCHORS = ("^", "$", "\\A", "\\z")

Entry = tuple[str, int, int, bytes]


class LogLine(Frozen):
    """One line, as the container wrote it, redacted."""

    at: str
    """When the kubelet got it: RFC 3339, UTC, always nine digits of a second, so that it sorts as text."""
    pod: str
    """The end of the pod's name, enough to tell the pods of a service apart."""
    text: str


class Tail(Frozen):
    """The newest lines of all pods, oldest first."""

    lines: tuple[LogLine, ...]
    left_out: int
    """Lines that matched and are older than the first one here."""
    more: bool = False
    """There are older lines that were not read, because the newest were enough."""
    hidden: int = 0
    """Lines that matched only by what redaction hides."""
    silent: tuple[tuple[str, str], ...]
    """(pod, why) of the pods that gave nothing, or not all."""


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
    pattern = _Pattern(grep) if grep else None
    deployment = await cluster.deployment(environment.namespace, found.deployment)
    pods = [pod for pod in await cluster.pods_of(deployment) if not pod.deleting]
    newest = _Newest(min(tail, MOST))
    readers = [
        _Reader(cluster, pod, found.container, newest, number, since_seconds, pattern)
        for number, pod in enumerate(pods)
    ]
    await asyncio.gather(*(reader.read() for reader in readers))
    lines, hidden = _redacted(newest, readers, pattern)
    return Tail(
        lines=tuple(lines),
        left_out=newest.offered - len(newest.kept),
        more=any(reader.cut for reader in readers),
        hidden=hidden,
        silent=tuple((reader.pod, reader.why) for reader in readers if reader.why),
    )


class _Pattern:
    """A person's pattern over the bytes of a log. It can't hang: RE2 is linear, and never looks across a line's end."""

    def __init__(self, grep: str) -> None:
        import re2

        options = re2.Options()
        options.log_errors = False
        options.never_nl = True
        try:
            self._compiled: Any = re2.compile(grep.encode(), options)
        except re2.error as error:
            said = error.args[0] if error.args else b""
            why = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise PermanentError(
                f"The pattern can't be used: {why[:120]}. Look-around and back-references are not supported (RE2).",
                code=ReasonCode.USAGE,
            ) from error
        self._anchored = any(anchor in grep for anchor in _ANCHORS)

    def matches(self, text: bytes) -> bool:
        return self._compiled.search(text) is not None

    def lines(self, block: bytes) -> Iterator[bytes]:
        """The lines of a block (which ends with a line's end) whose text matches."""
        if self._anchored:  # an anchor means the text's beginning, and a stamp stands before it
            for line in block.split(b"\n"):
                if line and self.matches(_text(line)):
                    yield line
            return
        at = 0
        while at < len(block) and (hit := self._compiled.search(block, at)) is not None:
            start = block.rfind(b"\n", at, hit.start()) + 1 or at
            end = block.find(b"\n", hit.start())
            line = block[start : end if end >= 0 else len(block)]
            if line and self.matches(_text(line)):
                yield line
            at = (end if end >= 0 else len(block)) + 1


class _Newest:
    """The newest lines over all pods: so many and no more are in memory, however much is read."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: list[Entry] = []
        self.offered = 0

    def offer(self, line: bytes, pod: int) -> None:
        stamp, _, text = line.partition(b" ")
        self.offered += 1
        entry = (_sortable(stamp), self.offered, pod, text[:_LONGEST_RAW])
        if len(self.kept) < self.most:
            heapq.heappush(self.kept, entry)
        else:
            heapq.heappushpop(self.kept, entry)


class _Reader:
    """One pod's log."""

    def __init__(
        self,
        cluster: ClusterClient,
        pod: PodView,
        container: str,
        newest: _Newest,
        number: int,
        since: int | None,
        pattern: _Pattern | None,
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._container = container
        self._newest = newest
        self._number = number
        self._since = since
        self._pattern = pattern
        # without a pattern the kubelet itself can cut; with one, or to count, every line has to be looked at
        self._tail = newest.most if pattern is None and since is None else None
        self.pod = pod.name.rsplit("-", 1)[-1]
        self.read_lines = 0
        self.why = ""

    @property
    def cut(self) -> bool:
        """The kubelet may have older lines."""
        return self._tail is not None and self.read_lines >= self._tail

    async def read(self) -> None:
        try:
            async with asyncio.timeout(_POD_DEADLINE):
                await self._stream()
        except TimeoutError:
            self.why = f"no end within {_POD_DEADLINE:g} s"
        except RunbookError as error:
            self.why = " ".join(default_redactor().text((*error.evidence, error.message)[0]).split())[:200]

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
                cut = chunk.rfind(b"\n") + 1
                if cut:
                    self._take(rest + chunk[:cut])
                    rest = chunk[cut:]
                elif len(rest) < _LONGEST_RAW:  # a line without an end does not fill the memory
                    rest += chunk
        if rest:
            self._take(rest)

    def _take(self, block: bytes) -> None:
        self.read_lines += block.count(b"\n")
        lines = self._pattern.lines(block) if self._pattern is not None else filter(None, block.split(b"\n"))
        for line in lines:
            self._newest.offer(line, self._number)


def _redacted(newest: _Newest, readers: list[_Reader], pattern: _Pattern | None) -> tuple[list[LogLine], int]:
    """Equal secrets get equal marks in the whole answer."""
    scope: Scope = default_redactor().scope()
    lines: list[LogLine] = []
    hidden = 0
    for at, _, pod, raw in sorted(newest.kept):
        text = scope.redact(raw.decode(errors="replace")).text[:_LONGEST_LINE]
        if pattern is not None and not pattern.matches(text.encode()):
            hidden += 1
        else:
            lines.append(LogLine(at=at, pod=readers[pod].pod, text=text))
    return lines, hidden


def _text(line: bytes) -> bytes:
    """Without the time stamp that the kubelet puts before it."""
    return line.partition(b" ")[2]


def _sortable(stamp: bytes) -> str:
    """The kubelet leaves out trailing zeros, and writes the node's own zone: neither sorts as text."""
    text = stamp.decode(errors="replace")
    if not text.endswith("Z"):
        try:
            text = datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        except ValueError:
            return text
    seconds, _, fraction = text[:-1].partition(".")
    return f"{seconds}.{fraction[:9].ljust(9, '0')}Z"
