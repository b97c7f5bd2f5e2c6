"""What a test or the page's *World* breaks on purpose: the API, single methods, deliveries, connections."""

from dataclasses import dataclass, field
from typing import Literal

How = Literal["ratelimited", "server_error", "hang", "reset"]


@dataclass(slots=True)
class _Planned:
    how: How
    left: int
    retry_after: int


@dataclass(slots=True)
class Faults:
    """`down` refuses every call and connection; the rest counts down.

    `duplicate_next` envelopes are sent a second time although they were acknowledged (Slack promises delivery at least
    once); `swallow_next` acknowledgements are lost on their way.
    """

    down: bool = False
    duplicate_next: int = 0
    swallow_next: int = 0
    _planned: dict[str, list[_Planned]] = field(default_factory=dict)

    def fail_next(self, method: str, how: How, *, times: int = 1, retry_after: int = 1) -> None:
        """The next `times` calls of `method` (`*`: of any) are answered with 429, 500, nothing, or a reset."""
        self._planned.setdefault(method, []).append(_Planned(how, times, retry_after))

    def clear(self) -> None:
        self.down = False
        self.duplicate_next = self.swallow_next = 0
        self._planned.clear()

    def take(self, method: str) -> tuple[How, int] | None:
        """What happens to this call: how it fails, and the seconds of Retry-After."""
        for name in (method, "*"):
            waiting = self._planned.get(name, [])
            if waiting:
                fault = waiting[0]
                fault.left -= 1
                if fault.left <= 0:
                    waiting.pop(0)
                return fault.how, fault.retry_after
        return None

    def take_duplicate(self) -> bool:
        if self.duplicate_next <= 0:
            return False
        self.duplicate_next -= 1
        return True

    def take_swallowed(self) -> bool:
        if self.swallow_next <= 0:
            return False
        self.swallow_next -= 1
        return True
