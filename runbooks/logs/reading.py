"""Reading of the logs of a service's pods: side by side, filtered as bytes, grouped, merged in time order, in bounded memory.

A pod that does not answer is named, and the others are shown. All returned text is redacted (`unredacted` has the exception); text
that a pattern matches only in redacted parts counts as no match (`matching`).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import end
from runbooks.logs.blocks import Blocks, Window, is_stamped, stamp_of, stamped
from runbooks.logs.grouping import Grouping
from runbooks.logs.matching import Pattern, text_of
from runbooks.logs.model import LogCounts, LogLine, LogReading, Silent
from runbooks.logs.newest import Entry, Newest
from runbooks.logs.parsing import read as read_line
from runbooks.logs.sources import LogSource, LogSources, sources
from runbooks.redaction.marks import MARK
from runbooks.redaction.redactor import PrivateKind, Scope, default_redactor
from runbooks.wording import by_count, counted

MOST = 5000
"""Lines that one answer may have."""
SHAPES = 8
"""Shapes that a summary lists."""
LONGEST_LINE = 4000
"""Characters of a line that are shown."""

_TOGETHER = 1000
"""Lines of a stream that are grouped at once, where its blocks have that few: lines that are alike are then counted once for all."""
_TOGETHER_BYTES = 128 * 1024
_AT_ONCE = 40
"""Streams that are open at the same time: each has buffers of its own."""
_NODES_WORDS = (b"unable to retrieve container logs", b"failed to try resolving symlinks", b"rpc error: code =")
"""Beginnings of the kubelet's own messages, which it sends instead of a log with status 200."""


class LogLimits(Frozen):
    """Seconds. Tests make them short."""

    stream: float = 12.0
    """For one stream, from asking to its end."""
    silence: float = 5.0
    """A stream without data for this time is considered dead."""
    all: float = 15.0
    """For all streams: less than the time limit of a query."""


class Asked(Frozen):
    """What to read."""

    target: str
    """A service, a pod, or the end of a pod's name."""
    tail: int = 100
    since: datetime | None = None
    until: datetime | None = None
    grep: str | None = None
    previous: bool = False
    every_container: bool = False
    before: datetime | None = None
    """Only pods that existed at that time."""


async def read(
    cluster: ClusterClient, environment: Environment, asked: Asked, *, limits: LogLimits | None = None
) -> LogReading:
    """Return the newest matching lines, and the summary of all of them."""
    found = await sources_of(cluster, environment, asked)
    return await read_from(cluster, asked, found, default_redactor().scope, limits)


async def sources_of(cluster: ClusterClient, environment: Environment, asked: Asked) -> LogSources:
    """Return what would be read, without any lines."""
    return await sources(
        cluster,
        environment,
        asked.target,
        every_container=asked.every_container,
        previous=asked.previous,
        before=asked.before,
    )


async def read_from(
    cluster: ClusterClient, asked: Asked, found: LogSources, scope: Callable[[], Scope], limits: LogLimits | None = None
) -> LogReading:
    """The same from these streams; `scope` takes out of the lines what is not to be seen."""
    pattern = Pattern(asked.grep) if asked.grep else None
    work = _Work(cluster, asked, pattern, limits or LogLimits(), scope)
    readers = [_Reader(work, source, number) for number, source in enumerate(found.found)]
    await _all(readers, work.limits.all)
    labels = [source.label for source in found.found]
    lines, removed, cut = shown(work.newest.entries(), labels, work.marks)
    return LogReading(
        title=found.title,
        counts=LogCounts(
            streams=len(found.found),
            read=sum(reader.lines for reader in readers),
            matching=work.grouping.lines,
            shown=len(lines),
            each=(work.tail or 0) if any(reader.more for reader in readers) else 0,
        ),
        lines=tuple(lines),
        groups=work.grouping.groups(SHAPES),
        labels=tuple(labels),
        begins=tuple(reader.begins for reader in readers),
        oldest=lines[0].at if lines else "",
        cut=cut,
        removed=removed,
        silent=tuple(Silent(pod=reader.label, why=reader.why) for reader in readers if reader.why),
        notes=(*found.notes, *(note for reader in readers for note in reader.notes()), *_later(readers)),
    )


def _later(readers: list["_Reader"]) -> list[str]:
    """Return how many lines `until` omitted. Lines explained by a clock change are reported with their pod."""
    count = sum(reader.window.later - reader.window.between for reader in readers)
    if not count:
        return []
    least = "At least " if any(reader.window.over for reader in readers) else ""
    return [f"{least}{counted(count, 'line')} {by_count(count, 'is', 'are')} omitted because of a later time."]


async def _all(readers: list["_Reader"], seconds: float) -> None:
    """Mark streams that have not started or finished when the time is over."""
    tasks = [asyncio.create_task(reader.read()) for reader in readers]
    if not tasks:
        return
    try:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        await end(*late)
        for task in tasks:
            if not task.cancelled():
                task.result()  # a bug, or a text that could not be checked: nothing is returned
    finally:
        for task in tasks:
            task.cancel()


class _Work:
    """What the streams of one answer share."""

    def __init__(
        self,
        cluster: ClusterClient,
        asked: Asked,
        pattern: Pattern | None,
        limits: LogLimits,
        scope: Callable[[], Scope],
    ) -> None:
        self.cluster = cluster
        self.asked = asked
        self.pattern = pattern
        self.limits = limits
        self.newest = Newest(min(asked.tail, MOST))
        self.grouping = Grouping(pattern, scope)
        self.marks = scope()
        """For what is shown, and for blocks, which are redacted as they are read: equal values get equal marks in both."""
        self.places = asyncio.Semaphore(_AT_ONCE)
        # without a pattern or a window the kubelet itself can cut; otherwise every line must be read, also for a summary only
        whole = pattern is None and asked.since is None and asked.until is None and asked.tail > 0
        self.tail = min(asked.tail, MOST) if whole else None


class _Reader:
    """One stream."""

    def __init__(self, work: _Work, source: LogSource, number: int) -> None:
        self._work = work
        self._source = source
        self._number = number
        self._blocks = Blocks()
        self._lines = work.marks.lines()
        self._found: list[bytes] = []
        self._found_bytes = 0
        asked = work.asked
        self.window = Window(stamped(asked.since) if asked.since else "", stamped(asked.until) if asked.until else "")
        self.label = source.label
        self.lines = 0
        self.begins = ""
        self.why = "not read in time"

    @property
    def more(self) -> bool:
        """The kubelet may have older lines."""
        return self._work.tail is not None and self.lines >= self._work.tail

    def notes(self) -> list[str]:
        found: list[str] = []
        if dropped := self._blocks.dropped:
            found.append(
                f"{self.label} has very long lines; {counted(dropped, 'byte')} of them {by_count(dropped, 'was', 'were')} not searched."
            )
        if between := self.window.between:
            found.append(
                f"The clock of {self.label}'s node was set back: {counted(between, 'line')} in between had a later time and"
                f" {by_count(between, 'is', 'are')} omitted."
            )
        return found

    async def read(self) -> None:
        async with self._work.places:
            limit = self._work.limits.stream
            try:
                async with asyncio.timeout(limit):
                    await self._stream()
                self.why = self.why if self.why != "not read in time" else ""
            except TimeoutError:
                self.why = f"not finished within {limit:g} s, so the newest lines are missing; use a shorter --since"
            except RunbookError as error:
                if isinstance(error.__cause__, TimeoutError):
                    self.why = f"no data for {self._work.limits.silence:g} s"
                    return
                self.why = " ".join(default_redactor().text((*error.evidence, error.message)[0]).split())[:200]
            finally:
                self._take(self._lines.end())
                self._hand_over()

    async def _stream(self) -> None:
        asked = self._work.asked
        stream = self._work.cluster.logs(
            self._source.namespace,
            self._source.pod,
            self._source.container,
            tail=self._work.tail,
            since=asked.since,
            previous=asked.previous,
            timestamps=True,
            silence=self._work.limits.silence,
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if self._read(self._blocks.feed(chunk)):
                    return
        self._read(self._blocks.rest())

    def _read(self, block: bytes) -> bool:
        """True: what comes next need not be read."""
        if not block:
            return False
        if not self.lines and not is_stamped(block) and block.startswith(_NODES_WORDS):
            self.why = "the node reports: " + " ".join(default_redactor().text(block.decode()).split())[:200]
            return True
        block = self.window.within(block)
        if block:
            self.begins = self.begins or stamp_of(block)
            self.lines += block.count(b"\n")
            # before a pattern selects lines, because a single line does not show which block it belongs to
            self._take(self._lines.feed(block))
        return self.window.over

    def _take(self, block: bytes) -> None:
        if not block:
            return
        pattern = self._work.pattern
        lines = pattern.lines(block) if pattern is not None else block.split(b"\n")[:-1]
        self._found += lines
        self._found_bytes += sum(map(len, lines))
        if len(self._found) >= _TOGETHER or self._found_bytes >= _TOGETHER_BYTES:
            self._hand_over()

    def _hand_over(self) -> None:
        lines, self._found, self._found_bytes = self._found, [], 0
        self._work.newest.offer(self._work.grouping.take(lines, self._number), self._number)


def shown(entries: list[Entry], labels: Sequence[str], scope: Scope) -> tuple[list[LogLine], dict[str, int], int]:
    """Return the redacted lines, what was removed from them, and how many were cut."""
    removed: dict[PrivateKind, int] = {}
    lines: list[LogLine] = []
    cut = 0
    for order, source, raw in entries:
        text = text_of(raw) if is_stamped(raw) else raw
        at = stamp_of(raw) or order  # its own time; the sort key may be later if the clock was set back
        for mark in MARK.finditer(text):  # of a block
            kind = PrivateKind(mark.group()[1:].rpartition(b" ")[0].decode())
            removed[kind] = removed.get(kind, 0) + 1
        redacted = scope.redact(text.decode(errors="replace"))
        for kind, count in redacted.counts.items():
            removed[kind] = removed.get(kind, 0) + count
        said = read_line(redacted.text)
        whole = redacted.text
        if len(whole) > LONGEST_LINE:
            cut += 1
            whole = f"{whole[:LONGEST_LINE]} … ({counted(len(whole) - LONGEST_LINE, 'character')} more)"
        lines.append(
            LogLine(
                at=at,
                pod=labels[source],
                text=whole,
                level=said.level,
                message=said.message[:LONGEST_LINE] if said.is_json else "",
                trace=said.trace,
            )
        )
    return lines, {str(kind): count for kind, count in removed.items()}, cut
