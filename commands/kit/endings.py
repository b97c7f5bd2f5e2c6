"""How the end of an operation is told: the same order of words for all, so that it can be read at 3 a.m.

First what is, then why, then what to do: title, what serves now, Kubernetes' own message, the last log lines, usual causes, and
the lines with which a person goes on by hand.
"""

from commands.kit.card import (
    Button,
    Card,
    Element,
    Note,
    Paragraph,
    Preformatted,
    State,
    Strong,
    Text,
    duration,
    sentence,
    words,
)
from commands.kit.context import Outcome
from runbooks.kit.reasons import ReasonCode

_QUIET = frozenset(
    {
        ReasonCode.DENIED,
        ReasonCode.WITHDRAWN,
        ReasonCode.EXPIRED,
        ReasonCode.CANCELLED,
        ReasonCode.OVERTAKEN,
        ReasonCode.ABANDONED,
    }
)
"""Endings that somebody chose: not failures."""


def ending_state(outcome: Outcome) -> State:
    """The sign of an ending."""
    if outcome.ok:
        return State.DONE
    if outcome.code is ReasonCode.LOCKED:
        return State.LOCKED
    return State.ENDED if outcome.code in _QUIET else State.FAILED


def ending_card(outcome: Outcome, *, mention: Text | None = None, buttons: tuple[Button, ...] = ()) -> Card:
    """The result of a run."""
    body: list[Element] = []
    if mention is not None:
        body.append(Paragraph(text=mention))
    body += [Paragraph(text=sentence(line)) for line in outcome.lines]
    if outcome.message:
        body.append(Paragraph(text=words(Strong(text="Kubernetes: "), outcome.message)))
    if outcome.evidence:
        body.append(Preformatted(label="Seen", text="\n".join(outcome.evidence)))
    if outcome.advice:
        causes = outcome.message or outcome.evidence
        text = "; ".join(outcome.advice) + "." if causes else " ".join(outcome.advice)
        body.append(Paragraph(text=words(Strong(text="Usual causes: ") if causes else "", sentence(text))))
    if outcome.kubectl:
        body.append(Preformatted(label="By hand", text="\n".join(outcome.kubectl)))
    if not outcome.ok and outcome.code not in _QUIET:
        body.append(Note(text=words(f"reason code {outcome.code}")))
    return Card(
        state=ending_state(outcome),
        title=words(Strong(text=outcome.title.replace("`", ""))),
        summary=" ".join([outcome.title + ".", *outcome.lines[:1]]),
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
