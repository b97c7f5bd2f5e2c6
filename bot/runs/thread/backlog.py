"""What a thread missed while Slack was away, as few messages: each in its newest state, and what is over folded into one summary.

Used by `thread` on what piled up behind a delivery that had to wait. Pure: it makes a list of another one.
"""

from collections.abc import Collection, Sequence
from typing import Any

from bot.runs.model import Show
from commands.kit.card import Element, Note, Paragraph, StepList, words

APPROVAL, RESULT = "approval", "result"
_FOLDED = ("plan", APPROVAL, "progress")
"""Of use while the run waits or goes on; when it is over, what they said stands in the result."""
_PASSING = ("invitation-", "reminder")
"""Ask for a decision: once it is made they would only wake somebody for nothing."""


def caught_up(waiting: Sequence[Any], posted: Collection[str]) -> list[Any]:
    """Return the part of `waiting` that is still to be sent; `posted`: the slots that have a message already, which is edited as ever."""
    newest = {message["slot"]: message for message in waiting if message["kind"] == "show"}
    order = [message for message in waiting if message["kind"] != "show" or newest[message["slot"]] is message]
    over = any(message["kind"] == "close" for message in waiting) and RESULT in newest and RESULT not in posted
    decided = over or (APPROVAL in newest and not newest[APPROVAL]["card"].get("buttons"))
    if decided:
        order = [message for message in order if not _passing(message, posted)]
    if not over:
        return order
    folded = [newest[slot] for slot in _FOLDED if slot in newest and slot not in posted]
    if not folded:
        return order
    slots = {message["slot"] for message in folded}
    return [
        _summary(message, folded) if message.get("slot") == RESULT else message
        for message in order
        if message.get("slot") not in slots
    ]


def _passing(message: Any, posted: Collection[str]) -> bool:
    return message["kind"] == "show" and message["slot"].startswith(_PASSING) and message["slot"] not in posted


def _summary(message: Any, folded: Sequence[Any]) -> Any:
    """Return the result with a summary of the thread's earlier messages below it."""
    show = Show.model_validate(message)
    missed: list[Element] = [Paragraph(text=words("Slack was unavailable. What happened meanwhile:"))]
    for each in map(Show.model_validate, folded):
        steps = [element for element in each.card.body if isinstance(element, StepList)]
        missed += steps or [Note(text=words(each.card.summary))]
    card = show.card.model_copy(update={"body": (*show.card.body, *missed)})
    return show.model_copy(update={"card": card}).model_dump(mode="json")
