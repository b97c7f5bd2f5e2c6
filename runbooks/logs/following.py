"""Following logs for a bounded time: new lines of all pods as they come, merged in time order, redacted.

Streams are gathered for a moment, sorted by the kubelet's stamps, and given out together. One that ends or falls silent (a restart, a
half-open connection) is taken up again behind its last line; pods that come meanwhile are followed too. Whoever reads slower than
the pods write loses the oldest lines of a moment, and is told how many.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

from runbooks.clients.cluster import ClusterClient
from runbooks.kit.errors import RunbookError
from runbooks.kit.redaction import Scope, default_redactor
from runbooks.kit.redaction_blocks.lines import Lines
from runbooks.kit.targets import Environment, Frozen
from runbooks.logs.blocks import Blocks, is_stamped, stamp_of, stamped
from runbooks.logs.grouping import Grouping
from runbooks.logs.matching import Pattern
from runbooks.logs.model import LogLine, Silent
from runbooks.logs.newest import Entry
from runbooks.logs.reading import Asked, shown
from runbooks.logs.sources import Source, sources

_GATHERED = 1500
"""Lines of one moment that are kept."""
_SILENCE = 20.0
_PAUSE = 0.5
_STREAMS = 100
_DIGITS = len("2026-01-01T00:00:00.000000")


class Fresh(Frozen):
    """What came in one moment."""

    lines: tuple[LogLine, ...] = ()
    skipped: int = 0
    """Lines of this moment that are left out, because there were too many."""
    silent: tuple[Silent, ...] = ()
    """Streams that can't be followed just now."""
    streams: int = 0


async def follow(
    cluster: ClusterClient, environment: Environment, asked: Asked, *, moment: float = 0.7
) -> AsyncGenerator[Fresh]:
    """New lines, until it is closed; something every `moment` seconds, if only that nothing came. Raises where there is nothing to follow."""
    pattern = Pattern(asked.grep) if asked.grep else None
    found = await sources(cluster, environment, asked.target, every_container=asked.every_container)
    scope = default_redactor().scope()
    work = _Following(cluster, environment, asked, Grouping(pattern), pattern, scope)
    for source in found.found:
        work.begin(source)
    if found.selector:
        work.watch(found.selector)
    # tasks of its own, no group: each part of a generator may run in another task
    try:
        while True:
            await asyncio.sleep(moment)
            entries, skipped = work.taken()
            lines, _, _ = shown(entries, work.labels, scope)
            yield Fresh(
                lines=tuple(lines), skipped=skipped, silent=tuple(work.silent.values()), streams=len(work.labels)
            )
    finally:
        await work.close()


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
        self._gathered: list[Entry] = []
        self._skipped = 0
        self.labels: list[str] = []
        self.silent: dict[str, Silent] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._lines: dict[int, Lines] = {}

    def begin(self, source: Source) -> None:
        """Follows it, once."""
        key = (source.pod, source.container)
        if key in self._known or len(self._known) >= _STREAMS:
            return
        self._known.add(key)
        self.labels.append(source.label)
        self._tasks.append(asyncio.create_task(self._one(source, len(self.labels) - 1)))

    def watch(self, selector: str) -> None:
        """Follows pods that come while it goes on."""
        self._tasks.append(asyncio.create_task(self._newcomers(selector)))

    async def close(self) -> None:
        """Ends all streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def taken(self) -> tuple[list[Entry], int]:
        """What was gathered since the last time, oldest first. Raises what a stream met that nobody foresaw."""
        for task in self._tasks:
            if task.done():
                task.result()
        for number, lines in self._lines.items():
            self._gather(lines.pause(), number)
        entries, skipped = sorted(self._gathered, key=lambda entry: entry[:2]), self._skipped
        self._gathered, self._skipped = [], 0
        return entries, skipped

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
            self.begin(source)

    async def _one(self, source: Source, number: int) -> None:
        last = stamped(self._begun - timedelta(seconds=1))
        lines = self._scope.lines()  # a block that began before a break goes on behind it
        self._lines[number] = lines
        while True:
            try:
                last = await self._stream(source, number, last, lines)
                self.silent.pop(source.label, None)
            except RunbookError as error:
                if not isinstance(error.__cause__, TimeoutError):  # silence alone says nothing: an idle pod has it too
                    why = " ".join(default_redactor().text((*error.evidence, error.message)[0]).split())[:200]
                    self.silent[source.label] = Silent(pod=source.label, why=why)
            await asyncio.sleep(_PAUSE)

    async def _stream(self, source: Source, number: int, last: str, lines: Lines) -> str:
        """The stamp of the last line that came."""
        blocks = Blocks()
        since = datetime.fromisoformat(f"{last[:_DIGITS]}+00:00")
        stream = self._cluster.logs(
            source.namespace, source.pod, source.container, since=since, timestamps=True, follow=True, silence=_SILENCE
        )
        try:
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    self.silent.pop(source.label, None)
                    last = self._take(blocks.feed(chunk), number, last, lines)
        except RunbookError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
        last = self._take(blocks.rest(), number, last, lines)
        self._gather(lines.end(), number)
        return last

    def _take(self, block: bytes, number: int, last: str, lines: Lines) -> str:
        if not block:
            return last
        # a stream that was taken up again begins with the whole second of its last line
        fresh = [line for line in block.split(b"\n")[:-1] if is_stamped(line) and stamp_of(line) > last]
        self._gather(lines.feed(b"".join(line + b"\n" for line in fresh)), number)
        return max(last, *(stamp_of(line) for line in block.split(b"\n")[-2:]))

    def _gather(self, block: bytes, number: int) -> None:
        if not block:
            return
        found = self._pattern.lines(block) if self._pattern is not None else block.split(b"\n")[:-1]
        for line in self._grouping.take(found, number):
            self._gathered.append((stamp_of(line), number, line))
        if len(self._gathered) > _GATHERED:
            self._skipped += len(self._gathered) - _GATHERED
            self._gathered = sorted(self._gathered, key=lambda entry: entry[:2])[-_GATHERED:]
