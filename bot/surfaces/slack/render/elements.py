"""The parts of a card as blocks; `blocks` puts them together. `truncation` sees to their sizes."""

import re
from collections.abc import Iterator
from typing import assert_never

from bot.boundary.accounts import Directory
from bot.surfaces.slack.render.buttons import actions
from bot.surfaces.slack.render.mrkdwn import BREAK, Block, clean, line, mrkdwn, plain, rich, shortened, unbroken
from bot.surfaces.slack.render.truncation import step_line, table_lines
from commands.kit.card import (
    Attachment,
    ButtonRow,
    Element,
    Fact,
    Facts,
    Note,
    Paragraph,
    Plain,
    Preformatted,
    StepLine,
    StepList,
    StepStatus,
    Strong,
    Table,
    Text,
    words,
)
from runbooks.metrics.chart import Chart
from runbooks.wording import duration

_FIELD = 2000
_FIELDS = 10
_CONTEXT = 3000
_LONG_CELL = 24
_TOGETHER = 8
"""Rows of a minor table in one block: with their links and times they stay below what Slack takes."""
_LETTERS = 38
"""Letters of one width that a line has on a phone."""
_COUNT = re.compile(r"[\d,.]+")
_NOTHING = "–"  # noqa: RUF001 - a cell must not be empty

_TASK = {
    StepStatus.PENDING: "pending",
    StepStatus.RUNNING: "in_progress",
    StepStatus.DONE: "complete",
    StepStatus.FAILED: "error",
    StepStatus.SKIPPED: "pending",
}


class Drawing:
    """Draws elements for one message or view."""

    def __init__(self, names: Directory, *, newest: bool) -> None:
        self._names = names
        self._newest = newest
        self._tables = 0

    def blocks(self, element: Element) -> list[Block]:
        """Return the element's blocks, without ids; none where it says nothing."""
        match element:
            case Paragraph():
                return self.paragraph(element.text)
            case Note():
                return self.note(element.text)
            case Facts():
                return self._facts(element.facts)
            case Table():
                return self._table(element)
            case StepList():
                return self._steps(element)
            case Preformatted():
                return self._preformatted(element.text, element.label)
            case Attachment():
                return self.note(words(Strong(text="File "), element.filename, f" · {element.summary}"))
            case Chart():
                newer = "Refresh adds a newer picture below it."  # Slack can't exchange a file
                said = f" · {element.caption}. {newer}"
                return self.note(words(Strong(text="Picture "), element.filename, said))
            case ButtonRow():
                return actions(element.buttons)
            case _:
                assert_never(element)

    def paragraph(self, text: Text) -> list[Block]:
        elements = rich(text, self._names)
        return [rich_text(section(elements))] if elements else []

    def note(self, text: Text) -> list[Block]:
        """Return small print: mrkdwn where nothing in it can be taken for markup, else rich text, which is not small."""
        if not text.spans:
            return []
        if all(isinstance(span, Plain) for span in text.spans):
            said = unbroken(plain(text, self._names))
            if not said.strip():
                return []
            return [{"type": "context", "elements": [{"type": "plain_text", "text": said[:_CONTEXT], "emoji": False}]}]
        marked = mrkdwn(text, self._names)
        if marked is None or len(marked) > _CONTEXT:
            return self.paragraph(text)
        if not marked.strip():
            return []
        return [{"type": "context", "elements": [{"type": "mrkdwn", "text": marked, "verbatim": True}]}]

    def _facts(self, facts: tuple[Fact, ...]) -> list[Block]:
        fields: list[Block] = []
        for fact in facts:
            marked = mrkdwn(words(Strong(text=fact.label.strip()), "\n", fact.value), self._names)
            if marked is None or len(marked) > _FIELD or not marked.strip():
                return self._facts_in_lines(facts)
            fields.append({"type": "mrkdwn", "text": marked, "verbatim": True})
        return [{"type": "section", "fields": fields[at : at + _FIELDS]} for at in range(0, len(fields), _FIELDS)]

    def _facts_in_lines(self, facts: tuple[Fact, ...]) -> list[Block]:
        lines = [
            element
            for place, fact in enumerate(facts)
            for element in rich(
                words("\n" if place else "", Strong(text=f"{fact.label}:"), " ", fact.value), self._names
            )
        ]
        return [rich_text(section(lines))] if lines else []

    def _table(self, table: Table) -> list[Block]:
        caption = self.paragraph(words(Strong(text=table.caption))) if table.caption else []
        width = len(table.columns)
        if table.minor:
            parts = [table.rows[at : at + _TOGETHER] for at in range(0, len(table.rows), _TOGETHER)]
            return [*caption, *(block for part in parts for block in self.note(self._run_on(part)))]
        self._tables += 1
        if not self._newest or self._tables > 1 or not width:  # Slack takes one table a message
            lines = table_lines(table, self._names)
            if max(map(len, lines)) > _LETTERS:
                return [*caption, *self._rows(table)]
            return [*caption, *self._preformatted("\n".join(lines), "")]
        head = [raw(column) for column in table.columns]
        rows = [[self._cell(cell) for cell in (*row, *(Text(),) * width)[:width]] for row in table.rows]
        settings = [{"is_wrapped": self._is_long(table, place)} for place in range(width)]
        return [*caption, {"type": "table", "rows": [head, *rows], "column_settings": settings}]

    def _run_on(self, rows: tuple[tuple[Text, ...], ...]) -> Text:
        """Return the rows as one text: of each what it is about, then its values."""
        parts: list[str | Strong | Text] = []
        for about, *values in rows:
            parts += [" · ", Strong(text=plain(about, self._names).strip()), ": "]
            for place, value in enumerate(values):
                parts += [", ", value] if place else [value]
        return words(*parts[1:])

    def _rows(self, table: Table) -> list[Block]:
        """Return each row on a line of its own, every value behind its column's name: in letters of one width it would break anywhere."""
        rows = ([*self._values(table.columns, row)] for row in table.rows)
        lines = (words(*(part for value in row for part in (" · ", value))).spans[1:] for row in rows if row)
        return self.paragraph(Text(spans=tuple(span for each in lines for span in (Plain(text=BREAK), *each))[1:]))

    def _values(self, columns: tuple[str, ...], row: tuple[Text, ...]) -> Iterator[Text]:
        """Yield a row's values; what it is about stands first and speaks for itself, unless it is a bare number."""
        for place, (column, cell) in enumerate(zip(columns, row, strict=False)):
            said = plain(cell, self._names).strip()
            if not said:
                continue
            if place or not column or _COUNT.fullmatch(said):
                yield words(f"{column}: " if column else "", cell)
            else:
                yield words(Strong(text=said)) if all(isinstance(each, Plain) for each in cell.spans) else cell

    def _is_long(self, table: Table, place: int) -> bool:
        """Return whether a column has long cells, which are wrapped so that a thread's narrow table shows the last column too."""
        return any(len(plain(row[place], self._names)) > _LONG_CELL for row in table.rows if place < len(row))

    def _cell(self, cell: Text) -> Block:
        if all(isinstance(span, Plain) for span in cell.spans):
            return raw(unbroken(plain(cell, self._names)))
        elements = rich(cell, self._names)
        return rich_text(section(elements)) if elements else raw("")

    def _steps(self, steps: StepList) -> list[Block]:
        if not self._newest:
            lines = [step_line(step.title, step.status, step.detail, step.seconds) for step in steps.steps]
            text = words(Strong(text=steps.title), *(part for each in lines for part in (BREAK, each)))
            return self.paragraph(text)
        tasks = [self._task(place, step) for place, step in enumerate(steps.steps)]
        return [{"type": "plan", "title": line(steps.title) or "Steps", "tasks": tasks}]

    def _task(self, place: int, step: StepLine) -> Block:
        took = f" · {duration(step.seconds)}" if step.seconds is not None else ""
        task: Block = {
            "type": "task_card",
            "task_id": f"step-{place}",
            "title": unbroken((line(step.title) or f"Step {place + 1}") + took),
            "status": _TASK[step.status],
        }
        detail = step.detail or ("skipped" if step.status is StepStatus.SKIPPED else "")
        if said := line(detail):
            where = "output" if step.status is StepStatus.FAILED else "details"
            task[where] = rich_text(section([{"type": "text", "text": unbroken(said)}]))
        return task

    def _preformatted(self, text: str, label: str) -> list[Block]:
        said = clean(text)
        elements: list[Block] = []
        if label:
            elements.append(section([{"type": "text", "text": line(label), "style": {"bold": True}}]))
        if said:
            elements.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": said}]})
        return [rich_text(*elements)] if elements else []


def raw(text: str) -> Block:
    """Return a cell of plain words."""
    return {"type": "raw_text", "text": shortened(line(text), 1000) or _NOTHING}


def rich_text(*elements: Block) -> Block:
    """Return a rich text block."""
    return {"type": "rich_text", "elements": list(elements)}


def section(elements: list[Block]) -> Block:
    """Return a paragraph in rich text."""
    return {"type": "rich_text_section", "elements": elements}
