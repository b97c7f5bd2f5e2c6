"""Following of logs for a limited time: new lines of all pods as they arrive, merged in time order, redacted.

Streams are collected for a moment, merged by the kubelet's timestamps, and returned together. One that ends or goes silent (a restart, a
rotated log, a half-open connection) is resumed after its last line; new pods are followed too. A reader that is slower than
the pods loses the oldest lines of a moment, and is told how many.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import end
from runbooks.logs.blocks import Blocks, stamped
from runbooks.logs.grouping import Grouping
from runbooks.logs.matching import Pattern
from runbooks.logs.model import LogLine, Silent
from runbooks.logs.newest import Entry, Newest
from runbooks.logs.reading import Asked, shown
from runbooks.logs.resuming import Resuming
from runbooks.logs.sources import LogSource, sources
from runbooks.redaction.blocks.lines import Lines
from runbooks.redaction.redactor import Scope, default_redactor

_GATHERED = 1500
"""Number of lines kept per moment, and requested when a stream is resumed."""
_SILENCE = 20.0
_PAUSE = 0.5
_LONGEST_PAUSE = 4.0
"""Pause between attempts without new lines, since each reads the newest lines again."""
_STREAMS = 100


class Fresh(Frozen):
    """The lines of one moment."""

    lines: tuple[LogLine, ...] = ()
    skipped: int = 0
    """Number of lines of this moment that were omitted because there were too many."""
    silent: tuple[Silent, ...] = ()
    """Streams that can't be followed right now."""
    gaps: tuple[str, ...] = ()
    """Streams that were resumed so late that earlier lines may be missing."""
    streams: int = 0


async def follow(
    cluster: ClusterClient, environment: Environment, asked: Asked, *, moment: float = 0.7
) -> AsyncGenerator[Fresh]:
    """Yield new lines until closed, at least an empty result every `moment` seconds. Raises if there is nothing to follow."""
    pattern = Pattern(asked.grep) if asked.grep else None
    found = await sources(cluster, environment, asked.target, every_container=asked.every_container)
    scope = default_redactor().scope()
    work = _Following(cluster, environment, asked, Grouping(pattern), pattern, scope)
    for source in found.found:
        work.begin(source)
    if found.selector:
        work.watch(found.selector)
    # separate tasks instead of a group, because each part of a generator may run in another task
    try:
        while True:
            await asyncio.sleep(moment)
            entries, skipped = work.taken()
            lines, _, _ = shown(entries, work.labels, scope)
            yield Fresh(
                lines=tuple(lines), skipped=skipped, silent=tuple(work.silent.values()), streams=len(work.labels),
                gaps=work.gaps(),
            )  # fmt: skip
    finally:
        await work.close()


@dataclass(frozen=True, slots=True)
class _Stream:
    source: LogSource
    number: int
    resuming: Resuming
    lines: Lines
    """Blocks that began before a break continue after it."""


class _Following:
    def __init__(
        self,
        cluster: ClusterClient,
        environment: Environment,
        asked: Asked,
        grouping: Grouping,
        pattern: Pattern | None,
        scope: Scope,
    ) -> None:
        self._cluster = cluster
        self._environment = environment
        self._asked = asked
        self._grouping = grouping
        self._pattern = pattern
        self._scope = scope
        self._begun = datetime.now(UTC)
        self._known: set[tuple[str, str]] = set()
        self._gathered = Newest(_GATHERED)
        self.labels: list[str] = []
        self.silent: dict[str, Silent] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: list[_Stream] = []

    def begin(self, source: LogSource, *, new: bool = False) -> None:
        """Follow the stream, once; all lines of a new stream are new."""
        key = (source.pod, source.container)
        if key in self._known or len(self._known) >= _STREAMS:
            return
        self._known.add(key)
        self.labels.append(source.label)
        resuming = Resuming("" if new else stamped(self._begun - timedelta(seconds=1)))
        stream = _Stream(source, len(self._streams), resuming, self._scope.lines())
        self._streams.append(stream)
        self._tasks.append(asyncio.create_task(self._one(stream, tail=_GATHERED if new else 1)))

    def watch(self, selector: str) -> None:
        """Follow pods that are created meanwhile."""
        self._tasks.append(asyncio.create_task(self._newcomers(selector)))

    async def close(self) -> None:
        """End all streams."""
        await end(*self._tasks)

    def taken(self) -> tuple[list[Entry], int]:
        """Return the lines collected since the last call, oldest first. Raises a stream's unexpected error."""
        for task in self._tasks:
            if task.done():
                task.result()
        for stream in self._streams:
            self._take(stream, stream.resuming.pause())
            self._gather(stream.lines.pause(), stream.number)
        entries = self._gathered.entries()
        skipped = self._gathered.offered - len(entries)
        self._gathered = Newest(_GATHERED)
        return entries, skipped

    def gaps(self) -> tuple[str, ...]:
        """Return streams with possibly missing lines, each once."""
        found = [stream for stream in self._streams if stream.resuming.gap]
        for stream in found:
            stream.resuming.gap = False
        return tuple(stream.source.label for stream in found)

    async def _newcomers(self, selector: str) -> None:
        while True:
            with suppress(RunbookError):
                async with aclosing(self._cluster.watch_pods(self._environment.namespace, selector)) as seen:
                    async for each in seen:
                        if each.kind == "changed" and each.view is not None and each.view.phase == "Running":
                            await self._look_again()
            await asyncio.sleep(_PAUSE)

    async def _look_again(self) -> None:
        found = await sources(
            self._cluster, self._environment, self._asked.target, every_container=self._asked.every_container
        )
        for source in found.found:
            self.begin(source, new=True)

    async def _one(self, stream: _Stream, tail: int) -> None:
        label, pause = stream.source.label, _PAUSE
        while True:
            try:
                pause = _PAUSE if await self._read(stream, tail) else min(pause * 2, _LONGEST_PAUSE)
                self.silent.pop(label, None)
            except RunbookError as error:
                if not isinstance(
                    error.__cause__, TimeoutError
                ):  # silence alone means nothing: an idle pod is silent too
                    why = " ".join(default_redactor().text((*error.evidence, error.message)[0]).split())[:200]
                    self.silent[label] = Silent(pod=label, why=why)
                pause = _PAUSE
            await asyncio.sleep(pause)
            tail = _GATHERED

    async def _read(self, stream: _Stream, tail: int) -> bool:
        """Return whether there was anything new before the stream ended."""
        source, blocks, resuming = stream.source, Blocks(), stream.resuming
        resuming.connect(tail)
        log = self._cluster.logs(
            source.namespace, source.pod, source.container, tail=tail, timestamps=True, follow=True, silence=_SILENCE
        )
        new = False
        async with aclosing(log) as chunks:
            async for chunk in chunks:
                self.silent.pop(source.label, None)
                new |= self._take(stream, resuming.fresh(_lines(blocks.feed(chunk))))
        new |= self._take(stream, resuming.fresh(_lines(blocks.rest())) + resuming.end())
        self._gather(stream.lines.end(), stream.number)
        return new

    def _take(self, stream: _Stream, lines: list[bytes]) -> bool:
        if lines:
            self._gather(stream.lines.feed(b"".join(line + b"\n" for line in lines)), stream.number)
        return bool(lines)

    def _gather(self, block: bytes, number: int) -> None:
        found = self._pattern.lines(block) if self._pattern is not None else _lines(block)
        self._gathered.offer(self._grouping.take(found, number), number)


def _lines(block: bytes) -> list[bytes]:
    return block.split(b"\n")[:-1]
