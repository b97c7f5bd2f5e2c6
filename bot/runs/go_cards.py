"""The cards of a deploy that starts at a time: what its plan says of it, and go or no go."""

from datetime import datetime

from bot.runs.model import Appointment, GoGiven, Request
from commands.kit.card import (
    Button,
    Card,
    Confirm,
    Fact,
    Moment,
    Note,
    Paragraph,
    RunAct,
    State,
    Strong,
    Text,
    person,
    sentence,
    words,
)
from runbooks.wording import short_id


def zone_of(at: datetime) -> str:
    """Return such as `UTC+01:00`."""
    offset = f"{at:%z}"
    return "UTC" if offset in ("", "+0000") else f"UTC{offset[:3]}:{offset[3:5]}"


def clock_of(at: datetime) -> str:
    """Return such as `02:00 UTC+01:00`, as it was asked for."""
    return f"{at:%H:%M} {zone_of(at)}"


def facts(appointment: Appointment) -> tuple[Fact, ...]:
    """Return the time for the plan's card, in full and in the requester's zone, so that nobody approves another night."""
    at = appointment.at
    return (
        Fact(
            label="Starts",
            value=words(Strong(text=f"{at:%A} {at.day} {at:%B %Y}, {clock_of(at)}"), " · for you ", _moment(at)),
        ),
        Fact(
            label="Go or no-go",
            value=words(
                "asked from ",
                _moment(appointment.asks),
                "; if nobody says go by ",
                _moment(appointment.until),
                " it expires",
            ),
        ),
    )


def stands(appointment: Appointment) -> Text:
    """Return for how long an approval counts, for the approval's card."""
    return words(
        "It starts ",
        _moment(appointment.at),
        ", and only after a final go. The approval is valid until ",
        _moment(appointment.until),
        ".",
    )


def starts(appointment: Appointment) -> Text:
    """Return the time for the head message while it waits."""
    return words("Starts ", _moment(appointment.at), " after a final go, requested from ", _moment(appointment.asks))


def asking_card(request: Request, appointment: Appointment, people: tuple[str, ...], word: str) -> Card:
    """Return the card that asks the requester, and those who may decide for others, for a go or no-go."""
    short, target = short_id(request.id), {"run": request.id, "word": word}
    text = f"Go or no-go: {request.title}, {clock_of(appointment.at)}"
    go = Button(
        label="Go",
        style="primary",
        does=RunAct(command="go", **target),
        confirm=Confirm(
            title=f"Go for run {short}?",
            text=f"{request.title} starts at {clock_of(appointment.at)}, or right away if that has passed. Stay with it.",
            yes="Go",
        ),
    )
    return Card(
        state=State.WAITING,
        title=words(Strong(text=text)),
        summary=text,
        body=(
            Paragraph(text=words(*(part for key in people for part in (person(key, mention=True), " ")))),
            Paragraph(
                text=words(
                    "It starts ", _moment(appointment.at), " if one of you says go, and expires ",
                    _moment(appointment.until), " if nobody does.",
                )
            ),
            Note(text=sentence(f"Typed: `go {short}` or `no-go {short}`.")),
        ),
        buttons=(go, _no_go(target)),
        data={"run": request.id, "people": list(people)},
    )  # fmt: skip


def going_card(request: Request, appointment: Appointment, go: GoGiven, word: str) -> Card:
    """Return the card after a go, before its time: a no-go still counts."""
    return Card(
        state=State.WAITING,
        title=words(Strong(text="Go"), " by ", person(go.key), ", ", Moment(at=go.at)),
        summary=f"{request.title}: go by {go.by}",
        body=(Paragraph(text=words("Starts ", _moment(appointment.at), ". Its plan is made again then.")),),
        buttons=(_no_go({"run": request.id, "word": word}),),
        data={"run": request.id, "go": go.key},
    )


def given(go: GoGiven) -> Text:
    """Return such as `Go by Maya, 01:53`."""
    return words(Strong(text="Go"), " by ", person(go.key), ", ", Moment(at=go.at))


def closed_card(request: Request, text: Text | str, state: State) -> Card:
    """Return what was said, with nothing left to press."""
    title = words(Strong(text=text)) if isinstance(text, str) else text
    summary = text if isinstance(text, str) else "go"
    return Card(
        state=state,
        title=title,
        summary=f"{request.title}: {summary}",
        body=(Note(text=sentence(f"run `{short_id(request.id)}`")),),
        data={"run": request.id},
    )


def reminder_card(request: Request, appointment: Appointment, people: tuple[str, ...]) -> Card:
    """Return the reminder that its time has come and nobody has said go."""
    return Card(
        state=State.WAITING,
        title=words(Strong(text="It is time, but nobody has said go"), " · expires ", Moment(at=appointment.until)),
        summary=f"{request.title} is still waiting for a go",
        body=(Paragraph(text=words(*(part for key in people for part in (person(key, mention=True), " ")))),),
        data={"run": request.id},
    )


def _no_go(target: dict[str, str]) -> Button:
    return Button(label="No-go", style="danger", does=RunAct(command="no-go", **target))


def _moment(at: datetime) -> Moment:
    return Moment(at=at, form="date-time")
