"""What the audit log holds: events with names from a closed set, and the exact bytes that are hashed for each.

The bytes are JSON in one fixed form: every field always present and in the same order, keys of `details` sorted, no
spaces, UTF-8, times in UTC with microseconds. They begin with the audit log's name, the event's number and the hash of the
event before, so the chain can be checked on the bytes themselves, without parsing them.
"""

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from json.encoder import encode_basestring
from typing import Any

from runbooks.redaction.redactor import RedactionFailed, Redactor

GENESIS = "0" * 64
"""Stands for the hash before the first event."""
LARGEST = 256 << 10
"""Bytes of one event at most; what is larger is a file, not an event."""
_LONGEST_ID = 300


class AuditLogUnavailable(Exception):
    """The event is not in the audit log (or it is not known whether it is): what it announces must not be done.

    Its text is a sentence that may be shown. Appending the same event again later is safe: its id is written once.
    """


class AuditLogHeld(AuditLogUnavailable):
    """Another process has the audit log open for writing."""


class EventName(StrEnum):
    """`subject:verb-ed`; a closed set, so that an auditor can list everything that may ever stand in an audit log."""

    BOT_STARTED = "bot:started"
    BOT_STOPPED = "bot:stopped"
    BOOK_CHECKED = "book:checked"
    COMMAND_ANSWERED = "command:answered"
    COMMAND_ACCEPTED = "command:accepted"
    DISCLOSURE_ALLOWED = "disclosure:allowed"
    COMMAND_REFUSED = "command:refused"
    PERMISSION_DENIED = "permission:denied"
    REFUSALS_SUPPRESSED = "refusals:suppressed"
    RUN_REQUESTED = "run:requested"
    RUN_PLANNED = "run:planned"
    RUN_STARTED = "run:started"
    RUN_SUCCEEDED = "run:succeeded"
    RUN_FAILED = "run:failed"
    RUN_CANCEL_ASKED = "run:cancel-asked"
    RUN_CANCELLED = "run:cancelled"
    RUN_ABANDONED = "run:abandoned"
    RUN_HELD = "run:held"
    RUN_CONTINUED = "run:continued"
    RUN_UNANSWERED = "run:unanswered"
    RUN_WITHDRAWN = "run:withdrawn"
    RUN_EXPIRED = "run:expired"
    RUN_SKIPPED = "run:skipped"
    RUN_RESOLVED = "run:resolved"
    APPROVAL_ASKED = "approval:asked"
    APPROVAL_GIVEN = "approval:given"
    APPROVAL_GRANTED = "approval:granted"
    APPROVAL_DENIED = "approval:denied"
    RUN_SCHEDULED = "run:scheduled"
    GO_ASKED = "go:asked"
    GO_GIVEN = "go:given"
    GO_REFUSED = "go:refused"
    STEP_STARTED = "step:started"
    STEP_FINISHED = "step:finished"
    STEP_FAILED = "step:failed"
    GATE_SIGNED = "gate:signed"
    GATE_OVERRIDDEN = "gate:overridden"
    LOCK_TAKEN = "lock:taken"
    LOCK_RELEASED = "lock:released"
    RELEASE_ADOPTED = "release:adopted"
    STRATEGY_RESTORED = "strategy:restored"
    RECORD_WRITTEN = "record:written"
    RECORD_LEFT = "record:left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. Its id is made from what it tells of, so that telling it twice writes it once."""

    id: str
    name: EventName
    at: datetime
    actor: str | None = None
    """A person's key, or the raw Slack id of somebody who is not listed."""
    surface: str | None = None
    environment: str | None = None
    command: str | None = None
    run: str | None = None
    reason_code: str | None = None
    reason: str | None = None
    """In their words."""
    ticket: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """A small JSON object."""

    def __post_init__(self) -> None:
        if not 0 < len(self.id) <= _LONGEST_ID:
            raise ValueError("an event's id must have 1 to 300 characters")
        if self.at.tzinfo is None:
            raise ValueError("an event's time needs a time zone")
        object.__setattr__(self, "name", EventName(self.name))
        object.__setattr__(self, "at", self.at.astimezone(UTC))
        object.__setattr__(self, "details", _plain(self.details))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Event):
    """An event as it stands in an audit log."""

    seq: int
    book: str
    hash: str


@dataclass(frozen=True, slots=True)
class Appended:
    """It is in the audit log, synced: its number and hash."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest event of an audit log; written to the fleet after each run, so that a cut tail shows. `seq` 0: empty."""

    book: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An event ready to be written: redacted, and all of its bytes but those that the chain adds."""

    id: str
    body: str


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def draft(event: Event, redactor: Redactor) -> Draft:
    """Redact every text and return the event ready to be written. Raises `RedactionFailed`, `ValueError`."""
    body = _as_given(event)
    if _needs_no_redaction(body.encode(), redactor):  # refuses a lone surrogate
        return _sized(Draft(event.id, body))
    scope = redactor.scope()
    identity = _safe_id(event.id, scope.text(event.id))
    cleaned = tuple(scope.text(text) if text else text for text in _texts(event))
    return _sized(Draft(identity, _body(identity, event, cleaned, scope.json(event.details))))


def drafts(events: Sequence[Event], redactor: Redactor) -> list[Draft | AuditLogUnavailable]:
    """Return each event ready to be written, or why it can't be; many events are searched at once for what must never leave."""
    with contextlib.suppress(RedactionFailed, ValueError):
        bodies = [_as_given(event) for event in events]
        whole = "\n".join(bodies).encode()
        if len(whole) <= LARGEST and _needs_no_redaction(whole, redactor):
            return [Draft(event.id, body) for event, body in zip(events, bodies, strict=True)]
    return [_draft_or_why(event, redactor) for event in events]


def _draft_or_why(event: Event, redactor: Redactor) -> Draft | AuditLogUnavailable:
    try:
        return draft(event, redactor)
    except RedactionFailed as error:
        why = AuditLogUnavailable("An event could not be checked for private data, so it was not written.")
        why.__cause__ = error
    except ValueError as error:
        why = AuditLogUnavailable("An event could not be encoded, so it was not written.")
        why.__cause__ = error
    return why


def _needs_no_redaction(data: bytes, redactor: Redactor) -> bool:
    """Return whether one search over all the bytes finds nothing, as nearly always; otherwise each text is looked at by itself.

    An escaped character could hide something from that search, so where there is one it does not count.
    """
    return b"\\" not in data and redactor.finds_nothing(data)


def _sized(ready: Draft) -> Draft:
    if len(ready.body) * 4 > LARGEST and len(ready.body.encode()) > LARGEST:
        raise ValueError(f"an event can have at most {LARGEST} bytes")
    return ready


def _texts(event: Event) -> tuple[str | None, ...]:
    told = (event.actor, event.surface, event.environment, event.command, event.run)
    return (*told, event.reason_code, event.reason, event.ticket)


def _as_given(event: Event) -> str:
    return _body(event.id, event, _texts(event), event.details)


def _body(identity: str, event: Event, texts: Sequence[str | None], details: Mapping[str, Any]) -> str:
    at = event.at
    stamp = f"{at.year:04}-{at.month:02}-{at.day:02}T{at.hour:02}:{at.minute:02}:{at.second:02}.{at.microsecond:06}Z"
    actor, surface, environment, command, run, reason_code, reason, ticket = texts
    return (
        f'{{"id":{_text(identity)},"name":"{event.name.value}","at":"{stamp}",'
        f'"actor":{_text(actor)},"surface":{_text(surface)},"environment":{_text(environment)},'
        f'"command":{_text(command)},"run":{_text(run)},"reason_code":{_text(reason_code)},'
        f'"reason":{_text(reason)},"ticket":{_text(ticket)},"details":{_encode(details)}}}'
    )


def _text(text: str | None) -> str:
    return "null" if text is None else encode_basestring(text)


def _safe_id(given: str, redacted: str) -> str:
    """Return the redacted id. A secret's value may turn up in an id, and two events must not become one because of it."""
    if redacted == given:
        return given
    return f"{redacted}~{hashlib.sha256(given.encode(errors='surrogatepass')).hexdigest()[:32]}"


def front(book: str, seq: int, previous: str) -> str:
    """Return the part of an event's bytes that chains it; the body follows, and a closing brace."""
    return f'{{"book":{_encode(book)},"seq":{seq},"previous":"{previous}","event":'


def chained(book: str, seq: int, previous: str, body: str) -> tuple[str, bytes]:
    """Return the event's text as it is stored, and the hash of its bytes."""
    text = f"{front(book, seq, previous)}{body}}}"
    return text, hashlib.sha256(text.encode()).digest()


def read_entry(data: bytes, digest: bytes) -> Entry:
    """Return the event that the stored bytes stand for."""
    whole = json.loads(data)
    event = dict(whole["event"])
    event["at"] = datetime.fromisoformat(event["at"])
    return Entry(seq=whole["seq"], book=whole["book"], hash=digest.hex(), **event)


def _plain(value: Any) -> Any:
    """Return a copy as strict JSON. Raises `ValueError` for what could be read back as something else."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of an event's details must be text")
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError(f"an event's details must be JSON, not {type(value).__name__}")
