"""A card for a person at a terminal: the same words in the same order, with tables and colour. Rich is imported here only."""

import re
from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text as Styled

from bot.boundary.printable import BEFORE_UNIT, safe
from bot.surfaces.terminal.words import STEP_SIGNS, Audience, is_ping, numbered, offered, span_words, typed, wide
from commands.kit.card import (
    Attachment,
    Button,
    ButtonRow,
    Card,
    Code,
    Element,
    Facts,
    Link,
    Note,
    Paragraph,
    PersonName,
    Preformatted,
    Span,
    State,
    StepList,
    StepStatus,
    Strong,
    Table,
    Text,
)
from runbooks.logs.parsing import LogLevel, level_of
from runbooks.metrics.chart import Chart
from runbooks.wording import duration

_STATES = {
    State.WAITING: "yellow",
    State.RUNNING: "blue",
    State.DONE: "green",
    State.FAILED: "red",
    State.ENDED: "bright_black",
    State.LOCKED: "yellow",
}
_STEPS = {
    StepStatus.PENDING: "bright_black",
    StepStatus.RUNNING: "blue",
    StepStatus.DONE: "green",
    StepStatus.FAILED: "red",
    StepStatus.SKIPPED: "bright_black",
}


_HELD = "\ue000"
"""Stands for a space at which no line may end, until lines are made. `safe` lets no such sign through, so it is never data."""


class _Held:
    """Return what is drawn with spaces in the place of the signs that held words together: somebody may copy it."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield segment._replace(text=segment.text.replace(_HELD, " "))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._inner)


def drawn(card: Card, reader: Audience) -> RenderableType:
    """The whole card."""
    return _Held(_parts(card, reader))


def _parts(card: Card, reader: Audience) -> Group:
    parts: list[RenderableType] = [_head(card, reader)]
    parts += [
        _element(each, reader) for each in card.body if not (isinstance(each, Paragraph | Note) and is_ping(each.text))
    ]
    parts += [Styled(line) for line in numbered(card)]
    if card.buttons:
        parts.append(Padding(_next(card.buttons, reader), (1, 0, 0, 0)))
    return Group(*parts)


def styled(text: Text, reader: Audience, base: str = "") -> Styled:
    """A text with its spans' styles, its numbers held beside their units; never markup, so data stays data."""
    found = Styled(style=base)
    for span in text.spans:
        found.append(span_words(span, reader), style=_style(span))
    found.plain = BEFORE_UNIT.sub(_HELD, found.plain)
    return found


def _style(span: Span) -> str:
    match span:
        case Strong():
            return "bold"
        case Code():
            return "cyan"
        case PersonName():
            return "bold" if span.mention else ""
        case Link():
            return "underline"
        case _:
            return ""


def _head(card: Card, reader: Audience) -> RenderableType:
    head = Styled(f"{card.state.sign} " if card.state else "")
    title = styled(card.title, reader)
    if card.state:
        title.stylize(_STATES[card.state])
    head.append_text(title)
    if card.elapsed is not None:
        head.append(f" · {duration(card.elapsed)}", style="bright_black")
    return head


def _next(buttons: tuple[Button, ...], reader: Audience) -> RenderableType:
    grid = _columns(count=2)
    for label, command in (typed(button, reader) for button in offered(buttons)):
        grid.add_row(Styled(label), Styled(command, style="cyan"))
    return grid


def _element(element: Element, reader: Audience) -> RenderableType:
    match element:
        case Paragraph():
            return styled(element.text, reader)
        case Note():
            return styled(element.text, reader, "bright_black")
        case Facts():
            return _facts(element, reader)
        case Table():
            return _Fitting(element, reader)
        case StepList():
            return Group(Styled(safe(element.title), style="bold"), _steps(element))
        case Preformatted():
            return _preformatted(element)
        case Attachment():
            return Group(Styled(safe(element.summary), style="bright_black"), _lines(element.content, log=element.log))
        case Chart():
            return Padding(_panels(element), (0, 0, 0, 2))
        case ButtonRow():
            return Padding(_next(element.buttons, reader), (0, 0, 0, 2))


def _preformatted(element: Preformatted) -> RenderableType:
    if element.excerpt:
        return Group()
    label = [Styled(safe(element.label), style="bright_black")] if element.label else []
    return Group(*label, Padding(_lines(element.text, log=element.log), (0, 0, 0, 2)))


def _facts(element: Facts, reader: Audience) -> RenderableType:
    grid = _columns(count=2)
    for fact in element.facts:
        grid.add_row(Styled(safe(fact.label), style="bright_black"), styled(fact.value, reader))
    return grid


def _panels(chart: Chart) -> RenderableType:
    """A chart: a sparkline for each metric, then what happened."""
    grid = _columns(count=3)
    for panel in chart.panels:
        spark = "\n".join(f"{panel.spark(line)} {line.name}".rstrip() for line in panel.lines) or "no data"
        verdict = Styled(safe(f"{panel.now}, {panel.verdict}"), style="red" if panel.beyond else "")
        grid.add_row(Styled(safe(panel.title)), Styled(safe(spark, lines=True)), verdict)
    first, *rest = chart.in_lines()
    return Group(
        Styled(safe(first), style="bright_black"), grid, *(Styled(safe(line)) for line in rest[len(chart.panels) :])
    )


_LEVELS = {
    LogLevel.FATAL: "bold red",
    LogLevel.ERROR: "red",
    LogLevel.WARN: "yellow",
    LogLevel.DEBUG: "bright_black",
    LogLevel.TRACE: "bright_black",
}


def _lines(text: str, *, log: bool) -> Styled:
    whole = safe(text.rstrip("\n"), lines=True)
    if not log:
        return Styled(whole)
    return Styled("\n").join(log_line(line) for line in whole.split("\n"))


def log_line(line: str) -> Styled:
    """Return a log line in its level's colour; the level's word stays, so colour alone carries no meaning."""
    return Styled(line, style=_LEVELS.get(level_of(line), ""))


_GAP = 3
"""Cells between two columns."""
_BREAKS = 24
"""Longer words, such as paths, may be broken over lines; names, which somebody may copy, and times may not."""
_NAME = re.compile(r"[\w.:-]{1,63}…?")
_INDENT = 2
_COUNT = re.compile(r"[\d,.]+")
_NOTHING = frozenset({"", "\N{EN DASH}"})


class _Fitting:
    """Return a table; on a terminal that is too narrow, each row is a paragraph with values after their columns' names."""

    def __init__(self, table: Table, reader: Audience) -> None:
        self._table = table
        self._cells = [[styled(cell, reader.in_a_cell()) for cell in row] for row in table.rows]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._widths(options.max_width)
        if widths is not None:
            yield self._grid(widths)
        else:
            yield from self._paragraphs(options.max_width)

    def _widths(self, room: int) -> list[int] | None:
        """Return the columns' widths, in which no word is broken that may not be; None where there is too little room for that.

        The library's own way breaks names, and leaves the last column out.
        """
        columns = [
            [safe(name), *(row[place].plain for row in self._cells if place < len(row))]
            for place, name in enumerate(self._table.columns)
        ]
        widths = [max((_unbroken(word) for cell in column for word in cell.split()), default=0) for column in columns]
        wanted = [max(map(wide, column)) - least for column, least in zip(columns, widths, strict=True)]
        spare = room - sum(widths) - _GAP * (len(widths) - 1)
        if spare < 0:
            return None
        for left, place in enumerate(sorted(range(len(widths)), key=lambda each: wanted[each])):
            more = min(max(0, wanted[place]), spare // (len(widths) - left))
            widths[place] += more
            spare -= more
        return widths

    def _grid(self, widths: list[int]) -> Grid:
        table = self._table
        grid = Grid(
            box=box.SIMPLE_HEAD,
            title=Styled(safe(table.caption), style="bold") if table.caption else None,
            title_justify="left",
            show_edge=False,
            pad_edge=False,
            show_header=any(table.columns),
            header_style="bright_black",
        )
        for column, width in zip(table.columns, widths, strict=True):
            grid.add_column(Styled(safe(column)), overflow="fold", width=width)
        for row in self._cells:
            grid.add_row(*row)
        return grid

    def _paragraphs(self, width: int) -> Iterator[RenderableType]:
        if self._table.caption:
            yield Styled(safe(self._table.caption), style="bold")
        for row in self._cells:
            first, *others = zip(self._table.columns, row, strict=False)
            first[1].stylize("bold")
            # what a row is about speaks for itself, a bare number does not
            subject = _named(*first) if _COUNT.fullmatch(first[1].plain) else first[1]
            said = [_named(*each) for each in others if each[1].plain.strip() not in _NOTHING]
            for number, line in enumerate(_flowing([subject, *said], width - _INDENT)):
                yield Padding(line, (0, 0, 0, _INDENT if number else 0))


def _unbroken(word: str) -> int:
    return wide(word) if _NAME.fullmatch(word) else min(wide(word), _BREAKS)


def _columns(*, count: int) -> Grid:
    """Return a grid without lines. What is too long for its column goes on in the next line: nothing is cut."""
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for _ in range(count):
        grid.add_column(overflow="fold")
    return grid


def _flowing(said: list[Styled], width: int) -> Iterator[Styled]:
    """As many beside each other as a line of `width` cells holds; none is broken that fits on one."""
    line = Styled()
    for each in said:
        if line.plain and wide(line.plain) + _GAP + wide(each.plain) > width:
            yield line
            line = Styled()
        line = Styled.assemble(line, " " * _GAP, each) if line.plain else each
    if line.plain:
        yield line


def _named(column: str, value: Styled) -> Styled:
    return Styled.assemble((f"{safe(column)} ".lstrip(), "bright_black"), value)


def _steps(steps: StepList) -> RenderableType:
    grid = _columns(count=4)
    for step in steps.steps:
        colour = _STEPS[step.status]
        quiet = "bright_black" if step.status in (StepStatus.PENDING, StepStatus.SKIPPED) else ""
        detail = step.detail or ("skipped" if step.status is StepStatus.SKIPPED else "")
        grid.add_row(
            Styled(f" {STEP_SIGNS[step.status]}", style=colour),
            Styled(safe(step.title), style=quiet),
            Styled(safe(detail), style=quiet),
            Styled(duration(step.seconds) if step.seconds is not None else "", style="bright_black", justify="right"),
        )
    return grid
