"""Lines of logs as people read them, and the card of a log that is followed: the newest lines, how many came, until when."""

from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from commands.kit.card import (
    Attachment,
    Button,
    Card,
    Code,
    Element,
    Moment,
    Note,
    Preformatted,
    State,
    Strong,
    Typed,
    words,
)
from commands.kit.follows import Going, LiveState
from runbooks import logs
from runbooks.kit.answers import read_stamp
from runbooks.wording import by_count, counted, duration

if TYPE_CHECKING:
    from commands.kit.context import Context

LONGEST_FOLLOW = 600
"""Seconds."""
_IN_MESSAGE = 15
_KEPT = 5000
_KEPT_BYTES = 4_000_000


def line_of(line: logs.LogLine, zone: tzinfo | None) -> str:
    """`x2lqp 14:02:31 ERROR connection refused`."""
    at = moment_of(line.at)
    shown = f"{at.astimezone(zone):%H:%M:%S}" if at is not None else "--:--:--"
    return f"{line.pod} {shown} {line.text}"


def record_of(line: logs.LogLine) -> dict[str, object]:
    """The same for `--json`."""
    return {"kind": "line", **line.model_dump(mode="json", exclude_defaults=True)}


def moment_of(stamp: str) -> datetime | None:
    """Return the kubelet's stamp as a point in time; None where a line has none, or none that a clock shows."""
    known = read_stamp(stamp[:26])
    return datetime.fromisoformat(known) if known else None


async def followed(context: "Context", asked: logs.Asked, seconds: int, typed: str) -> AsyncGenerator[LiveState]:
    """The states of a followed log: at once, whenever something is new, and a last one; for `LONGEST_FOLLOW` at most."""
    going = context.follows.begin(context.where.name)
    shown = _Followed(context, asked, going, seconds, typed)
    try:
        async with aclosing(logs.follow(context.cluster, context.where, asked)) as moments:
            yield shown.state(await anext(moments))
            async for fresh in moments:
                if going.stopped.is_set() or datetime.now(UTC) >= shown.until:
                    if fresh.lines:
                        yield shown.state(fresh)
                    break
                if fresh.lines or fresh.gaps or fresh.silent != shown.silent or fresh.streams != shown.streams:
                    yield shown.state(fresh)
        yield shown.ended()
    finally:
        context.follows.end(going)


class _Followed:
    def __init__(self, context: "Context", asked: logs.Asked, going: Going, seconds: int, typed: str) -> None:
        self._zone = context.now.tzinfo
        self._name = context.now.tzname() or "UTC"
        self._where = context.where.name
        self._shown = context.where.shown
        self._asked = asked
        self._going = going
        self._typed = typed
        self._began = datetime.now(UTC)
        self._capped = seconds > LONGEST_FOLLOW
        self.until = self._began + timedelta(seconds=min(seconds, LONGEST_FOLLOW))
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._bytes = 0
        self._count = 0
        self._skipped = 0
        self._levels: Counter[logs.LogLevel] = Counter()
        self.silent: tuple[logs.Silent, ...] = ()
        self.streams = 0

    def take(self, fresh: logs.Fresh) -> list[str]:
        """Counts and keeps what is new; the lines as they are read."""
        lines = [line_of(line, self._zone) for line in fresh.lines]
        self._count += len(lines) + fresh.skipped
        self._skipped += fresh.skipped
        self._levels.update(line.level for line in fresh.lines)
        self.silent, self.streams = fresh.silent, fresh.streams
        for line in lines:
            if len(self._kept) == _KEPT:
                self._bytes -= len(self._kept[0])
            self._kept.append(line)
            self._bytes += len(line)
        while self._bytes > _KEPT_BYTES:
            self._bytes -= len(self._kept.popleft())
        return lines

    def state(self, fresh: logs.Fresh) -> LiveState:
        lines = self.take(fresh)
        records = tuple(map(record_of, fresh.lines))
        stop = Button(label="Stop", does=Typed(text=f"logs stop {self._going.id} --env {self._where}"))
        title = f"Following {self._asked.target} in {self._shown}"
        card = Card(
            state=State.RUNNING,
            title=words(Strong(text=title), f" · {self._counted()} · until ", Moment(at=self.until)),
            summary=f"{title}: {self._counted()}",
            body=(*self._body(file=False), *self._notes()),
            buttons=(stop,),
            data={"follow": self._going.id, "lines": self._count},
            records=records,
        )
        fresh_lines = [
            f"… {counted(fresh.skipped, 'line')} {by_count(fresh.skipped, 'was', 'were')} omitted here: they arrive faster than they can be shown."
        ] * (fresh.skipped > 0)
        gaps = [
            f"… {label} could not be followed for a while: some of its lines may be missing here."
            for label in fresh.gaps
        ]
        return LiveState(card=card, fresh=(*gaps, *fresh_lines, *lines), records=records)

    def ended(self) -> LiveState:
        took = duration((datetime.now(UTC) - self._began).total_seconds())
        title = f"Followed {self._asked.target} in {self._shown} for {took}"
        by = (
            f", stopped {self._going.by if self._going.by.startswith('because') else 'by ' + self._going.by}"
            if self._going.by
            else ""
        )
        card = Card(
            state=State.ENDED,
            title=words(Strong(text=title), f"{by} · {self._counted()}"),
            summary=f"{title}{by}: {self._counted()}",
            body=(*self._body(file=True), *self._notes()),
            buttons=(Button(label="Continue", does=Typed(text=self._typed)),),
            data={"follow": self._going.id, "lines": self._count},
        )
        return LiveState(card=card, said=f"{title}{by}: {self._counted()}.")

    def _counted(self) -> str:
        return f"{counted(self._count, 'line')} of {counted(self.streams, 'pod')}"

    def _body(self, *, file: bool) -> Iterator[Element]:
        levels = [
            f"{level} {self._levels[level]:,}"
            for level in logs.LogLevel
            if level is not logs.LogLevel.NONE and self._levels[level]
        ]
        if levels:
            yield Note(text=words(" · ".join(levels)))
        newest = list(self._kept)[-_IN_MESSAGE:]
        if not newest:
            yield Note(text=words("No lines yet." if not file else "There were no lines."))
            return
        label = (
            f"The newest {len(newest)} (times in {self._name})"
            if self._count > len(newest)
            else f"Times in {self._name}"
        )
        yield Preformatted(label=label, text="\n".join(newest), log=True)
        if file and self._count > len(newest):
            all_of = "all" if self._count == len(self._kept) else "the newest"
            yield Attachment(
                filename=f"{self._asked.target}-{self._began.astimezone(self._zone):%H%M%S}.log",
                content="\n".join(self._kept) + "\n",
                summary=f"{all_of} {counted(len(self._kept), 'line')}, oldest first (times in {self._name})",
                log=True,
            )

    def _notes(self) -> Iterator[Element]:
        if self._asked.grep:
            yield Note(text=words("Only lines that match ", Code(text=self._asked.grep), "."))
        if self._skipped:
            yield Note(
                text=words(
                    f"{counted(self._skipped, 'line')} {by_count(self._skipped, 'is', 'are')} omitted: they arrived faster than they can be shown. ",
                    Code(text="--grep"),
                    " shows fewer.",
                )
            )
        if self._capped:
            yield Note(
                text=words(
                    f"A log can be followed for at most {duration(LONGEST_FOLLOW)}; run the command again for more."
                )
            )
        for each in self.silent:
            yield Note(text=words(Code(text=each.pod), f" can't be followed right now: {each.why}."))
