"""Requests that are still open, by what they ask for: people press again after a time-out, and mean the same request.

An index in memory over the engine's own memory: filled when the bot starts, kept by the dispatcher and the requests' workflows.
"""

import json
import re

from bot.runs.model import Request
from commands.kit.context import Denied
from runbooks.kit.reasons import ReasonCode

AT_ONCE = 20
"""Open requests of one person in one environment; going back is never kept waiting by them."""


def _unmarked(value: object) -> object:
    """Return a version without its `v`: whether a tag has one is found out when it is looked for, and people type both."""
    return re.sub(r"^v(?=\d)", "", value) if isinstance(value, str) else value


class PendingRequests:
    """Open requests by person, command and arguments."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    @staticmethod
    def _of(request: Request) -> str:
        meant = {name: _unmarked(value) for name, value in request.arguments.items()}
        asked = [request.requester.key, request.environment, request.command, meant]
        return json.dumps(asked, sort_keys=True)

    def add(self, request: Request) -> None:
        """Note that the request is open."""
        self._open[self._of(request)] = request.id

    def claim(self, request: Request, *, bounded: bool = True) -> str | None:
        """Return this person's open request for the same; None where there is none, and then this one is open.

        Looking and adding are one act, so that two presses at the same moment are one request. The same act delivered again is
        no twin of itself. `bounded`: raises `Denied` for one more where this person has too many open there.
        """
        if bounded and self._of(request) not in self._open:
            self._check(request)
        found = self._open.setdefault(self._of(request), request.id)
        return found if found != request.id else None

    def _check(self, request: Request) -> None:
        """Refuse one more where the person has too many open: each keeps a thread, a plan and approvers busy. Raises `Denied`."""
        theirs = json.dumps([request.requester.key, request.environment])[:-1] + ","
        if sum(each.startswith(theirs) for each in self._open) >= AT_ONCE:
            raise Denied(
                f"You have {AT_ONCE} open requests in {request.environment}. Withdraw some first; `runs` lists them.",
                code=ReasonCode.NOT_PERMITTED,
            )

    def holds(self, request: Request) -> bool:
        """Return whether this very request is open."""
        return self._open.get(self._of(request)) == request.id

    def end(self, request: Request) -> None:
        """Note that the request is no longer open."""
        if self.holds(request):
            del self._open[self._of(request)]

    def forget(self, id: str) -> None:  # noqa: A002 - it is the id
        """Forget a request that ended without a note here (it was delivered again after its end)."""
        self._open = {key: found for key, found in self._open.items() if found != id}
