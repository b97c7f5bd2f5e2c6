"""A message of the sandbox's Slack, as a person reads it."""

import json

from bot.surfaces.slack.outbound.own_messages import METADATA
from sandbox.cluster.resources import Json
from sandbox.slack.model import Message


def run_of(message: Message) -> Json | None:
    """The run that says it, and its slot there; None for an answer to a query."""
    metadata = message.metadata or {}
    return metadata["event_payload"] if metadata.get("event_type") == METADATA else None


def shown_text(message: Message) -> str:
    """Notification text and the words of the blocks, as a person reads them: a no-break space is a space."""
    return f"{message.text}\n{json.dumps(message.blocks, ensure_ascii=False)}".replace("\u00a0", " ")
