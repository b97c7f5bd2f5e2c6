"""What the sync scripts print, as values: JSON where it is JSON, whatever npm says before it; nothing about a patient comes out.

The scripts belong to the application, so names of fields are taken as they are found in several spellings, and what is missing
stays missing. An item's content and its id are never shown: only counts, ages, devices counted, and reasons with what is not
an everyday word hidden.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from runbooks.kit.answers import NotUnderstood, read_stamp
from runbooks.kit.printed_fields import PrintedFields
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted

T = TypeVar("T")

_LONGEST_REASON = 90
_READ = 4_000
"""Characters of a reason that are redacted before it is cut: what the cut halves is far behind what is shown."""
_CODE = re.compile(
    r"[a-z]+(?:[._:/-]?[a-z]+)*|[A-Z]+(?:_[A-Z]+)+|(?:[A-Z][a-z]+)+(?:Error|Exception|Conflict|Failed|Timeout)"
)
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*", re.ASCII)
_TECHNICAL = re.compile(
    r"Conflict|Version|Validation|Schema|Time[d]?out|Timed|Network|Connection|Database|Server|Client|Error|Fail(?:ed|ure)"
    r"|Invalid|Missing|Duplicate|Unknown|Unexpected|Not|No|Cannot|Could|Request|Response|Resource|Device|Token|Session"
    r"|Expired|Unauthorized|Forbidden|Rejected|Patient|Observation|Encounter|Note|Record|Queue|Sync|Item|Field|Value"
    r"|HTTPS?|FHIR|SQL|JSON|API|URL|ID|MRN|SSN|DOB|UUID|TLS|DNS|ECONNREFUSED|ECONNRESET|ETIMEDOUT"
)
"""Capitalised words that are no names. Every other capitalised word may be one, and is hidden."""
_HIDDEN = "…"
_METADATA = re.compile(
    r"id|itemid|uuid|reason|code|error|message|device|deviceid|ageseconds|age|failedat|createdat|at|attempts|retries|type"
)
"""Fields of an item that are about it; any other is what was written."""


_PENDING = ("pending", "backlog", "queued")
_OLDEST = ("oldestpendingseconds", "oldestseconds")
_RATE = ("perminute", "rateperminute", "processedperminute")
_LONGEST_ID = 200
_SHAPED = 200_000
"""Bytes of an output whose lines are shown by their shapes."""


class SyncStatus(Frozen):
    """How the queue stands; None: the script does not say."""

    pod: str
    pending: int | None = None
    failed: int | None = None
    oldest_seconds: float | None = None
    devices: int | None = None
    """With something waiting."""
    connected: int | None = None
    """Clients on a WebSocket just now."""
    per_minute: float | None = None
    """Items that leave the queue, net of those that come."""
    told: bool = False
    """The script told the rate; otherwise it is what was seen between two looks."""
    not_understood: str = ""
    """Why nothing was read from what the script printed; empty where it was."""
    text: str = ""
    """The end of what it printed then, redacted."""

    @property
    def drains_in(self) -> float | None:
        """Seconds until the queue is empty at this rate; None where it does not get shorter, or nobody knows."""
        if not self.pending or self.per_minute is None or self.per_minute <= 0:
            return None
        return self.pending / self.per_minute * 60


@dataclass(frozen=True, slots=True, repr=False)
class FailedItem:
    """One item that could not be synchronised. Its `repr` shows nothing: the reason may name a patient."""

    id: str
    reason: str
    device: str
    age_seconds: float | None
    has_content: bool
    is_number: bool = False
    """The script prints the id as a number, and takes it back as one."""

    @property
    def printed(self) -> str | int:
        """Return the id as the script printed it."""
        return int(self.id) if self.is_number else self.id


class ReasonGroup(Frozen):
    """Failed items of one reason."""

    reason: str
    """With names, numbers and everything else that is no everyday word hidden."""
    items: int
    devices: int
    oldest_seconds: float | None


class FailedItems(Frozen):
    """The failed items, grouped; the most frequent reason first."""

    pod: str
    total: int | None
    """None: the script's output was not understood."""
    devices: int = 0
    oldest_seconds: float | None = None
    groups: tuple[ReasonGroup, ...] = ()
    not_understood: str = ""
    """Why nothing was read from what the script printed; empty where it was."""
    lines: tuple[str, ...] = ()
    """The shapes of the last lines that it printed then."""


def status_of(value: Any, pod: str) -> SyncStatus:
    """Return what a status script says of the queue; raises `NotUnderstood` where that is not one clear answer.

    A number from which a queue would be called healthy must be one, under whatever name, and the same under each.
    """
    if not isinstance(value, Mapping):
        raise NotUnderstood("the JSON is not an object")
    found = PrintedFields(value)
    found.check_whole()
    status = SyncStatus(
        pod=pod,
        pending=found.whole(*_PENDING),
        failed=found.whole("failed"),
        oldest_seconds=found.number(*_OLDEST),
        devices=_or_none(found.whole, "devices", "devicecount", "devicespending"),
        connected=_or_none(found.whole, "websocketclients", "connected", "clients"),
        per_minute=(rate := found.number(*_RATE)),
        told=rate is not None,
    )
    if status.pending is None and status.failed is None:
        raise NotUnderstood("the JSON has neither `pending` nor `failed`")
    return status


def items_of(value: Any) -> tuple[FailedItem, ...]:
    """Return the failed items of a list, bare or under `items` or `failed`; raises `NotUnderstood` where the list is not certain."""
    told: int | None = None
    if isinstance(value, Mapping):
        found = PrintedFields(value)
        found.check_whole()
        told = found.whole("total", "count")
        value = found.only("items", "failed")
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise NotUnderstood("the JSON is not a list of items")
    items = tuple(map(_item, value))
    if len({item.id for item in items}) != len(items):
        raise NotUnderstood("two items in the JSON have the same id")
    if told is not None and told != len(items):
        raise NotUnderstood(f"the JSON counts {counted(told, 'item')} and lists {len(items)}")
    return items


def _item(value: Any) -> FailedItem:
    if not isinstance(value, Mapping):
        raise NotUnderstood("an item in the JSON is not an object")
    found = PrintedFields(value)
    identity = found.first("id", "itemid", "uuid")
    if not isinstance(identity, str | int) or isinstance(identity, bool) or not 0 < len(str(identity)) <= _LONGEST_ID:
        raise NotUnderstood("an item in the JSON has no id")
    reasons = (found.first(name) for name in ("reason", "code", "error", "message"))
    device = found.first("device", "deviceid")
    return FailedItem(
        id=str(identity),
        reason=next((each for each in reasons if isinstance(each, str)), ""),
        device="" if device is None else str(device),
        age_seconds=_age(found),
        is_number=not isinstance(identity, str),
        has_content=any(not _METADATA.fullmatch(name) for name in found.names()),
    )


def _age(found: PrintedFields) -> float | None:
    told = _or_none(found.number, "ageseconds", "age")
    if told is not None:
        return told
    times = (found.first(name) for name in ("failedat", "createdat", "at"))
    stamp = read_stamp(next((each for each in times if isinstance(each, str)), None))
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()) if stamp else None


def _or_none(read: Callable[..., T], *names: str) -> T | None:
    """Return a number that nobody is called healthy by; None also where it can't be read."""
    try:
        return read(*names)
    except NotUnderstood:
        return None


def digest_of(ids: Iterable[str]) -> str:
    """SHA-256 of a set of ids, whatever their order: what an approval to clear is bound to."""
    return hashlib.sha256(json.dumps(sorted(ids), separators=(",", ":")).encode()).hexdigest()


def grouped(items: Sequence[FailedItem]) -> tuple[ReasonGroup, ...]:
    """By reason, the most frequent first."""
    by_reason: dict[str, list[FailedItem]] = {}
    for item in items:
        by_reason.setdefault(item.reason, []).append(item)
    found: dict[str, list[FailedItem]] = {}
    for reason, alike in by_reason.items():
        found.setdefault(shown_reason(reason), []).extend(alike)
    groups = [
        ReasonGroup(reason=reason, items=len(each), devices=devices_of(each), oldest_seconds=oldest_of(each))
        for reason, each in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.items, group.reason)))


def devices_of(items: Iterable[FailedItem]) -> int:
    return len({item.device for item in items if item.device})


def oldest_of(items: Iterable[FailedItem]) -> float | None:
    return max((item.age_seconds for item in items if item.age_seconds is not None), default=None)


def shown_reason(reason: str) -> str:
    """A reason without anything that could be about a person.

    A code (`version_conflict`) stays. In a sentence only everyday words in small letters and a few technical ones stay; numbers,
    quotations and capitalised words are hidden.
    """
    reason = default_redactor().text(reason[:_READ]).strip()
    if not reason:
        return "no reason given"
    if len(reason) <= _LONGEST_REASON and _CODE.fullmatch(reason):
        return reason
    words: list[str] = []
    for token in re.sub(r"\"[^\"]*\"|'[^']*'|\[[^\]]*\]|\([^)]*\)", f" {_HIDDEN} ", reason[:500]).split():
        bare = token.strip(".,;:!?")
        plain = _WORD.fullmatch(bare) or _TECHNICAL.fullmatch(bare)
        shown = token if plain else _HIDDEN
        if shown != _HIDDEN or words[-1:] != [_HIDDEN]:
            words.append(shown)
    return " ".join(words)[:_LONGEST_REASON] or _HIDDEN


def shapes(out: bytes, most: int) -> tuple[str, ...]:
    """Return the last lines of an output that was not understood, with the same hidden as in a reason; each shape once."""
    read = out[-_SHAPED:]
    if len(read) < len(out):
        read = read.partition(b"\n")[2]  # what the cut halves, or parts from its cue, goes
    lines = [shown_reason(line) for line in read.decode(errors="replace").splitlines() if line.strip()]
    return tuple(reversed(list(dict.fromkeys(reversed(lines)))[:most]))
