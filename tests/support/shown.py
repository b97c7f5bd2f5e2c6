"""A message of the sandbox's Slack, as a person reads it."""

import json
from collections.abc import Sequence

from bot.surfaces.slack.outbound.own_messages import METADATA
from sandbox.cluster.resources import Json
from sandbox.slack.model import Message

_LATE = ("does not answer", "did not answer", "no answer within")


def run_of(message: Message) -> Json | None:
    """The run that says it, and its slot there; None for an answer to a query."""
    metadata = message.metadata or {}
    return metadata["event_payload"] if metadata.get("event_type") == METADATA else None


def shown_text(message: Message) -> str:
    """Notification text and the words of the blocks, as a person reads them: a no-break space is a space."""
    return f"{message.text}\n{json.dumps(message.blocks, ensure_ascii=False)}".replace("\u00a0", " ")


def answer_among(messages: Sequence[Message], before: Sequence[Message], words: str) -> str:
    """The newest answer with these words in it that was not there before; else one that says that something was not there in time.

    An answer has its own deadline, however busy the machine is.
    """
    old = {(each.channel, each.ts) for each in before}
    new = (each for each in reversed(messages) if (each.channel, each.ts) not in old)
    told = [shown_text(each) for each in new if run_of(each) is None]
    late = (each for each in told if any(sign in each for sign in _LATE))
    return next((each for each in told if words in each), "") or next(late, "")
