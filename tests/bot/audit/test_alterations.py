"""Somebody changes the file while the bot has it open, or before it opens it: nothing more is acknowledged, and reading ends."""
# ruff: noqa: ASYNC240

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.audit import (
    AuditFindingKind,
    AuditHead,
    AuditLog,
    AuditLogUnavailable,
    first_not_found,
    search_audit_logs,
    verify,
)
from bot.audit.events import chained, draft
from bot.audit.file import AuditFile
from runbooks.redaction.redactor import Redactor
from tests.bot.audit.test_audit_log import event
from tests.bot.audit.test_tampering import EVENTS, written

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS seq, '{}' AS data, x'00' AS hash FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.db"


def plant(path: Path, kind: str, name: str, table: str, sql: str) -> None:
    """An object that SQLite itself would not make: its name begins with `sqlite_`, or a table's name is taken."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, 0, ?)",
            (kind, name, table, sql),
        )
        version = raw.execute("PRAGMA schema_version").fetchone()[0]
        raw.execute(f"PRAGMA schema_version = {version + 1}")
        raw.commit()


def swallow(path: Path) -> None:
    plant(
        path,
        "trigger",
        "sqlite_x",
        "event",
        "CREATE TRIGGER sqlite_x BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END",
    )


def replace_by_a_view(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TABLE event")
        raw.execute(f"CREATE VIEW event AS {ENDLESS}")
        raw.commit()


async def test_an_event_that_somebody_else_adds_meanwhile_is_not_built_upon(path: Path) -> None:
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        head = await audit_log.head()
        forged, digest = chained("bot-0", 2, head.hash, draft(event(99), Redactor()).body)
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("INSERT INTO event (seq, data, hash) VALUES (2, ?, ?)", (forged, digest))
            raw.commit()
        assert verify(path) == [], "its hash is right"
        with pytest.raises(AuditLogUnavailable):
            await audit_log.append(event(2))
        for _ in range(2):
            with pytest.raises(AuditLogUnavailable, match="event 2 was not written by the bot"):
                await audit_log.append(event(3))
            with pytest.raises(AuditLogUnavailable, match="event 2 was not written by the bot"):
                await audit_log.check()
        assert await audit_log.head() == head


@pytest.mark.parametrize("count", [1, 3])
async def test_an_event_that_a_planted_trigger_swallows_is_not_acknowledged(path: Path, count: int) -> None:
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        swallow(path)
        for turn in range(2):
            with pytest.raises(AuditLogUnavailable, match=r"is not in it|sqlite_x does not belong"):
                await audit_log.append(event(10 * turn + count))
        with pytest.raises(AuditLogUnavailable):
            await audit_log.check()
        assert (await audit_log.head()).seq == 1
    assert [each.kind for each in verify(path)] == [AuditFindingKind.SCHEMA]


def test_many_at_once_that_a_planted_trigger_swallows_are_not_acknowledged(path: Path) -> None:
    file = AuditFile(path, "bot-0")
    swallow(path)
    with pytest.raises(AuditLogUnavailable, match="changed by somebody else"):
        file.append([draft(event(number), Redactor()) for number in range(3)])
    file.close()


async def test_a_trigger_that_changes_what_was_just_written_is_noticed(path: Path) -> None:
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("DROP TRIGGER event_unchanged")
            raw.execute(
                "CREATE TRIGGER event_unchanged AFTER INSERT ON event "
                "BEGIN UPDATE event SET data = replace(data, 'requester', 'outsider') WHERE seq = NEW.seq; END"
            )
        with pytest.raises(AuditLogUnavailable, match="changed by somebody else"):
            await audit_log.append(event(1))


def test_a_file_with_anything_in_its_schema_that_is_not_ours_is_not_opened(path: Path) -> None:
    written(path)
    swallow(path)
    with pytest.raises(AuditLogUnavailable, match="the trigger sqlite_x does not belong to the audit log"):
        AuditFile(path, "bot-0")


def test_an_endless_view_in_the_place_of_the_events_ends_at_once(path: Path) -> None:
    head = written(path)
    replace_by_a_view(path)
    findings = verify(path, [head])
    assert AuditFindingKind.UNREADABLE in [each.kind for each in findings]
    assert any("event was changed" in each.sentence for each in findings)
    with pytest.raises(AuditLogUnavailable, match="audit verify"):
        search_audit_logs([path])
    with pytest.raises(AuditLogUnavailable, match="changed by somebody else"):
        AuditFile(path, "bot-0")


@pytest.mark.parametrize("companion", ["-wal", "-shm", ".lock"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_removed_or_replaced_companion_is_noticed_and_no_acknowledged_event_is_lost(
    path: Path, companion: str, replaced: bool
) -> None:
    beside = path.with_name(path.name + companion)
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        told = [await audit_log.append(event(number)) for number in range(5)]
        held = beside.read_bytes()
        beside.rename(path.with_name("aside"))
        if replaced:
            beside.write_bytes(held)
        for number in (5, 6):
            with pytest.raises(AuditLogUnavailable, match=companion):
                await audit_log.append(event(number))
        with pytest.raises(AuditLogUnavailable, match=companion):
            await audit_log.check()
        # as after a hard exit: nothing of what SQLite had beside the file is there any more
        copy = path.with_name("copy.db")
        copy.write_bytes(path.read_bytes())
        assert [each.hash for each in reversed(search_audit_logs([copy]))] == [each.hash for each in told]


@pytest.mark.parametrize("number", [-1, 0, EVENTS + 1, 1 << 63, 10**30])
def test_a_head_that_claims_a_number_that_no_event_has_is_not_found(path: Path, number: int) -> None:
    head = written(path)
    assert first_not_found(path, [head]) is None
    assert first_not_found(path, [head, AuditHead(head.book, number, head.hash)]) is not None


async def test_asking_whether_it_can_be_written_writes_nothing(path: Path) -> None:
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        for _ in range(20):
            await audit_log.check()
        assert (await audit_log.head()).seq == 1
        assert len(await audit_log.search()) == 1
        assert sorted(each.name for each in path.parent.iterdir()) == [
            f"book.db{end}" for end in ("", "-shm", "-wal", ".lock")
        ]
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(AuditLogUnavailable):
            await audit_log.check()
    with pytest.raises(AuditLogUnavailable, match="closed"):
        await audit_log.check()


# ---- whatever is done to the bytes: verification ends, and what it lets pass is what was written ----


def _stored(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw:
        raw.text_factory = bytes
        return raw.execute("SELECT seq, data, hash FROM event NOT INDEXED ORDER BY seq").fetchall()


class Whole:
    """A log of several pages, its WAL beside it, as a killed bot leaves it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "whole.db"
        self.head: AuditHead = written(path, events=60)
        self.file = path.read_bytes()
        file = AuditFile(path, "bot-0")
        file.append([draft(event(number), Redactor()) for number in range(60, 90)])
        self.behind = file.head
        self.older, self.wal = path.read_bytes(), path.with_name("whole.db-wal").read_bytes()
        file.close()
        self.rows = _stored(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


def judged(folder: Path, file: bytes, wal: bytes | None, head: AuditHead, rows: list[tuple[object, ...]]) -> bool:
    """Whether it was let pass; then every event up to the head is the very one that was written."""
    path = folder / "fuzzed.db"
    for each in folder.iterdir():
        each.unlink()
    path.write_bytes(file)
    if wal is not None:
        path.with_name("fuzzed.db-wal").write_bytes(wal)
    findings = verify(path, [head])
    assert len(findings) <= 110
    if findings:
        return False
    assert _stored(path)[: head.seq] == rows[: head.seq]
    return True


_changes = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=4)
_fuzz = settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_fuzz
@given(_changes)
def test_whatever_bits_of_the_file_are_flipped_nothing_false_is_let_pass(
    whole: Whole, tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(whole.file)
    for at, by in changes:
        data[at % len(data)] ^= by
    judged(tmp_path, bytes(data), None, whole.head, whole.rows)


@_fuzz
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=3), st.integers(0, 3))
def test_whatever_pages_are_copied_over_others_nothing_false_is_let_pass(
    whole: Whole, tmp_path: Path, moves: list[tuple[int, int]], cut: int
) -> None:
    size = int.from_bytes(whole.file[16:18], "big")
    pages = [whole.file[at : at + size] for at in range(0, len(whole.file), size)]
    for source, target in moves:
        pages[target % len(pages)] = pages[source % len(pages)]
    judged(tmp_path, b"".join(pages[: len(pages) - cut]), None, whole.head, whole.rows)


@_fuzz
@given(st.integers(0, 1 << 20), _changes | st.none())
def test_whatever_is_cut_from_or_flipped_in_the_wal_nothing_false_is_let_pass(
    whole: Whole, tmp_path: Path, cut: int, changes: list[tuple[int, int]] | None
) -> None:
    data = bytearray(whole.wal[: cut % (len(whole.wal) + 1)] if changes is None else whole.wal)
    for at, by in changes or ():
        data[at % len(data)] ^= by
    judged(tmp_path, whole.older, bytes(data), whole.behind, whole.rows)


@_fuzz
@given(
    st.sampled_from(["table", "view", "trigger", "index", "TABLE", ""]),
    st.sampled_from(["event", "book", "sqlite_sequence", "sqlite_x", "event_kept", "x"]) | st.text(max_size=8),
    st.sampled_from(["event", "book", "sqlite_master"]),
    st.sampled_from([f"CREATE VIEW event AS {ENDLESS}", "CREATE TABLE x (y)", None, ""])
    | st.builds(
        lambda name: f"CREATE TRIGGER {name} BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END",
        st.sampled_from(["sqlite_x", "x"]),
    ),
)
def test_whatever_is_planted_into_the_schema_is_named_or_changes_nothing(
    whole: Whole, tmp_path: Path, kind: str, name: str, table: str, sql: str | None
) -> None:
    for each in tmp_path.iterdir():
        each.unlink()
    path = tmp_path / "planted.db"
    path.write_bytes(whole.file)
    try:
        plant(path, kind, name, table, sql or "")
    except (sqlite3.Error, UnicodeEncodeError):
        return  # SQLite itself does not take it
    assert verify(path, [whole.head])
    with pytest.raises(AuditLogUnavailable):
        AuditFile(path, "bot-0")


@_fuzz
@given(st.integers(0, EVENTS), st.booleans())
def test_wherever_the_tail_is_cut_it_shows_against_the_head(
    whole: Whole, tmp_path: Path, keep: int, counted: bool
) -> None:
    for each in tmp_path.iterdir():
        each.unlink()
    path = tmp_path / "cut.db"
    path.write_bytes(whole.file)
    with closing(sqlite3.connect(path)) as raw:
        sql = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'event_kept'").fetchone()[0]
        raw.execute("DROP TRIGGER event_kept")
        raw.execute("DELETE FROM event WHERE seq > ?", (keep,))
        if counted:
            raw.execute("UPDATE sqlite_sequence SET seq = ?", (keep,))
        raw.execute(sql)
        raw.commit()
    assert [each.kind for each in verify(path, [whole.head])] == [AuditFindingKind.CUT]
