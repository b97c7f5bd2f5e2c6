"""Which audit events a search wants."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What an event has to match; what is None matches every event."""

    actor: str | None = None
    command: str | None = None
    environment: str | None = None
    run: str | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before this time, not at it."""
    limit: int = 50
    """The newest so many."""


EVERYTHING = AuditFilter()
