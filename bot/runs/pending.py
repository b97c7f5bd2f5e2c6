"""Requests that are still open, by what they ask for: people press again after a time-out, and mean the same request.

An index in memory over the engine's own memory: filled when the bot starts, kept by the door and the requests' workflows.
"""

import json
from typing import Any

from bot.runs.model import Request


class PendingRequests:
    """Open requests by person, command and arguments."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    @staticmethod
    def _key(actor: str, environment: str, command: str, arguments: dict[str, Any]) -> str:
        return json.dumps([actor, environment, command, arguments], sort_keys=True)

    def add(self, request: Request) -> None:
        """It is open now."""
        key = self._key(request.requester.key, request.environment, request.command, request.arguments)
        self._open[key] = request.id

    def end(self, request: Request) -> None:
        """It is no longer open."""
        key = self._key(request.requester.key, request.environment, request.command, request.arguments)
        if self._open.get(key) == request.id:
            del self._open[key]

    def twin(self, id: str, actor: str, command: str, arguments: dict[str, Any]) -> str | None:  # noqa: A002
        """The open request of this person that asks for the same; not the same act delivered twice."""
        found = self._open.get(self._key(actor, id.split(".", maxsplit=1)[0], command, arguments))
        return found if found != id else None
