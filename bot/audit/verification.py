"""Proves an audit log's chain, or names what was done to it: edited, removed, moved, put in, cut off, foreign.

Used by `omnicare audit verify` and the bot's own daily check. It hashes the stored bytes as they are (nothing is parsed
where all is well), streams, and keeps nothing: a million events take seconds and no memory. What it can't see by
itself: somebody who may write the file and knows this format can write a new, consistent tail. Against that stand the
heads (number, hash) that the bot writes to the fleet after each run: give them as `heads`.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from bot.audit.events import GENESIS, AuditHead, AuditLogUnavailable, front
from bot.audit.file import reading
from bot.audit.schema import DAMAGED, FORMAT, differences
from runbooks.wording import counted

_MOST = 100
"""Findings of one book that are told one by one; a ruined book needs no million of them."""


class AuditFindingKind(StrEnum):
    """What was done to the audit log."""

    UNREADABLE = "unreadable"
    SCHEMA = "schema"
    EDITED = "edited"
    REMOVED = "removed"
    MOVED = "moved"
    BROKEN = "broken"
    FOREIGN = "foreign"
    CUT = "cut"
    REWRITTEN = "rewritten"
    RECORD = "record"
    UNKNOWN_BOOK = "unknown-book"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is wrong, as a sentence; `seq` and `last` are the first and last number that it is about."""

    kind: AuditFindingKind
    book: str
    sentence: str
    seq: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        return self.sentence


def verify(path: Path, heads: Iterable[AuditHead] = ()) -> list[AuditFinding]:
    """Return the findings in one audit log; see `verify_audit_logs`."""
    return verify_audit_logs([path], heads)


def verify_audit_logs(paths: Sequence[Path], heads: Iterable[AuditHead] = ()) -> list[AuditFinding]:
    """Return everything that is wrong with these audit logs; empty where each chain holds and reaches every known head."""
    known = [head for head in heads if head.seq > 0]
    findings: list[AuditFinding] = []
    seen = set()
    for path in paths:
        check = _Check(path)
        try:
            with reading(path) as connection:
                check.run(connection, known)
        except (AuditLogUnavailable, *DAMAGED) as error:
            why = (
                str(error)
                if isinstance(error, AuditLogUnavailable)
                else f"The file {path} can't be read any further: {error}."
            )
            check.find(AuditFindingKind.UNREADABLE, f"{why} Checked up to event {check.expected - 1}.")
        seen.add(check.name)
        findings += check.finish()
    for name in sorted({head.book for head in known} - seen):
        findings.append(
            AuditFinding(
                AuditFindingKind.UNKNOWN_BOOK,
                name,
                f"The fleet's record names an audit log {name} that was not checked.",
            )
        )
    return findings


@dataclass(slots=True)
class _Streak:
    """Rows one after another with which the same thing is wrong: told as one finding."""

    kind: AuditFindingKind
    key: Any
    first: int
    last: int


@dataclass(slots=True)
class _Check:
    """One book's pass. `expected` and `previous` are what the next row has to carry."""

    path: Path
    name: str = ""
    expected: int = 1
    previous: str | None = GENESIS
    """None behind a row that is wrong itself: the row after it is not blamed too."""
    findings: list[AuditFinding] = field(default_factory=list)
    more: int = 0
    _streak: _Streak | None = None

    def find(self, kind: AuditFindingKind, sentence: str, seq: int | None = None, last: int | None = None) -> None:
        """Add a finding, unless there are more than anybody reads."""
        if len(self.findings) >= _MOST:
            self.more += 1
            return
        book = self.name or self.path.name
        self.findings.append(AuditFinding(kind, book, f"{book}: {sentence}", seq, last if last is not None else seq))

    def run(self, connection: sqlite3.Connection, heads: Sequence[AuditHead]) -> None:
        """Verify the whole log in one snapshot, while the bot may go on writing."""
        connection.execute("BEGIN")
        hindered = False
        for difference in differences(connection):
            self.find(AuditFindingKind.SCHEMA, difference.sentence)
            hindered |= difference.hinders
        if hindered:
            self.find(AuditFindingKind.UNREADABLE, "its events were not read: a table is not as it should be.")
            return
        row = connection.execute("SELECT name, format FROM book").fetchone() or (None, None)
        self.name = row[0].decode(errors="replace") if isinstance(row[0], bytes) else ""
        if row[1] != FORMAT:
            self.find(AuditFindingKind.SCHEMA, f"its format is not {FORMAT}, the one that is written here.")
        wanted: dict[int, set[str]] = {}
        for head in heads:
            if head.book == self.name:
                wanted.setdefault(head.seq, set()).add(head.hash)
        self._rows(connection, wanted)
        self._tail(connection, max(wanted, default=0))

    def finish(self) -> list[AuditFinding]:
        """Return all findings; the last streak is only known to have ended here."""
        self._flush()
        if self.more:
            self.findings.append(
                AuditFinding(AuditFindingKind.MORE, self.name, f"{self.name}: {counted(self.more, 'more finding')}.")
            )
        return self.findings

    def _rows(self, connection: sqlite3.Connection, wanted: Mapping[int, set[str]]) -> None:
        sha256 = hashlib.sha256
        opening = front(self.name, 0, "").partition('"seq":')[0] + '"seq":'
        expected, previous = self.expected, self.previous
        for seq, data, digest in connection.execute("SELECT seq, data, hash FROM event NOT INDEXED ORDER BY seq"):
            if seq < expected:  # in a whole table each number is larger; pages that lead in a circle would never end
                self.expected = expected
                self.find(
                    AuditFindingKind.UNREADABLE,
                    f"event {seq} is in the place of event {expected}: the rest was not read.",
                )
                return
            # All is well with nearly every row: its number, its hash, and the name, number and hash it begins with.
            try:
                well = (
                    seq == expected
                    and sha256(data).digest() == digest
                    and data.startswith(f'{opening}{seq},"previous":"{previous}","event":'.encode())
                )
            except (TypeError, AttributeError):  # somebody stored something that is no text, no hash
                well = False
            if well:
                previous = digest.hex()
            else:
                self.expected, self.previous = expected, previous
                previous = self._odd(seq, data, digest)
            expected = seq + 1
            self.expected = expected
            if seq in wanted and wanted[seq] != {_hex(digest)}:
                self.find(
                    AuditFindingKind.REWRITTEN,
                    f"event {seq} differs from the one in the fleet's record: the audit log was rewritten.",
                    seq,
                )

    def _odd(self, seq: int, data: Any, digest: Any) -> str | None:
        """Look at a row that is not simply right. Return its hash where it is nevertheless a link of the chain."""
        previous = self.previous
        if seq != self.expected:
            self._flush()
            self._gap(self.expected, seq - 1)
            previous = None
        if not isinstance(data, bytes) or hashlib.sha256(data).digest() != digest:
            self._wrong(AuditFindingKind.EDITED, None, seq)
            return None
        book, number, named = _chain_of(data)
        if book is None or number is None:
            self._wrong(AuditFindingKind.EDITED, None, seq)
        elif book != self.name:
            self._wrong(AuditFindingKind.FOREIGN, book, seq)
        elif number != seq:
            self._wrong(AuditFindingKind.MOVED, number - seq, seq)
        else:
            if previous is not None and named != previous:
                self._wrong(AuditFindingKind.BROKEN, None, seq)
            return _hex(digest)
        return None

    def _wrong(self, kind: AuditFindingKind, key: Any, seq: int) -> None:
        streak = self._streak
        if (
            streak
            and (streak.kind, streak.key, streak.last) == (kind, key, seq - 1)
            and kind is not AuditFindingKind.BROKEN
        ):
            streak.last = seq
            return
        self._flush()
        self._streak = _Streak(kind, key, seq, seq)

    def _flush(self) -> None:
        streak, self._streak = self._streak, None
        if streak is not None:
            self.find(streak.kind, _sentence(streak, self.name), streak.first, streak.last)

    def _gap(self, first: int, last: int) -> None:
        verb = "was removed: its number is" if first == last else "were removed: their numbers are"
        self.find(AuditFindingKind.REMOVED, f"{_events(first, last)} {verb} missing.", first, last)

    def _tail(self, connection: sqlite3.Connection, known: int) -> None:
        self._flush()
        last = self.expected - 1
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        counted = row[0] if row and isinstance(row[0], int) else 0
        if known > last:
            why = f"the fleet's record has event {known}"
        elif counted > last:
            why = f"SQLite's own counter is at {counted}"
        else:
            if counted < last:  # SQLite raises it with every event, so this was not SQLite
                self.find(AuditFindingKind.EDITED, f"SQLite's own counter was changed: it is at {counted}, not {last}.")
            return
        end = max(known, counted)
        verb = "was" if end == last + 1 else "were"
        self.find(AuditFindingKind.CUT, f"{_events(last + 1, end)} {verb} cut off the end: {why}.", last + 1, end)


def _events(first: int, last: int) -> str:
    return f"event {first}" if first == last else f"events {first} to {last}"


def _sentence(streak: _Streak, name: str) -> str:
    which = _events(streak.first, streak.last)
    one = streak.first == streak.last
    match streak.kind:
        case AuditFindingKind.EDITED:
            return f"{which} {'was' if one else 'were'} edited: the stored bytes don't match the stored hash."
        case AuditFindingKind.FOREIGN:
            return f"{which} {'is' if one else 'are'} foreign: written for the audit log {streak.key}, not for {name}."
        case AuditFindingKind.MOVED:
            was = _events(streak.first + streak.key, streak.last + streak.key)
            if one:
                return f"{which} contains what was written as {was}: it was moved."
            how = "removed" if streak.key > 0 else "inserted"
            return f"{which} contain what was written as {was}: something was {how} before them."
        case _:
            before = streak.first - 1
            return (
                f"the chain breaks at event {streak.first}, which does not follow from event {before}. "
                f"Event {before} was rewritten, or event {streak.first} was inserted."
            )


_FRONT = re.compile(rb'\{"book":("(?:[^"\\]|\\.)*"),"seq":(\d{1,19}),"previous":"([0-9a-f]{64})","event":\{')


def _chain_of(data: bytes) -> tuple[str | None, int | None, str | None]:
    """Return the audit log's name, the number and the previous hash that the bytes contain."""
    found = _FRONT.match(data)
    if found is None:
        return None, None, None
    try:
        return json.loads(found[1]), int(found[2]), found[3].decode()
    except ValueError:
        return None, None, None


def _hex(digest: Any) -> str | None:
    return digest.hex() if isinstance(digest, bytes) else None
