"""What a gate is: one line of the checklist, what it looks at, and what it has found.

A gate says `passed` only where it has seen the evidence. What it can't see is `unknown`, which is not passed.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import ClassVar, Generic, Literal, TypeVar, cast

from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen

T = TypeVar("T")
_NUMBERS = re.compile(r"[0-9][0-9.,:]*")
_DIGITS = 12

GateState = Literal["passed", "failed", "unknown", "waiting"]
"""waiting: for a person. unknown: it could not be seen, which is not passed."""


class GateResult(Frozen):
    """What a gate has found, with its evidence."""

    gate: str
    """The gate's key: `promotion`, `check:ci`."""
    name: str
    """For people."""
    required: bool
    state: GateState
    evidence: str
    """What was seen, without a full stop. It may move by itself (numbers, ages), so no approval is bound to it as it stands."""
    reason: str = ""
    """Why it has not passed, without what moves by itself; where nothing is said, the evidence without its numbers.

    A gate whose evidence has names or digests, in which digits tell one thing from another, or that shows only the first of them, gives it.
    """
    advice: str = ""
    """What to do, as sentences, where it has not passed."""
    url: str | None = None
    at: str | None = None
    """When what was seen happened (ISO 8601, UTC)."""
    number: float | None = None
    bound: dict[str, str] = {}
    """What an approval is bound to besides the state: the release's commit."""
    button: tuple[str, str] | None = None
    """A label and the command that helps."""
    warning: str = ""
    """A sentence for the plan though it has passed."""
    overridden: bool = False
    """The requester overrides just this finding, and the approval covers that."""

    @property
    def stops(self) -> bool:
        """Whether nothing may be deployed because of it."""
        return self.required and self.state != "passed" and not self.overridden

    @property
    def finding(self) -> str:
        """Return what an override is bound to: a digest of the reason. Another one is another finding, which nobody has approved."""
        why = self.reason or _NUMBERS.sub("#", self.evidence)
        return sha256(f"{self.state}: {why}".encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSubject:
    """What is to be deployed, and where; clients and settings by their class."""

    environment: Environment
    version: str
    images: tuple[ImageChange, ...]
    at: datetime
    """When it is to start: now, or the time that was asked for."""
    clients: Mapping[type, object]
    schema_only: bool = False
    """Only the database's schema is to be changed: what concerns the services alone is not looked at."""
    migrates: bool = True
    """Pending migrations are applied; False where they are skipped."""
    planned: Mapping[str, GateResult] = field(default_factory=dict)
    """What the plan's look found, by the gates' keys; nothing where the plan is being made."""

    def use(self, kind: type[T]) -> T:
        """Return the client or the settings of that class; `PermanentError` where the configuration has none."""
        if kind not in self.clients:
            raise PermanentError(
                f"The configuration of {self.environment.name} has no {kind.__name__}.", code=ReasonCode.NOT_CONFIGURED
            )
        return cast("T", self.clients[kind])


@dataclass(frozen=True, kw_only=True)
class Gate(ABC):
    """One line of the checklist. A subclass gives its key and name, and looks."""

    key: str
    name: str
    required: bool = True
    of_services: ClassVar[bool] = False
    """It concerns the services alone, not a migration."""

    @property
    def least_seconds(self) -> float:
        """Seconds that it has at least, whatever the configured time limit."""
        return 0.0

    @abstractmethod
    async def look(self, subject: GateSubject) -> GateResult:
        """Return what it has found. What it raises is `unknown`; a TemporaryError is tried again first."""

    def passed(
        self,
        evidence: str,
        *,
        url: str | None = None,
        at: str | None = None,
        number: float | None = None,
        bound: Mapping[str, str] | None = None,
        warning: str = "",
    ) -> GateResult:
        """Return that it has passed."""
        return GateResult(
            gate=self.key, name=self.name, required=self.required, state="passed", evidence=evidence,
            url=url, at=at, number=number, bound=dict(bound or {}), warning=warning,
        )  # fmt: skip

    def not_passed(
        self,
        state: Literal["failed", "unknown", "waiting"],
        evidence: str,
        advice: str = "",
        *,
        url: str | None = None,
        at: str | None = None,
        number: float | None = None,
        button: tuple[str, str] | None = None,
        reason: str = "",
    ) -> GateResult:
        """Return that it has not passed, and what to do."""
        return GateResult(
            gate=self.key, name=self.name, required=self.required, state=state, evidence=evidence, advice=advice,
            url=url, at=at, number=number, button=button, reason=reason,
        )  # fmt: skip


class Once(Generic[T]):
    """What several gates ask for and one of them fetches; after a failure the next one fetches it anew."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._found: tuple[T] | None = None

    async def get(self) -> T:
        """Return it; raises what the fetching raised."""
        async with self._lock:
            if self._found is None:
                self._found = (await self._fetch(),)
            return self._found[0]
