"""The audit log's SQLite file: opening it to write or to read, appending, searching.

What people search by is read by SQLite from the very bytes that were hashed (expression indexes), so it can't disagree
with them. Triggers refuse to change or remove a row, and to insert one anywhere but behind the last. Who may write the
file can drop the triggers; then the chain still tells (`bot.audit.verification`).

WAL with `synchronous=FULL`: a commit is one append and one sync of the log, readers never stop the writer nor the
writer them, and what was acknowledged survives a power cut.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from bot.audit.events import (
    GENESIS,
    Appended,
    AuditHead,
    AuditLogHeld,
    AuditLogUnavailable,
    Draft,
    Entry,
    chained,
    read_entry,
)
from bot.audit.schema import DAMAGED, FORMAT, SCHEMA, bound, differences, said
from bot.process.file_lock import FileLock
from commands.kit.audit_filter import EVERYTHING, AuditFilter

if TYPE_CHECKING:
    from sqlite_utils import Database

_BUSY_SECONDS = 2.0
_COMPANIONS = ("", "-wal", "-shm", ".lock")
"""What SQLite and the bot have open of it: where one of them is another file than it was, what is written there is lost, or a second bot
writes beside this one.
"""
_ROOM = b"\0" * 4096

_FIND = f"SELECT data, seq, hash FROM event WHERE {said('id')} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own words
_APPEND = "INSERT INTO event (seq, data, hash) VALUES (?, ?, ?)"
_APPEND_NEW = (
    f"INSERT INTO event (seq, data, hash) SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM event WHERE {said('id')} = ?)"  # noqa: S608
)
_LAST = "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1"
_BEHIND = "SELECT seq, data, hash FROM event NOT INDEXED WHERE seq > ? ORDER BY seq LIMIT ?"


class AuditFile:
    """The file, open for writing: held by one process at a time, used by one thread at a time."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self._lock: FileLock | None = _hold(path)
        self._database: Database | None = None
        self._inodes: tuple[int, ...] = ()
        self._schema_version = 0
        self._altered = ""
        """What somebody else did to it while it was open: nothing more is written, and the file stays as it was found."""
        self._seq = 0
        self._previous = GENESIS
        self._tried: list[tuple[int, str, bytes]] = []
        """The rows of the transaction that was tried last: all or none of them are in the file where its end was not told."""
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> AuditHead:
        """The newest event that is known to be in the audit log."""
        return AuditHead(self.name, self._seq, self._previous)

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Append all of them in one transaction, in this order, or none; return where each stands. Raises `AuditLogUnavailable`."""
        with self._writing() as connection:
            recorded, seq, previous = self._insert(connection, drafts)
            self._check_place()  # again: what went into a file that is no longer there is not acknowledged
            self._seq, self._previous, self._tried = seq, previous, []
            return recorded

    def check(self) -> None:
        """Raises `AuditLogUnavailable` where an event could not be written now. It writes none."""
        with self._writing() as connection:
            self._check_known(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            _check_room(self.path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, opened again after a failure. Whatever fails inside raises `AuditLogUnavailable`."""
        if self._altered:
            raise AuditLogUnavailable(self._altered)
        try:
            if self._database is None:
                self._connect()
            assert self._database is not None
            self._check_place()
            yield self._database.conn
        except (*DAMAGED, OSError) as error:
            self._disconnect()
            raise AuditLogUnavailable(_sentence(error, self.path)) from error
        except AuditLogUnavailable:
            self._disconnect()
            raise

    def _insert(self, connection: sqlite3.Connection, drafts: Sequence[Draft]) -> tuple[list[Appended], int, str]:
        if len(drafts) == 1 and (one := self._insert_one(connection, drafts[0])):
            return [one], one.seq, one.hash
        seq, previous = self._seq, self._previous
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute(_FIND, (json.dumps([draft.id for draft in drafts]),)).fetchall()
        recorded = {json.loads(data)["event"]["id"]: Appended(number, digest.hex()) for data, number, digest in found}
        rows = []
        for draft in drafts:
            if draft.id not in recorded:
                seq += 1
                text, digest = chained(self.name, seq, previous, draft.body)
                previous = digest.hex()
                recorded[draft.id] = Appended(seq, previous)
                rows.append((seq, text, digest))
        self._tried = rows
        connection.executemany(_APPEND, rows)
        self._check_written(connection, rows)
        connection.execute("COMMIT")
        return [recorded[draft.id] for draft in drafts], seq, previous

    def _insert_one(self, connection: sqlite3.Connection, draft: Draft) -> Appended | None:
        """Append one event by one statement, which is its own transaction. Return None where nothing was written: the id exists, or the row was swallowed."""
        seq = self._seq + 1
        text, digest = chained(self.name, seq, self._previous, draft.body)
        self._tried = [(seq, text, digest)]
        if connection.execute(_APPEND_NEW, (seq, text, digest, draft.id)).rowcount == 1:
            self._check_written(connection, [(seq, text, digest)])
            return Appended(seq, digest.hex())
        return None

    def _check_written(self, connection: sqlite3.Connection, rows: list[tuple[int, str, bytes]]) -> None:
        """Check that exactly the written rows follow the last event, and that no trigger was added meanwhile."""
        if connection.execute(_BEHIND, (self._seq, len(rows) + 1)).fetchall() != rows:
            self._alter("what was written to it is not in it")
        if connection.execute("PRAGMA schema_version").fetchone()[0] != self._schema_version:
            self._check_schema(connection)

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        version: int = connection.execute("PRAGMA schema_version").fetchone()[0]
        for difference in differences(connection):
            self._alter(difference.sentence.rstrip("."))
        self._schema_version = version

    def _alter(self, what: str) -> NoReturn:
        self._altered = (
            f"The audit log {self.path} was changed by somebody else: {what}. Nothing more is written to it. Keep a copy, "
            "find out who could write to it, and run `omnicare audit verify` to see what was changed."
        )
        raise AuditLogUnavailable(self._altered)

    def _connect(self) -> None:
        try:
            database = _open_for_writing(self.path, self.name, create=not self._inodes)
        except (*DAMAGED, OSError) as error:
            raise AuditLogUnavailable(_sentence(error, self.path)) from error
        try:
            self._check_file()
            self._check_schema(database.conn)
            _check_name(database, self.path, self.name)
            self._check_known(database.conn)
            self._check_behind(database.conn)
            last = database.conn.execute(_LAST).fetchone()
            self._inodes = _inodes(self.path)
        except (*DAMAGED, OSError) as error:
            database.close()
            raise AuditLogUnavailable(_sentence(error, self.path)) from error
        except AuditLogUnavailable:
            database.close()
            raise
        self._seq, self._previous = (last[0], bytes(last[1]).hex()) if last else (0, GENESIS)
        self._database = database

    def _check_file(self) -> None:
        """Check that the file is the one that was opened: an event written to one that was moved away or removed would be lost."""
        if self._inodes and self.path.stat().st_ino != self._inodes[0]:
            raise AuditLogUnavailable(f"The audit log {self.path} was replaced while the bot had it open.")

    def _check_place(self) -> None:
        """Check the same of SQLite's write-ahead log, and move what it holds into the file while that is possible."""
        self._check_file()
        if _inodes(self.path) == self._inodes:
            return
        if self._database is not None:
            with contextlib.suppress(*DAMAGED):
                self._database.conn.rollback()
                self._database.conn.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        self._alter("its -wal, -shm or .lock file was removed or replaced while the bot had it open")

    def _check_known(self, connection: sqlite3.Connection) -> None:
        if self._seq == 0:
            return
        row = connection.execute("SELECT hash FROM event WHERE seq = ?", (self._seq,)).fetchone()
        if row is None or bytes(row[0]).hex() != self._previous:
            self._alter(f"event {self._seq} is not what the bot wrote")

    def _check_behind(self, connection: sqlite3.Connection) -> None:
        """Check that nothing follows the last known event except what this process tried to write itself."""
        if not self._inodes:
            return  # opened for the first time: whatever stands there is from before
        found = connection.execute(_BEHIND, (self._seq, len(self._tried) + 1)).fetchall()
        if found and found != self._tried:
            self._alter(f"event {self._seq + 1} was not written by the bot")

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(*DAMAGED):
                database.conn.rollback()
            with contextlib.suppress(*DAMAGED):
                database.close()

    def close(self) -> None:
        """Close the file and release its lock."""
        self._disconnect()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _inodes(path: Path) -> tuple[int, ...]:
    """Return the inodes of the log and its companions; 0 for one that does not exist."""
    found = []
    for companion in _COMPANIONS:
        try:
            found.append(path.with_name(path.name + companion).stat().st_ino)
        except FileNotFoundError:
            found.append(0)
    return tuple(found)


def _check_room(path: Path) -> None:
    """Write a page beside the file, sync and remove it, so that a full disk shows before an event has to be written."""
    probe = path.with_name(path.name + ".probe")
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(descriptor, _ROOM, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _hold(path: Path) -> FileLock:
    """Return the lock of a file beside the log: closing any other descriptor of the log itself would drop SQLite's locks."""
    try:
        lock = FileLock(path.with_name(path.name + ".lock"))
    except OSError as error:
        raise AuditLogUnavailable(_sentence(error, path)) from error
    if not lock.take():
        holder = lock.words.decode(errors="replace").strip() or "unknown"
        lock.close()
        raise AuditLogHeld(
            f"The audit log {path} is used by another process (PID {holder}). Only one process may write to it: stop that one, "
            "or configure another file for this one."
        )
    lock.write(str(os.getpid()).encode())
    return lock


def _open_for_writing(path: Path, name: str, *, create: bool) -> "Database":
    from sqlite_utils import Database

    if create:
        _make_private(path)
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
    try:
        database = Database(connection)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        bound(connection)
        _make_schema(database, name)
    except BaseException:
        connection.close()
        raise
    return database


def _check_name(database: "Database", path: Path, name: str) -> None:
    found = database.conn.execute("SELECT name, format FROM book LIMIT 2").fetchall()
    if found != [(name, FORMAT)]:
        whose, form = found[0] if found else ("nobody", FORMAT)
        wrong = (
            f"has the format {form}, not {FORMAT}" if whose == name else f"is the audit log of {whose}, not of {name}"
        )
        raise AuditLogUnavailable(f"The file {path} {wrong}.")


def _make_private(path: Path) -> None:
    """Create the file, readable by its owner only, whatever the umask; SQLite gives its companions the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _make_schema(database: "Database", name: str) -> None:
    if database.conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return
    with database.atomic():
        for statement in SCHEMA.values():
            database.conn.execute(statement)
        database.conn.execute("INSERT INTO book (one, name, format) VALUES (1, ?, ?)", (name, FORMAT))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a read-only connection, from any process, while another one writes; texts come as the stored bytes."""
    from sqlite_utils import Database

    if not path.is_file():
        raise AuditLogUnavailable(f"There is no audit log at {path}.")
    target = f"file:{quote(str(path))}?mode=ro"
    try:
        connection = _open_to_read(target)
    except sqlite3.OperationalError as error:
        if path.with_name(path.name + "-wal").exists():
            raise AuditLogUnavailable(_sentence(error, path)) from error
        # A directory where nothing may be made (a backup, another account's): nobody writes there either.
        try:
            connection = _open_to_read(target + "&immutable=1")
        except DAMAGED as second:
            raise AuditLogUnavailable(_sentence(second, path)) from second
    except DAMAGED as error:
        raise AuditLogUnavailable(_sentence(error, path)) from error
    database = Database(connection)
    connection.text_factory = bytes
    try:
        yield connection
    finally:
        database.close()


def _open_to_read(target: str) -> sqlite3.Connection:
    connection = sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
    try:
        bound(connection)
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


_LARGEST_NUMBER = (1 << 63) - 1
"""That SQLite can hold; a kept head is a text, and may claim any."""


def first_not_found(path: Path, heads: Sequence[AuditHead]) -> AuditHead | None:
    """Return the first of these heads that does not stand in the audit log at its number with its hash. Raises `AuditLogUnavailable`."""
    with reading(path) as connection:
        try:
            if any(each.hinders for each in differences(connection)):
                raise AuditLogUnavailable(f"The audit log {path} can't be read: its schema was changed. {_VERIFY}")
            for head in heads:
                if not 0 < head.seq <= _LARGEST_NUMBER:
                    return head
                row = connection.execute("SELECT data, hash FROM event WHERE seq = ?", (head.seq,)).fetchone()
                if row is None or row[1].hex() != head.hash or hashlib.sha256(row[0]).digest() != row[1]:
                    return head
        except (*DAMAGED, AttributeError, TypeError) as error:
            raise AuditLogUnavailable(
                f"The audit log {path} can't be read: something in it was changed. {_VERIFY}"
            ) from error
    return None


def search_audit_logs(paths: Sequence[Path], wanted: AuditFilter = EVERYTHING) -> list[Entry]:
    """Return what matches in these audit logs, newest first. Raises `AuditLogUnavailable`."""
    equal = {
        "actor": wanted.actor,
        "command": wanted.command,
        "environment": wanted.environment,
        "run": wanted.run,
        "name": wanted.name,
    }
    conditions = [_equals(column, str(value)) for column, value in equal.items() if value is not None]
    conditions += [(f"{said('at')} >= ?", (_stamp(wanted.since),))] if wanted.since else []
    conditions += [(f"{said('at')} < ?", (_stamp(wanted.until),))] if wanted.until else []
    where = " AND ".join(condition for condition, _ in conditions) or "1"
    values: list[Any] = [value for _, pair in conditions for value in pair]
    sql = f"SELECT data, hash FROM event WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - columns are our own words
    found = []
    for path in paths:
        with reading(path) as connection:
            try:
                if any(each.hinders for each in differences(connection)):
                    raise AuditLogUnavailable(f"The audit log {path} can't be read: its schema was changed. {_VERIFY}")
                rows = connection.execute(sql, (*values, wanted.limit)).fetchall()
                found.append([read_entry(data, digest) for data, digest in rows])
            except (*DAMAGED, ValueError, KeyError, TypeError) as error:
                raise AuditLogUnavailable(
                    f"The audit log {path} can't be read: something in it was changed. {_VERIFY}"
                ) from error
    if len(found) == 1:
        return found[0]
    newest = sorted((entry for each in found for entry in each), key=lambda entry: entry.at, reverse=True)
    return newest[: wanted.limit]


def _equals(column: str, value: str) -> tuple[str, tuple[str, ...]]:
    """Return a condition and its values. It searches the stored bytes for the field first, so that only a row that has it is parsed."""
    return f"instr(data, ?) AND {said(column)} = ?", (f'"{column}":{encode_basestring(value)}', value)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


_VERIFY = "Run `omnicare audit verify` to see what."
_SENTENCES = {
    "SQLITE_FULL": "the disk is full",
    "SQLITE_BUSY": "another process keeps it locked",
    "SQLITE_LOCKED": "another process keeps it locked",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_CANTOPEN": "it can't be opened",
    "SQLITE_PERM": "access to it is denied",
    "SQLITE_IOERR": "the disk can't be read or written",
    "SQLITE_CORRUPT": "the file is damaged",
    "SQLITE_NOTADB": "the file is not a database",
    "SQLITE_CONSTRAINT": "somebody else has written to it",
}


def _sentence(error: Exception, path: Path) -> str:
    """Return the reason as a sentence; the caller chains the error itself."""
    code = getattr(error, "sqlite_errorname", "")
    family = "_".join(code.split("_")[:2])
    if isinstance(error, OSError):
        return f"The audit log {path} can't be used: {os.strerror(error.errno or 0).lower()}."
    return f"The audit log {path} can't be used: {_SENTENCES.get(family, 'SQLite refused')} ({code or type(error).__name__})."
