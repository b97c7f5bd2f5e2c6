"""What somebody does who may write the audit log's file and knows its format."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bot.audit.events import chained
from bot.audit.schema import SCHEMA

Change = Callable[[sqlite3.Connection], object]


def tampered(path: Path, change: Change) -> None:
    """Without the triggers, which are put back so that only the change itself shows."""
    triggers = [name for name, sql in SCHEMA.items() if sql.startswith("CREATE TRIGGER")]
    with closing(sqlite3.connect(path)) as raw:
        for name in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        change(raw)
        for name in triggers:
            raw.execute(SCHEMA[name])
        raw.commit()


def row(raw: sqlite3.Connection, seq: int) -> tuple[str, bytes]:
    found: tuple[str, bytes] = raw.execute("SELECT data, hash FROM event WHERE seq = ?", (seq,)).fetchone()
    return found


def put(raw: sqlite3.Connection, seq: int, data: object, digest: object) -> None:
    raw.execute("INSERT OR REPLACE INTO event (seq, data, hash) VALUES (?, ?, ?)", (seq, data, digest))


def chain_anew(raw: sqlite3.Connection, old: str, new: str) -> None:
    """The whole chain anew, with another word in its events: each hash is right."""
    name = raw.execute("SELECT name FROM book").fetchone()[0]
    previous = "0" * 64
    for seq, data in raw.execute("SELECT seq, data FROM event ORDER BY seq").fetchall():
        body = data[data.index('"event":') + len('"event":') : -1].replace(old, new)
        text, digest = chained(name, seq, previous, body)
        previous = digest.hex()
        raw.execute("UPDATE event SET data = ?, hash = ? WHERE seq = ?", (text, digest, seq))


def cut_and_count(raw: sqlite3.Connection, last: int) -> None:
    """The tail cut behind this event, and SQLite's own count with it."""
    raw.execute("DELETE FROM event WHERE seq > ?", (last,))
    raw.execute("UPDATE sqlite_sequence SET seq = ?", (last,))
