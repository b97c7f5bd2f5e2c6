"""The cards that the dispatcher itself answers with: what to type instead, and refusals that name the way forward."""

from collections.abc import Sequence
from datetime import datetime

from bot.runs.manual_rollback import ManualRollback
from bot.runs.model import Request
from commands.kit.card import (
    Button,
    Card,
    Choice,
    Choices,
    Code,
    Element,
    Link,
    Note,
    OpenForm,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Typed,
    sentence,
    words,
)
from commands.kit.context import RunRecord
from commands.kit.endings import failure
from commands.kit.parsing import UsageError
from commands.kit.question import Question
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.shell import pasted
from runbooks.wording import duration, listed, short_id


def usage_card(error: UsageError) -> Card:
    """Return what to type instead, with a button that opens the filled form where there is one."""
    body: list[Element] = []
    if error.usage:
        body.append(Paragraph(text=words("Usage: ", Code(text=error.usage))))
    if error.example:
        body.append(Paragraph(text=words("Example: ", Code(text=error.example))))
    buttons = [Button(label=choice.split()[-1], does=Typed(text=choice)) for choice in error.choices]
    if error.form is not None:
        command, filled = error.form
        buttons.append(Button(label=f"Fill in {command}…", does=OpenForm(command=command, filled=filled)))
    data = failure(ReasonCode.USAGE, error.message) | {"suggestion": error.suggestion}
    return Card(
        title=sentence(error.message), summary=error.message, body=tuple(body), buttons=tuple(buttons), data=data
    )


_CHOSEN_WITHIN = 900
"""Seconds in which a choice works: what it completes is meant for now."""
_NAMED = 10
"""Values that a notification names."""


def question_card(error: UsageError, question: Question, values: Sequence[str], now: datetime) -> Card:
    """Return the question for what is missing, with the values to choose from."""
    kind = question.parameter.type
    choices = Choices(
        label=f"Choose the {kind.name.replace('|', ' or ') if kind is not None else question.parameter.name}",
        options=tuple(Choice(label=value, text=question.answered(value)) for value in values),
        expires=int(now.timestamp()) + _CHOSEN_WITHIN,
    )
    card = usage_card(error)
    few = [*values[:_NAMED], *([f"{len(values) - _NAMED} more"] if len(values) > _NAMED else [])]
    data = card.data | {"choices": [each.model_dump() for each in choices.options]}
    return card.model_copy(
        update={"summary": f"{card.summary} There are: {listed(few)}.", "body": (), "choices": choices, "data": data}
    )


def refusal_card(message: str, code: ReasonCode, *, advice: tuple[str, ...] = ()) -> Card:
    """Return a refusal by policy, or that something could not be done."""
    body: list[Element] = [Paragraph(text=sentence(line)) for line in advice]
    body.append(Note(text=words(f"Reason code {code}")))
    state = State.LOCKED if code is ReasonCode.LOCKED else None
    return Card(
        title=sentence(message),
        summary=message,
        state=state,
        body=tuple(body),
        data=failure(code, message),
    )


def already_requested_card(request: Request, twin: str, known: RunRecord | None, now: datetime) -> Card:
    """Return the answer to somebody who requests the same again: that it is under way, and where. `known`: None if the engine has only just received it."""
    short, running = short_id(twin), known is not None and known.state == "running"
    at = known.at if known is not None else request.at
    ago = duration(max(0.0, (now - at).total_seconds()))
    already, since = ("running", "requested ") if running else ("requested", "")
    what = f"Already {already}: {request.title} (run {short}), {since}{ago} ago"
    text = f"{what}. Nothing was started a second time."
    thread = Link(url=known.link, text="The thread") if known is not None and known.link else "The thread"
    shows = " shows its progress." if running else " says what it is waiting for."
    return Card(
        state=State.RUNNING if running else State.WAITING,
        title=words(text),
        summary=text,
        body=(Paragraph(text=words(thread, shows)), Note(text=words(f"Reason code {ReasonCode.ALREADY_DECIDED}"))),
        buttons=(Button(label="Show the run", does=Typed(text=f"runs {short}")),),
        data=failure(ReasonCode.ALREADY_DECIDED, text),
    )


def by_hand(card: Card, way: ManualRollback, now: datetime) -> Card:
    """Return a refusal to go back, with the lines that do it by hand."""
    lines = pasted(way.lines)
    shown = Preformatted(label=way.told(now), text="\n".join(lines), to_paste=True)
    return card.model_copy(update={"body": (*card.body, shown), "data": {**card.data, "kubectl": list(lines)}})


def started_card(request: Request) -> Card:
    """Return the terminal's note that a request has begun."""
    short = short_id(request.id)
    return Card(
        state=State.WAITING,
        title=words(Strong(text=request.title), " · run ", Code(text=short)),
        summary=f"{request.title}: run {short}",
        data={"run": request.id},
    )
