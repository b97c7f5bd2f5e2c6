"""The audit log's schema, and how a file's schema differs from it: compared whole, before anything else of a file is read.

A trigger can swallow what is written, and a view in a table's place can answer without end. So nothing but what stands here
may stand in a file, whatever its name begins with.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.wording import shortened

LONGEST_VALUE = 1 << 20
"""Bytes of one value that SQLite hands over: an event has fewer, and a damaged page may claim a thousand times as many."""
FORMAT = 1
"""How the bytes of an event are built; it stands in the file beside the log's name."""
_SHOWN = 60
"""Characters of a name that somebody else chose."""
DAMAGED = (sqlite3.Error, UnicodeDecodeError)
"""What a file that is no whole database makes of a statement; its own bytes may stand in SQLite's message, and be no text."""
_MOST = 100
"""Objects that are looked at: the expected ones are ten."""


def said(name: str) -> str:
    """Return an SQL expression for a field of the stored bytes: computed from them, it can't disagree with them."""
    return f"json_extract(data, '$.event.{name}')"


# Compared byte by byte with what a file has: another word in a sentence here, and every audit log that exists is refused.
SCHEMA: dict[str, str] = {
    "book": "CREATE TABLE book (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL, format INTEGER NOT NULL) STRICT",
    # AUTOINCREMENT: SQLite keeps the highest number that ever was beside the table, a first witness of a cut tail
    "event": "CREATE TABLE event (seq INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL, hash BLOB NOT NULL) STRICT",
    # not UNIQUE: `INSERT OR REPLACE` would remove the row that has the id, without asking the trigger on DELETE;
    # the one writer looks ids up before it appends
    "event_id": f"CREATE INDEX event_id ON event ({said('id')})",
    # no further index: each is one more page in every commit, and a million events are looked through in a second or two
    "event_appended": "CREATE TRIGGER event_appended BEFORE INSERT ON event "
    "WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM event) "
    "BEGIN SELECT RAISE(ABORT, 'the book is only appended to'); END",
    "event_kept": "CREATE TRIGGER event_kept BEFORE DELETE ON event "
    "BEGIN SELECT RAISE(ABORT, 'nothing is removed from the book'); END",
    "event_unchanged": "CREATE TRIGGER event_unchanged BEFORE UPDATE ON event "
    "BEGIN SELECT RAISE(ABORT, 'nothing in the book is changed'); END",
    "book_named_once": "CREATE TRIGGER book_named_once BEFORE INSERT ON book WHEN EXISTS (SELECT 1 FROM book) "
    "BEGIN SELECT RAISE(ABORT, 'the book has its name'); END",
    "book_kept": "CREATE TRIGGER book_kept BEFORE DELETE ON book "
    "BEGIN SELECT RAISE(ABORT, 'the book keeps its name'); END",
    "book_unchanged": "CREATE TRIGGER book_unchanged BEFORE UPDATE ON book "
    "BEGIN SELECT RAISE(ABORT, 'the book keeps its name'); END",
}

_OF_SQLITE = {"sqlite_sequence": "CREATE TABLE sqlite_sequence(name,seq)"}
"""Made by SQLite itself, for AUTOINCREMENT."""
_READ = ("book", "event", "sqlite_sequence")
"""What is read: each has to be the very table."""
_GUARDS = {"trigger": ", so events can be changed"}


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is missing, changed, or none of the audit log's."""

    sentence: str
    hinders: bool
    """What is read is not the table that it should be, so nothing can be read."""


def bound(connection: sqlite3.Connection) -> None:
    """Limit values to the size of the largest event, whatever a file claims."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)


def differences(connection: sqlite3.Connection) -> Iterator[Difference]:
    """Yield each object in which the file's schema differs from the expected one."""
    expected = {
        name: (sql.split()[1].lower(), "book" if name.startswith("book") else "event", sql)
        for name, sql in SCHEMA.items()
    } | {name: ("table", name, sql) for name, sql in _OF_SQLITE.items()}
    missing = dict(expected)
    rows = connection.execute(
        "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), CAST(sql AS BLOB) "
        "FROM sqlite_master LIMIT ?",
        (_MOST,),
    )
    for row in rows:
        kind, name, table, sql = (bytes(each or b"").decode(errors="replace") for each in row)
        known = missing.pop(name, None)
        if known is None:
            yield Difference(f"the {_short(kind)} {_short(name)} does not belong to the audit log.", name in expected)
        elif (kind, table, sql) != known:
            yield Difference(f"the {known[0]} {name} was changed{_GUARDS.get(known[0], '')}.", name in _READ)
    for name, (kind, *_) in missing.items():
        yield Difference(f"the {kind} {name} is missing{_GUARDS.get(kind, '')}.", name in _READ)


def _short(text: str) -> str:
    """Return a name that somebody else chose, shortened to one line."""
    shown = "".join(sign if sign.isprintable() else "�" for sign in text)
    return shortened(shown, _SHOWN)
