"""A card without what must never leave: every text of it goes through the redactor, in the one place where payloads leave.

It fails closed: a redactor that raises means that nothing is sent.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bot.boundary.outbound import SurfaceGone
from commands.kit.card import (
    Attachment,
    Button,
    ButtonRow,
    Card,
    Choices,
    Confirm,
    Element,
    Fact,
    Facts,
    Note,
    OpenForm,
    Paragraph,
    PersonName,
    Plain,
    Preformatted,
    RunAct,
    Span,
    StepLine,
    StepList,
    Table,
    Text,
    Typed,
    words,
)
from runbooks.metrics.chart import Chart, ChartPanel
from runbooks.redaction.redactor import PrivateKind, Redactor
from runbooks.redaction.shell import kept_lines

Redact = Callable[[str], str]
"""A `Redactor`, which then opens one scope for all texts of a card, so that equal marks are equal values in it; or any function."""

REMOVED = "Removed"
"""How the note begins that says what is missing; a card that has one of its own gets no second."""


class Withheld(SurfaceGone):
    """The text could not be checked, so it was not sent; trying again changes nothing."""


def redacted(card: Card, redact: Redact) -> Card:
    """The card as it may be shown. Raises `Withheld` where the redactor fails."""
    try:
        scope = redact.scope() if isinstance(redact, Redactor) else None
        made = _Redaction(scope.text if scope is not None else redact).card(card)
        return _told(made, scope.removed) if scope is not None else made
    except Exception as error:
        raise Withheld(f"the redactor failed ({type(error).__name__}), so nothing was sent") from error


def _told(card: Card, removed: Mapping[PrivateKind, int]) -> Card:
    """The card says how much of what was taken out of it."""
    notes = (_joined(element.text.spans) for element in card.body if isinstance(element, Note))
    if not removed or any(note.startswith(REMOVED) for note in notes):
        return card
    counted = ", ".join(f"{count} × {kind}" for kind, count in sorted(removed.items()))  # noqa: RUF001
    note = Note(text=words(f"{REMOVED}: {counted}."))
    return card.model_copy(update={"body": (*card.body, note)})


class _Redaction:
    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def card(self, card: Card) -> Card:
        return Card(
            title=self._text(card.title),
            summary=self._redact(card.summary),
            state=card.state,
            elapsed=card.elapsed,
            body=tuple(self._element(element) for element in card.body),
            buttons=self._buttons(card.buttons),
            choices=self._choices(card.choices) if card.choices is not None else None,
        )

    def _text(self, text: Text, cue: str = "") -> Text:
        """Each span, and the whole: what a cue in one span (or the label before it) says of the next is seen too."""
        spans = tuple(self._span(span) for span in text.spans)
        whole, parts = cue + _joined(text.spans), cue + _joined(spans)
        checked = self._redact(whole)
        if checked in (whole, parts):
            return text if spans == text.spans else Text(spans=spans)
        if parts != whole:  # each way hides something: both, one after the other
            checked = self._redact(parts)
        kept = checked.removeprefix(cue)
        return Text(spans=(Plain(text=kept),))

    def _span(self, span: Span) -> Span:
        if not hasattr(span, "text"):
            return span
        changed: dict[str, Any] = {"text": self._redact(span.text)}
        if hasattr(span, "url"):
            changed["url"] = self._redact(span.url)
        return (
            span
            if all(getattr(span, name) == value for name, value in changed.items())
            else span.model_copy(update=changed)
        )

    def _element(self, element: Element) -> Element:
        match element:
            case Paragraph() | Note():
                return element.model_copy(update={"text": self._text(element.text)})
            case Facts():
                return Facts(facts=tuple(self._fact(fact) for fact in element.facts))
            case Table():
                return element.model_copy(
                    update={
                        "columns": tuple(map(self._redact, element.columns)),
                        "rows": tuple(tuple(map(self._text, row)) for row in element.rows),
                        "caption": self._redact(element.caption),
                    }
                )
            case StepList():
                return StepList(title=self._redact(element.title), steps=tuple(map(self._step, element.steps)))
            case Preformatted(to_paste=True):
                lines = kept_lines(element.text.split("\n"), self._redact)
                return element.model_copy(update={"text": "\n".join(lines), "label": self._redact(element.label)})
            case Preformatted():
                return element.model_copy(
                    update={"text": self._redact(element.text), "label": self._redact(element.label)}
                )
            case Attachment():
                return element.model_copy(
                    update={
                        "filename": self._redact(element.filename),
                        "content": self._redact(element.content),
                        "summary": self._redact(element.summary),
                    }
                )
            case Chart():
                return self._chart(element)
            case ButtonRow():
                return ButtonRow(buttons=self._buttons(element.buttons))

    def _chart(self, chart: Chart) -> Chart:
        """Its texts: the picture is drawn from what is left of them."""
        return chart.model_copy(
            update={
                "filename": self._redact(chart.filename),
                "caption": self._redact(chart.caption),
                "alt": self._redact(chart.alt),
                "panels": tuple(map(self._panel, chart.panels)),
                "marks": tuple(mark.model_copy(update={"text": self._redact(mark.text)}) for mark in chart.marks),
            }
        )

    def _panel(self, panel: ChartPanel) -> ChartPanel:
        lines = tuple(line.model_copy(update={"name": self._redact(line.name)}) for line in panel.lines)
        said = {name: self._redact(text) for name, text in panel.texts().items()}
        return panel.model_copy(update={"lines": lines, **said})

    def _fact(self, fact: Fact) -> Fact:
        """Label and value are read together, so that a label such as "Password" is a cue."""
        return Fact(label=self._redact(fact.label), value=self._text(fact.value, cue=f"{fact.label}: "))

    def _step(self, step: StepLine) -> StepLine:
        return step.model_copy(update={"title": self._redact(step.title), "detail": self._redact(step.detail)})

    def _buttons(self, buttons: tuple[Button, ...]) -> tuple[Button, ...]:
        return tuple(made for button in buttons if (made := self._button(button)) is not None)

    def _choices(self, choices: Choices) -> Choices | None:
        """A value that must not leave is not offered."""
        kept = tuple(
            each for each in choices.options if all(self._redact(said) == said for said in (each.label, each.text))
        )
        return choices.model_copy(update={"label": self._redact(choices.label), "options": kept}) if kept else None

    def _button(self, button: Button) -> Button | None:
        does = self._act(button.does)
        if does is None:
            return None
        confirm = button.confirm
        if confirm is not None:
            confirm = Confirm(
                title=self._redact(confirm.title),
                text=self._redact(confirm.text),
                yes=self._redact(confirm.yes),
                no=self._redact(confirm.no),
            )
        return button.model_copy(update={"label": self._redact(button.label), "does": does, "confirm": confirm})

    def _act(self, act: RunAct | Typed | OpenForm) -> RunAct | Typed | OpenForm | None:
        """A command that had to be changed is another command: no button for it. A form is filled without the secret."""
        match act:
            case RunAct():
                return act
            case Typed():
                return act if self._redact(act.text) == act.text else None
            case OpenForm():
                kept = {
                    name: text
                    for name, text in act.filled.items()
                    if self._redact(f"{name}: {text}") == f"{name}: {text}"
                }
                return OpenForm(command=act.command, filled=kept)


def _joined(spans: tuple[Span, ...]) -> str:
    return "".join(span.text for span in spans if not isinstance(span, PersonName) and hasattr(span, "text"))
