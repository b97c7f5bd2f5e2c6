"""How the end of an operation is told: the same order of words for all, so that it can be read at 3 a.m.

First what is, then why, then what to do: the cause in words, who is served meanwhile, Kubernetes' own message, the last log
lines, usual causes with what to do about each, and the lines with which a person goes on by hand.
"""

from datetime import datetime

from commands.kit.card import (
    Button,
    Card,
    Element,
    Moment,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Text,
    sentence,
    words,
)
from commands.kit.context import Outcome
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import duration

_QUIET = frozenset(
    {
        ReasonCode.DENIED,
        ReasonCode.WITHDRAWN,
        ReasonCode.EXPIRED,
        ReasonCode.NO_GO,
        ReasonCode.CANCELLED,
        ReasonCode.OVERTAKEN,
        ReasonCode.ABANDONED,
    }
)
"""Endings that somebody chose: not failures."""


def failure(code: ReasonCode, message: str) -> dict[str, object]:
    """Return the data of a card that says what was refused or failed, as `--json` prints it."""
    return {"ok": False, "reason_code": code, "message": message}


def ending_state(outcome: Outcome) -> State:
    """The sign of an ending."""
    if outcome.ok:
        return State.DONE
    if outcome.code is ReasonCode.LOCKED:
        return State.LOCKED
    return State.ENDED if outcome.code in _QUIET else State.FAILED


def held(by: str, since: datetime) -> Text:
    """A run that waits before its next change: for whose word, and since when."""
    return words(f"by {by}, ", Moment(at=since, form="date-time", age=True))


def _causes(causes: tuple[UsualCause, ...]) -> Text:
    """One line each: what it may be, and what to do about it."""
    lines = [words("\n", f"• {each.cause} → ", sentence(each.to_do)) for each in causes]
    return words(Strong(text="Usual causes"), *lines)


def ending_card(outcome: Outcome, *, mention: Text | None = None, buttons: tuple[Button, ...] = ()) -> Card:
    """The result of a run."""
    body: list[Element] = []
    if mention is not None:
        body.append(Paragraph(text=mention))
    body += [Paragraph(text=sentence(line)) for line in outcome.lines]
    if outcome.message:
        body.append(Paragraph(text=words(Strong(text="Kubernetes: "), outcome.message)))
    if outcome.evidence:
        body.append(Preformatted(label="Details", text="\n".join(outcome.evidence)))
    if outcome.log:
        label = "Last log lines before it exited" if outcome.before_exit else "Last log lines"
        body.append(Preformatted(label=label, text="\n".join(outcome.log)))
    if outcome.causes:
        body.append(Paragraph(text=_causes(outcome.causes)))
    if outcome.advice:
        body.append(Paragraph(text=sentence(" ".join(outcome.advice))))
    if outcome.kubectl:
        body.append(Preformatted(label="By hand", text="\n".join(outcome.kubectl), to_paste=True))
    if not outcome.ok and outcome.code not in _QUIET:
        body.append(Note(text=words(f"Reason code {outcome.code}")))
    return Card(
        state=ending_state(outcome),
        title=words(Strong(text=outcome.title.replace("`", ""))),
        summary=" ".join([outcome.title.rstrip(".") + ".", *outcome.lines[:1]]),
        elapsed=outcome.seconds or None,
        body=tuple(body),
        buttons=buttons,
        data={
            "run": outcome.run,
            "ok": outcome.ok,
            "reason_code": outcome.code,
            "title": outcome.title,
            "seconds": round(outcome.seconds, 1),
            "took": duration(outcome.seconds),
            **outcome.data,
        },
    )
