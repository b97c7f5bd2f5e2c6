"""What fits into a message, and words for what does not: nothing is cut without saying so.

Cards are made smaller before they are drawn, at the borders of lines, rows and steps. What was left out is named in the card, and
the whole of it goes into a file beside the message (`blocks.Drawn.files`).
"""

from dataclasses import dataclass, field

from bot.boundary.accounts import Directory
from bot.surfaces.slack.render.mrkdwn import in_lines, plain
from commands.kit.card import (
    Attachment,
    ButtonRow,
    Card,
    Element,
    Facts,
    Note,
    Paragraph,
    Preformatted,
    StepList,
    StepStatus,
    Table,
    Text,
)
from runbooks.metrics.chart import Chart
from runbooks.wording import counted, duration

CHARACTERS = 9000
"""Characters of all a message's blocks. Slack refuses somewhere above 11 000 and does not say where."""
LINES = 3000
"""Characters of one preformatted text."""
PARAGRAPH = 2900
ROWS, COLUMNS = 99, 20
CELL = 300
STEPS = 40
FACTS = 30
ELEMENTS = 30
"""A card's parts; some take two blocks, and Slack takes 50."""


@dataclass(slots=True)
class Truncation:
    """How much is left in a message, and what had to be left out of it."""

    left: int = CHARACTERS
    drawn: int = CHARACTERS
    """So many characters are left for blocks as they are drawn."""
    parts: int = ELEMENTS
    missing: list[str] = field(default_factory=list)
    only_lines: bool = True
    """Whether all that is missing are lines of a preformatted text: a file that the card has anyway holds them."""

    def fitted(self, element: Element, names: Directory) -> Element | None:
        """Return the element, smaller where it has to be; None where nothing of it fits."""
        before = len(self.missing)
        made = self._fitted(element, names)
        if len(self.missing) > before and not isinstance(element, Preformatted):
            self.only_lines = False
        return made

    def takes(self, element: Element, characters: int, *, fits: bool) -> bool:
        """Return whether an element fits as it was drawn, with its blocks and so many characters; one that does not is left out whole."""
        if fits and characters <= self.drawn:
            self.drawn -= characters
            return True
        self.missing.append(_named(element))
        self.only_lines = self.only_lines and isinstance(element, Preformatted)
        return False

    def _fitted(self, element: Element, names: Directory) -> Element | None:
        if self.parts <= 0 or self.left <= 0:
            self.missing.append(f"{_named(element)}")
            return None
        self.parts -= 1
        match element:
            case Preformatted():
                element = self._preformatted(element)
            case Table():
                element = self._table(element, names)
            case StepList():
                element = self._steps(element)
            case Facts():
                element = self._facts(element, names)
            case Paragraph() | Note():
                element = element.model_copy(update={"text": self._text(element.text, names)})
            case Attachment():
                self.left -= len(element.summary) + len(element.filename)
            case Chart():
                self.left -= len(element.caption) + len(element.filename)
            case ButtonRow():
                self.left -= sum(len(button.label) for button in element.buttons)
        return element

    def _preformatted(self, element: Preformatted) -> Preformatted:
        lines = element.text.rstrip("\n").split("\n")
        most, kept, used = min(LINES, max(self.left, 200)), 0, 0
        while kept < len(lines) and used + len(lines[kept]) + 1 <= most:
            used += len(lines[kept]) + 1
            kept += 1
        shown = "\n".join(lines[:kept])
        if kept < len(lines):
            if not kept:
                shown = lines[0][:most]
                self.missing.append(f"{counted(len(lines[0]) - most, 'character')} of a line")
                kept, used = 1, most
            if kept < len(lines):
                self.missing.append(counted(len(lines) - kept, "line"))
        self.left -= used + len(element.label)
        return element.model_copy(update={"text": shown})

    def _table(self, element: Table, names: Directory) -> Table:
        rows: list[tuple[Text, ...]] = []
        self.left -= sum(len(column) for column in element.columns[:COLUMNS])
        for row in element.rows[:ROWS]:
            cells = tuple(self._cell(cell, names) for cell in row[:COLUMNS])
            size = sum(len(plain(cell, names)) for cell in cells)
            if rows and size > self.left:
                break
            self.left -= size
            rows.append(cells)
        if len(rows) < len(element.rows):
            self.missing.append(counted(len(element.rows) - len(rows), "row"))
        if len(element.columns) > COLUMNS:
            self.missing.append(counted(len(element.columns) - COLUMNS, "column"))
        return element.model_copy(update={"rows": tuple(rows), "columns": element.columns[:COLUMNS]})

    def _cell(self, cell: Text, names: Directory) -> Text:
        words = plain(cell, names)
        if len(words) <= CELL:
            return cell
        self.missing.append(f"{counted(len(words) - CELL, 'character')} of a cell")
        return in_lines(words[:CELL] + "…")

    def _steps(self, element: StepList) -> StepList:
        steps = element.steps
        if len(steps) > STEPS:
            waiting = sum(1 for step in steps[STEPS:] if step.status is StepStatus.PENDING)
            self.missing.append(f"{counted(len(steps) - STEPS, 'step')} ({waiting} pending)")
        kept = tuple(
            step.model_copy(update={"title": step.title[:200], "detail": step.detail[:CELL]}) for step in steps[:STEPS]
        )
        self.left -= sum(len(step.title) + len(step.detail) + 10 for step in kept)
        return element.model_copy(update={"steps": kept, "title": element.title[:200]})

    def _facts(self, element: Facts, names: Directory) -> Facts:
        kept = tuple(
            fact.model_copy(update={"value": self._text(fact.value, names), "label": fact.label[:100]})
            for fact in element.facts[:FACTS]
        )
        if len(kept) < len(element.facts):
            self.missing.append(counted(len(element.facts) - len(kept), "fact"))
        return element.model_copy(update={"facts": kept})

    def _text(self, text: Text, names: Directory) -> Text:
        words = plain(text, names)
        most = min(PARAGRAPH, max(self.left, 200))
        self.left -= min(len(words), most)
        if len(words) <= most:
            return text
        self.missing.append(f"{counted(len(words) - most, 'character')} of a text")
        return in_lines(words[:most] + "…")


def _named(element: Element) -> str:
    match element:
        case Preformatted():
            return counted(element.text.count("\n") + 1, "line")
        case Table():
            return counted(len(element.rows), "row")
        case StepList():
            return counted(len(element.steps), "step")
        case Facts():
            return counted(len(element.facts), "fact")
        case _:
            return "a paragraph"


def as_text(card: Card, names: Directory) -> str:
    """Return the whole card as plain lines, for a file."""
    lines = [f"{card.state.sign + ' ' if card.state else ''}{plain(card.title, names)}", ""]
    for element in card.body:
        lines += [*_lines(element, names), ""]
    return "\n".join(lines).rstrip() + "\n"


def _lines(element: Element, names: Directory) -> list[str]:
    match element:
        case Paragraph() | Note():
            return [plain(element.text, names)]
        case Facts():
            return [f"{fact.label}: {plain(fact.value, names)}" for fact in element.facts]
        case Table():
            return table_lines(element, names)
        case StepList():
            return [
                element.title,
                *(step_line(step.title, step.status, step.detail, step.seconds) for step in element.steps),
            ]
        case Preformatted():
            return [*([element.label] if element.label else []), element.text.rstrip("\n")]
        case Attachment():
            return [f"{element.filename}: {element.summary}"]
        case Chart():
            return element.in_lines()
        case ButtonRow():
            return []


def table_lines(table: Table, names: Directory) -> list[str]:
    """Return a table in letters of one width."""
    rows = [list(table.columns), *([plain(cell, names).replace("\n", " ") for cell in row] for row in table.rows)]
    count = max(len(row) for row in rows)
    rows = [row + [""] * (count - len(row)) for row in rows]
    widths = [max(len(row[place]) for row in rows) for place in range(count)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


SIGNS = {
    StepStatus.PENDING: "○",
    StepStatus.RUNNING: "◌",
    StepStatus.DONE: "✓",
    StepStatus.FAILED: "✕",
    StepStatus.SKIPPED: "–",  # noqa: RUF001 - the sign for "left out"
}


def step_line(title: str, status: StepStatus, detail: str, seconds: float | None) -> str:
    """Return such as `✓ Backend rollout · 3/3 new pods ready · 21 s`."""
    said = "skipped" if status is StepStatus.SKIPPED and not detail else detail
    parts = [title, *([said] if said else []), *([duration(seconds)] if seconds is not None else [])]
    return f"{SIGNS[status]} {' · '.join(parts)}"
