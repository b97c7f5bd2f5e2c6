"""What the sync scripts print, as values: JSON where it is JSON, whatever npm says before it; nothing about a patient comes out.

The scripts belong to the application, so names of fields are taken as they are found in several spellings, and what is missing
stays missing. An item's content and its id are never shown: only counts, ages, devices counted, and reasons with what is not
an everyday word hidden.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import default_redactor

_LONGEST_REASON = 90
_READ = 4_000
"""Characters of a reason that are redacted before it is cut: what the cut halves is far behind what is shown."""
_STARTS = 200
"""Lines at which JSON is sought; an output with more is not understood."""
_BEGINS = re.compile(r"(?m)^[ \t]*[\[{]")
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DECODER = json.JSONDecoder()
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)
"""What a database driver gives for `count(*)` and for a sum: a number as a text."""
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
_READ_NAMES = (*_PENDING, "failed", *_OLDEST, *_RATE)
"""Numbers from which a queue is called healthy: one that is there and can't be read makes the whole answer not understood."""


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
    text: str = ""
    """What the script printed, redacted, where it is no JSON."""

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
    """None: the script's output is no list, and `lines` has it."""
    devices: int = 0
    oldest_seconds: float | None = None
    groups: tuple[ReasonGroup, ...] = ()
    lines: tuple[str, ...] = ()


def parsed(out: bytes) -> Any | None:
    """Return the one JSON document in an output, whatever stands before and behind it; None where there is none, or several.

    Of several nobody knows which is the answer: a logger writes JSON too, so none of them is taken.
    """
    text = _COLOUR.sub("", out.decode("utf-8-sig", errors="replace"))
    found: list[Any] = []
    at, starts = 0, 0
    while (begin := _BEGINS.search(text, at)) is not None:
        starts += 1
        if starts > _STARTS:
            return None
        try:
            value, at = _DECODER.raw_decode(text, begin.end() - 1)
        except (ValueError, RecursionError):
            at = begin.end()
            continue
        line_end = text.find("\n", at)
        if text[at : line_end if line_end >= 0 else len(text)].strip():
            continue  # a line that only begins like JSON, such as `[info] …` or `[1/4] …`
        found.append(value)
    return found[0] if len(found) == 1 else None


def status_of(value: Any, pod: str) -> SyncStatus | None:
    """None where the JSON says nothing of a queue."""
    if not isinstance(value, Mapping):
        return None
    found = _folded(value)
    status = SyncStatus(
        pod=pod,
        pending=_whole(found, *_PENDING),
        failed=_whole(found, "failed"),
        oldest_seconds=_number(found, *_OLDEST),
        devices=_whole(found, "devices", "devicecount", "devicespending"),
        connected=_whole(found, "websocketclients", "connected", "clients"),
        per_minute=(rate := _number(found, *_RATE)),
        told=rate is not None,
    )
    unread = [name for name in _READ_NAMES if found.get(name) is not None and _number(found, name) is None]
    return status if (status.pending is not None or status.failed is not None) and not unread else None


def items_of(value: Any) -> tuple[FailedItem, ...] | None:
    """The list of failed items, bare or under `items` or `failed`; None where it is no such list, or an item has no id."""
    if isinstance(value, Mapping):
        found = _folded(value)
        value = found.get("items", found.get("failed"))
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return None
    items = [_item(each) for each in value]
    known = [item for item in items if item is not None]
    if len(known) != len(items) or len({item.id for item in known}) != len(known):
        return None
    return tuple(known)


def _item(value: Any) -> FailedItem | None:
    if not isinstance(value, Mapping):
        return None
    found = _folded(value)
    identity = next((found[name] for name in ("id", "itemid", "uuid") if name in found), None)
    if not isinstance(identity, str | int) or isinstance(identity, bool) or not 0 < len(str(identity)) <= 200:  # noqa: PLR2004
        return None
    reason = next(
        (found[name] for name in ("reason", "code", "error", "message") if isinstance(found.get(name), str)), ""
    )
    return FailedItem(
        id=str(identity),
        reason=reason,
        device=str(found.get("device", found.get("deviceid", ""))),
        age_seconds=_age(found),
        is_number=not isinstance(identity, str),
        has_content=any(not _METADATA.fullmatch(name) for name in found),
    )


def _age(found: Mapping[str, Any]) -> float | None:
    told = _number(found, "ageseconds", "age")
    if told is not None:
        return told
    when = next((found[name] for name in ("failedat", "createdat", "at") if isinstance(found.get(name), str)), None)
    try:
        at = datetime.fromisoformat(when).astimezone(UTC) if when else None
    except (ValueError, OverflowError, OSError):  # the year 1 of a zone east of Greenwich is before all years
        return None
    return max(0.0, (datetime.now(UTC) - at).total_seconds()) if at else None


def _folded(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Names without case and underlines."""
    return {str(name).replace("_", "").lower(): each for name, each in value.items()}


def _number(found: Mapping[str, Any], *names: str) -> float | None:
    value = next((found[name] for name in names if name in found), None)
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:  # noqa: PLR2004
        return float(value)
    return None


def _whole(found: Mapping[str, Any], *names: str) -> int | None:
    number = _number(found, *names)
    return None if number is None else int(number)


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
    """Lines of an output that is no JSON, with the same hidden; each shape once."""
    lines = [shown_reason(line) for line in out[:200_000].decode(errors="replace").splitlines() if line.strip()]
    return tuple(dict.fromkeys(lines))[:most]
