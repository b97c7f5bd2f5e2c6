"""`logs SERVICE|POD`: all pods side by side in time order, a summary above the lines, redacted; long results as a file.

`--raw` is the exception: in a terminal, for who may, with a reason, lines as they are (`commands.kit.disclosure`).
"""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from commands.kit.card import (
    Attachment,
    Button,
    Card,
    Code,
    Element,
    Moment,
    Note,
    Plain,
    Preformatted,
    Strong,
    Table,
    Text,
    Typed,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context, RunRecord
from commands.kit.disclosure import Disclosed, Disclosure, RawLine
from commands.kit.follows import LiveState
from commands.kit.log_counts import count_words
from commands.kit.log_lines import followed, line_of, moment_of, record_of
from commands.kit.parsing import UsageError
from commands.kit.regions import RegionName, lines_of
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, argument, option
from commands.kit.typed_again import typed_again
from commands.kit.types import Duration, EnvironmentName, NumberType, Regex, RunId, Target, TextType, Until, moment
from runbooks import logs
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.observe import by_hand
from runbooks.redaction.unredacted import Unredacted
from runbooks.wording import counted, duration

_IN_MESSAGE = 20
"""Lines that stand in the message itself; more go to a file in the thread."""
_AROUND = timedelta(seconds=15)
"""A run's logs begin a little before it and end a little after it."""
_BESIDE_FILE = 10
"""Lines that stand in the message beside such a file."""
_PODS_NAMED = 3
_DEFAULT_TAIL = 100
_FOLLOWED = 120


class Logs(Observation):
    """Read logs: all pods of a service merged in time order, grouped, secrets and patient data removed."""

    meta = QueryMeta(
        permission="logs:read",
        examples=[
            "backend",
            "backend --since 15m --grep timeout",
            "backend --run 7KQ2",
            "backend-7c9f-x2lqp --previous",
            "backend --follow 2m",
        ],
        next=(FollowUp(command="describe"), FollowUp(command="diagnose")),
    )

    target: Target = argument("a service, or a pod by the end of its name")
    since: Duration | None = option("only lines newer than this")
    until: Until | None = option("only lines older than this time or age")
    run: RunId | None = option("only lines from the time of this run")
    tail: Annotated[int, NumberType(low=0, high=logs.MOST)] = option(
        "maximum number of lines from all pods; 0 for the summary only", default=_DEFAULT_TAIL
    )
    grep: Regex | None = option("only lines that match this pattern (RE2)")
    follow: Duration | None = option("keep showing new lines for this long; at most 10m")
    previous: bool = option("lines from before the last restart", default=False)
    all_containers: bool = option("lines of all containers of the pods", default=False)
    raw: bool = option(
        "unredacted lines: in a terminal only, and recorded in the audit log",
        default=False,
        terminal=True,
        permission="logs:raw",
    )
    reason: Annotated[str | None, TextType()] = option("why, for the audit log; required with `--raw`", terminal=True)
    region: RegionName | None = option("the region to read in; default: the home region")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    @property
    def discloses(self) -> bool:
        return self.raw

    def stream(self, context: Context) -> AsyncGenerator[LiveState] | None:
        if self.follow is None:
            return None
        if self.until or self.run or self.previous or self.since:
            raise PermanentError(
                "--follow shows new lines; --since, --until, --run and --previous show past ones. Use one or the other.",
                code=ReasonCode.USAGE,
            )
        return followed(
            context.within(self.region), self._asked(context, None), self.follow, again(self, context.where.name)
        )

    async def disclosure(self, context: Context) -> Disclosure:
        if self.follow is not None:
            raise UsageError(
                "`--raw` can't follow: the audit log names the pods before they are read, and following adds new ones. "
                "Omit `--follow`, and run the command again for newer lines."
            )
        if self.reason is None:
            raise UsageError('`--raw` needs a reason for the audit log: add `--reason "…"`.')
        context = context.within(self.region)
        record = await context.runs.find(self.run) if self.run else None
        asked = self._asked(context, record)
        return _Disclosure(self, context, record, asked, await logs.unread(context.cluster, context.where, asked))

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        record = await context.runs.find(self.run) if self.run else None
        options = [
            *([f"--since={self.since}s"] if self.since else []),
            *([f"--since-time={record.at:%Y-%m-%dT%H:%M:%SZ}"] if record else []),
        ]
        options += [
            word
            for word, asked in (
                ("--all-containers", self.all_containers),
                ("--previous", self.previous),
                ("-f", self.follow),
            )
            if asked
        ]
        return await lines_of(
            context,
            self.region or context.where.home,
            lambda place: by_hand.logs(place, self.target, options, self.grep, self.tail),
        )

    async def answer(self, context: Context) -> Card:
        if self.raw:
            raise PermanentError("Unredacted lines can't be shown in this way.", code=ReasonCode.BUG)
        context = context.within(self.region)
        record = await context.runs.find(self.run) if self.run else None
        asked = self._asked(context, record)
        found = await logs.read(context.cluster, context.where, asked)
        return LogCard(self, context, found, record, asked).card()

    def _asked(self, context: Context, record: RunRecord | None) -> logs.Asked:
        since = context.now - timedelta(seconds=self.since) if self.since else None
        until = moment(self.until, now=context.now, ahead=False) if self.until else None
        before = None
        if record is not None:
            _check_place(record, context.where.name)
            since = since or record.at - _AROUND
            before = record.ended + _AROUND if record.ended else None
            until = until or before
        if since and until and until <= since:
            raise PermanentError("--until is before --since.", code=ReasonCode.USAGE)
        return logs.Asked(
            target=self.target,
            tail=self.tail,
            since=since,
            until=until,
            grep=self.grep,
            previous=self.previous,
            every_container=self.all_containers,
            before=before,
        )


def _check_place(record: RunRecord, where: str) -> None:
    if record.environment != where:
        raise PermanentError(
            f"Run {record.short} belongs to {record.environment}: add `--env {record.environment}`.",
            code=ReasonCode.USAGE,
        )


@dataclass(frozen=True, slots=True)
class _Disclosure:
    """What `--raw` reads, and shows."""

    request: Logs
    context: Context
    record: RunRecord | None
    asked: logs.Asked
    unread: logs.Unread

    @property
    def streams(self) -> tuple[str, ...]:
        return self.unread.streams

    async def read(self) -> Disclosed:
        beside, lines = await self.unread.read()
        zone = self.context.now.tzinfo
        shown = tuple(RawLine(line_of(line, zone), record_of(line)) for line in lines.lines)
        return Disclosed(LogCard(self.request, self.context, beside, self.record, self.asked).card(), Unredacted(shown))


class LogCard:
    """The card of one reading."""

    def __init__(
        self, request: Logs, context: Context, found: logs.LogReading, record: RunRecord | None, asked: logs.Asked
    ) -> None:
        self._request = request
        self._asked = asked
        self._context = context
        self._found = found
        self._record = record
        self._lines = [self._line(line) for line in found.lines]
        self._counted = count_words(found, asked, context.now)

    def card(self) -> Card:
        found = self._found
        return Card(
            title=words(Strong(text=f"{found.title} in {self._context.where.shown}"), " · ", *self._counted.headline),
            summary=f"{found.title} in {self._context.where.shown}: {_words(self._counted.headline)}",
            body=(*self._summary(), *self._text(), *(Note(text=note) for note in self._notes())),
            buttons=() if self._request.raw else self._buttons(),  # each look gives its own reason
            data={
                "target": found.title,
                "read": found.counts.read,
                "matched": found.counts.matching,
                "shown": found.counts.shown,
                "left_out": found.counts.left_out,
                "levels": {str(level): count for level, count in found.groups.levels.items()},
                "shapes": [
                    {**shape.model_dump(mode="json", exclude={"sources"}), "pods": self._names(shape)}
                    for shape in found.groups.shapes
                ],
                "removed": found.removed,
                "silent": [each.model_dump(mode="json") for each in found.silent],
                "notes": list(found.notes),
                **({"raw": True} if self._request.raw else {}),
            },
            records=tuple(map(record_of, found.lines)),
        )

    def _summary(self) -> list[Element]:
        groups = self._found.groups
        levels = [f"{level} {count:,}" for level, count in groups.levels.items() if level is not logs.LogLevel.NONE]
        if levels and (rest := groups.levels.get(logs.LogLevel.NONE)):
            levels.append(f"no level {rest:,}")
        body: list[Element] = [Note(text=words(" · ".join(levels)))] if levels else []
        # a table of messages that were written once each says no more than the lines below it
        alone = all(shape.count == 1 for shape in groups.shapes) and not groups.rarer
        if groups.shapes and not (alone and not self._found.counts.left_out):
            rows = tuple(self._row(shape) for shape in groups.shapes)
            body.append(
                Table(
                    columns=("Times", "Level", "Message", "First to last", "Pods"),
                    rows=rows,
                    caption="Most frequent messages",
                )
            )
        if groups.rarer:
            body.append(Note(text=words(f"{counted(groups.rarer, 'line')} with rarer messages.")))
        return body

    def _row(self, shape: logs.Shape) -> tuple[Text, ...]:
        level = "" if shape.level is logs.LogLevel.NONE else str(shape.level)
        return (
            words(f"{shape.count:,}"), words(level), words(shape.text), _between(shape, self._context.now),
            words(", ".join(self._names(shape)) if len(shape.sources) <= _PODS_NAMED else self._many(shape)),
        )  # fmt: skip

    def _names(self, shape: logs.Shape) -> list[str]:
        return [self._found.labels[source] for source in shape.sources]

    def _many(self, shape: logs.Shape) -> str:
        count = len(shape.sources)
        streams = self._found.counts.streams
        return f"all {count}" if count == streams else f"{count} of {streams}"

    def _text(self) -> list[Element]:
        zone = f"times in {self._context.now.tzname() or 'UTC'}"
        if len(self._lines) > _IN_MESSAGE:
            label = f"The newest {_BESIDE_FILE} ({zone})"
            newest = Preformatted(label=label, text="\n".join(self._lines[-_BESIDE_FILE:]), log=True, excerpt=True)
            file = Attachment(
                filename=f"{self._found.title}-{self._context.now:%H%M%S}.log",
                content="\n".join(self._lines) + "\n",
                summary=f"{self._counted.shown}, oldest first ({zone})",
                log=True,
            )
            return [newest, file]
        if not self._lines:
            return []
        return [Preformatted(label=f"{self._counted.shown} ({zone})", text="\n".join(self._lines), log=True)]

    def _line(self, line: logs.LogLine) -> str:
        return line_of(line, self._context.now.tzinfo)

    def _notes(self) -> list[Text]:
        found, asked = self._found, self._request
        notes: list[Text] = []
        if self._record is not None:
            notes.append(self._window(self._record))
        elif asked.until and found.counts.matching:
            notes.append(words("Read up to ", *self._until(), "."))
        if not found.counts.matching and found.counts.streams and not found.silent:
            # with no stream at all it is said why there is none
            notes.append(words(f"No lines {'match' if asked.grep else 'were written'}", *self._span(), "."))
        notes += self._counted.missing
        if found.cut:
            notes.append(
                words(
                    f"{counted(found.cut, 'line')} cut off; ",
                    Code(text="kubectl logs"),
                    " shows them in full.",
                )
            )
        if found.removed:
            removed = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(found.removed.items()))  # noqa: RUF001
            notes.append(words(f"Removed from these lines: {removed}. Equal marks stand for equal values."))
        if asked.raw:
            notes.append(words("Unredacted, except values of Secrets that the bot itself has read."))
        notes += [words(Code(text=each.pod), f" is missing or incomplete: {each.why}.") for each in found.silent]
        return [*notes, *(words(note) for note in found.notes)]

    def _until(self) -> tuple[Moment, ...]:
        """With its day: a time that is still to come today was meant as yesterday's."""
        return (Moment(at=self._asked.until, form="date-time"),) if self._asked.until else ()

    def _span(self) -> tuple[str | Moment, ...]:
        since = (" since ", Moment(at=self._asked.since, form="date-time")) if self._asked.since else ()
        return (*since, *((" up to ", *self._until()) if self._asked.until else ()))

    def _window(self, record: RunRecord) -> Text:
        """When the run went on, and that a little more is shown than that."""
        around = f", and {duration(_AROUND.total_seconds())} before" if self._request.since is None else ""
        if record.ended is None:
            end = [" until now", around]
        else:
            took = duration((record.ended - record.at).total_seconds())
            end = [f" for {took}", around, " and after" if around and self._request.until is None else ""]
        return words(
            "During run ", Code(text=record.short), f" ({record.title}): from ",
            Moment(at=record.at, form="date-time"), *end, ".",
        )  # fmt: skip

    def _buttons(self) -> tuple[Button, ...]:
        where = self._context.where.name
        buttons = [Button(label="Again", does=Typed(text=again(self._request, where)))]
        if not (self._request.previous or self._record or self._request.until):
            follow = replace(self._request, since=None, tail=_DEFAULT_TAIL, follow=_FOLLOWED)
            buttons.append(Button(label="Follow for 2 min", does=Typed(text=again(follow, where))))
        return tuple(buttons)


def again(request: Logs, where: str) -> str:
    """The request as it would be typed again, with the place said."""
    text = typed_again(request)
    if request.grep and '"' in request.grep:
        # a quotation mark can't be typed inside of others; as a pattern it has another name
        pattern = re.sub(r'\\(.)|"', lambda found: found[0] if found[1] not in (None, '"') else r"\x22", request.grep)
        text = text.replace(f'"{request.grep.replace(chr(34), chr(39))}"', f'"{pattern}"')
    return text if f"--env {where}" in text else f"{text} --env {where}"


def _between(shape: logs.Shape, now: datetime) -> Text:
    """From when to when; with the day where it is not today's, since a container may have ended weeks ago."""
    first, last = moment_of(shape.first), moment_of(shape.last)
    if first is None or last is None:
        return words("")
    first, last = first.astimezone(now.tzinfo), last.astimezone(now.tzinfo)
    if f"{first:%F %H:%M}" == f"{last:%F %H:%M}":
        return words(_moment(last, now))
    return words(_moment(first, now), " to ", _moment(last, now))


def _moment(at: datetime, now: datetime) -> Moment:
    return Moment(at=at, form="time" if at.date() == now.date() else "date-time")


def _words(spans: tuple[Plain | Code, ...]) -> str:
    return "".join(span.text for span in spans)
