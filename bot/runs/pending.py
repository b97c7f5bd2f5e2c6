"""Requests that are still open, by what they ask for: people press again after a time-out, and mean the same request.

An index in memory over the engine's own memory: filled when the bot starts, kept by the door and the requests' workflows.
"""

import json

from bot.runs.model import Request


class PendingRequests:
    """Open requests by person, command and arguments."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    @staticmethod
    def _of(request: Request) -> str:
        asked = [request.requester.key, request.environment, request.command, request.arguments]
        return json.dumps(asked, sort_keys=True)

    def add(self, request: Request) -> None:
        """It is open now."""
        self._open[self._of(request)] = request.id

    def claim(self, request: Request) -> str | None:
        """The open request of this person that asks for the same; where there is none, this one is open now.

        Looking and adding are one act, so that two presses at the same moment are one request. The same act delivered again is
        no twin of itself.
        """
        found = self._open.setdefault(self._of(request), request.id)
        return found if found != request.id else None

    def holds(self, request: Request) -> bool:
        """Whether this very request is open."""
        return self._open.get(self._of(request)) == request.id

    def end(self, request: Request) -> None:
        """It is no longer open."""
        if self.holds(request):
            del self._open[self._of(request)]

    def forget(self, id: str) -> None:  # noqa: A002 - it is the id
        """It has ended, and nobody said so here (it was delivered again after its end)."""
        self._open = {key: found for key, found in self._open.items() if found != id}
