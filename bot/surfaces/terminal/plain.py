"""A card as plain lines: for pipes, files and small terminals. No box, no colour; nothing is cut."""

from collections.abc import Iterator

from bot.boundary.printable import safe
from bot.surfaces.terminal.words import (
    BREAK,
    STEP_SIGNS,
    Audience,
    is_ping,
    numbered,
    offered,
    one_line,
    padded,
    plain,
    typed,
    wide,
)
from commands.kit.card import (
    Attachment,
    Button,
    ButtonRow,
    Card,
    Element,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    StepLine,
    StepList,
    StepStatus,
    Table,
)
from runbooks.metrics.chart import Chart
from runbooks.wording import duration


def lines(card: Card, reader: Audience) -> list[str]:
    """The card from top to bottom."""
    return [
        *head(card, reader),
        *(line for element in card.body for line in element_lines(element, reader)),
        *numbered(card),
        *_next(card.buttons, reader),
    ]


def head(card: Card, reader: Audience) -> list[str]:
    """Sign, title and how long it goes on."""
    sign = f"{card.state.sign} " if card.state else ""
    took = f" · {duration(card.elapsed)}" if card.elapsed is not None else ""
    return [f"{sign}{one_line(card.title, reader)}{took}"]


def _next(buttons: tuple[Button, ...], reader: Audience) -> list[str]:
    return [f"{label}: {command}" for label, command in (typed(button, reader) for button in offered(buttons))]


def element_lines(element: Element, reader: Audience) -> Iterator[str]:
    """One element of a body."""
    match element:
        case Paragraph() | Note():
            yield from () if is_ping(element.text) else plain(element.text, reader).split(BREAK)
        case Facts():
            for fact in element.facts:
                yield f"{safe(fact.label)}: {one_line(fact.value, reader)}"
        case Table():
            yield from _table(element, reader)
        case StepList():
            yield safe(element.title)
            yield from step_lines(element)
        case Preformatted():
            yield from _preformatted(element)
        case Attachment():
            # a terminal has room: the file itself, under what is said of it
            yield safe(element.summary)
            yield from safe(element.content.rstrip("\n"), lines=True).split("\n")
        case Chart():
            yield from (f"  {safe(line)}" for line in element.in_lines())
        case ButtonRow():
            yield from (f"  {line}" for line in _next(element.buttons, reader))


def _preformatted(element: Preformatted) -> Iterator[str]:
    if element.excerpt:
        return
    if element.label:
        yield f"{safe(element.label)}:"
    yield from (f"  {line}" for line in safe(element.text.rstrip("\n"), lines=True).split("\n"))


def step_lines(steps: StepList) -> Iterator[str]:
    """Aligned: sign, title, detail, how long."""
    width = max((wide(safe(step.title)) for step in steps.steps), default=0)
    for step in steps.steps:
        yield _step(step, width)


def _step(step: StepLine, width: int) -> str:
    took = f"  {duration(step.seconds)}" if step.seconds is not None else ""
    status = "  skipped" if step.status is StepStatus.SKIPPED and not step.detail else ""
    detail = f"  {safe(step.detail)}" if step.detail else ""
    return f"  {STEP_SIGNS[step.status]} {padded(safe(step.title), width)}{detail}{status}{took}".rstrip()


def _table(table: Table, reader: Audience) -> Iterator[str]:
    if table.caption:
        yield safe(table.caption)
    header = [[safe(column) for column in table.columns]] if any(table.columns) else []
    reader = reader.in_a_cell()
    rows = [*header, *([one_line(cell, reader) for cell in row] for row in table.rows)]
    widths = [
        max(wide(row[place]) for row in rows if place < len(row)) for place in range(max(map(len, rows), default=0))
    ]
    for row in rows:
        cells = (padded(cell, widths[place]) for place, cell in enumerate(row))
        yield f"  {'  '.join(cells)}".rstrip()


def changes(before: Card | None, after: Card, reader: Audience) -> list[str]:
    """What a follower prints: the lines that `before` did not have. A clock that moved on is no news."""
    now = lines(after, reader)
    if before is None:
        return now
    seen = set(lines(_timeless(before), reader))
    return [line for line, bare in zip(now, lines(_timeless(after), reader), strict=True) if bare not in seen]


def _timeless(card: Card) -> Card:
    body = tuple(
        element.model_copy(update={"steps": tuple(step.model_copy(update={"seconds": None}) for step in element.steps)})
        if isinstance(element, StepList)
        else element
        for element in card.body
    )
    return card.model_copy(update={"elapsed": None, "body": body})
