"""A card for a person at a terminal: the same words in the same order, with tables and colour. Rich is imported here only."""

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text as Styled

from bot.terminal.words import STEP_SIGNS, Reader, elapsed, is_ping, safe, span_words, typed
from commands.kit.card import (
    Attachment,
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
from runbooks.logs.parsing import Level, level_of

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


def drawn(card: Card, reader: Reader) -> RenderableType:
    """The whole card."""
    parts: list[RenderableType] = [_head(card, reader)]
    parts += [
        _element(each, reader) for each in card.body if not (isinstance(each, Paragraph | Note) and is_ping(each.text))
    ]
    if card.buttons:
        parts.append(_next(card, reader))
    return Group(*parts)


def styled(text: Text, reader: Reader, base: str = "") -> Styled:
    """A text with its spans' styles; never markup, so data stays data."""
    found = Styled(style=base)
    for span in text.spans:
        found.append(span_words(span, reader), style=_style(span))
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


def _head(card: Card, reader: Reader) -> RenderableType:
    head = Styled(f"{card.state.sign} " if card.state else "")
    title = styled(card.title, reader)
    if card.state:
        title.stylize(_STATES[card.state])
    head.append_text(title)
    if card.elapsed is not None:
        head.append(f" · {elapsed(card.elapsed)}", style="bright_black")
    return head


def _next(card: Card, reader: Reader) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for label, command in (typed(button, reader) for button in card.buttons):
        grid.add_row(Styled(label), Styled(command, style="cyan"))
    return Padding(grid, (1, 0, 0, 0))


def _element(element: Element, reader: Reader) -> RenderableType:
    match element:
        case Paragraph():
            return styled(element.text, reader)
        case Note():
            return styled(element.text, reader, "bright_black")
        case Facts():
            grid = Grid.grid(padding=(0, 2, 0, 0))
            for fact in element.facts:
                grid.add_row(Styled(safe(fact.label), style="bright_black"), styled(fact.value, reader))
            return grid
        case Table():
            return _table(element, reader)
        case StepList():
            return Group(Styled(safe(element.title), style="bold"), _steps(element))
        case Preformatted(excerpt=True):
            return Group()
        case Preformatted():
            label = [Styled(safe(element.label), style="bright_black")] if element.label else []
            return Group(*label, Padding(_lines(element.text, log=element.log), (0, 0, 0, 2)))
        case Attachment():
            return Group(Styled(safe(element.summary), style="bright_black"), _lines(element.content, log=element.log))


_LEVELS = {
    Level.FATAL: "bold red",
    Level.ERROR: "red",
    Level.WARN: "yellow",
    Level.DEBUG: "bright_black",
    Level.TRACE: "bright_black",
}


def _lines(text: str, *, log: bool) -> Styled:
    whole = safe(text.rstrip("\n"), lines=True)
    if not log:
        return Styled(whole)
    return Styled("\n").join(log_line(line) for line in whole.split("\n"))


def log_line(line: str) -> Styled:
    """A line of a log in its level's colour: the word stays, so colour alone says nothing."""
    return Styled(line, style=_LEVELS.get(level_of(line), ""))


def _table(table: Table, reader: Reader) -> RenderableType:
    grid = Grid(
        box=box.SIMPLE_HEAD,
        title=Styled(safe(table.caption), style="bold") if table.caption else None,
        title_justify="left",
        show_edge=False,
        pad_edge=False,
        show_header=any(table.columns),
        header_style="bright_black",
    )
    for column in table.columns:
        grid.add_column(Styled(safe(column)), overflow="fold")
    for row in table.rows:
        grid.add_row(*(styled(cell, reader.in_a_cell()) for cell in row))
    return grid


def _steps(steps: StepList) -> RenderableType:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for step in steps.steps:
        colour = _STEPS[step.status]
        quiet = "bright_black" if step.status in (StepStatus.PENDING, StepStatus.SKIPPED) else ""
        detail = step.detail or ("skipped" if step.status is StepStatus.SKIPPED else "")
        grid.add_row(
            Styled(f" {STEP_SIGNS[step.status]}", style=colour),
            Styled(safe(step.title), style=quiet),
            Styled(safe(detail), style=quiet),
            Styled(elapsed(step.seconds) if step.seconds is not None else "", style="bright_black", justify="right"),
        )
    return grid
