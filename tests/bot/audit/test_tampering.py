"""Somebody who may write the file drops the triggers and changes it: verification names what was done, and where."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.audit import AuditFindingKind, AuditHead, search_audit_logs, verify, verify_audit_logs
from bot.audit.events import AuditLogUnavailable, draft
from bot.audit.file import AuditFile
from runbooks.redaction.redactor import Redactor
from tests.bot.audit.test_audit_log import event
from tests.support.falsified import put, row, tampered

EVENTS = 20


def written(path: Path, name: str = "bot-0", events: int = EVENTS) -> AuditHead:
    file = AuditFile(path, name)
    try:
        file.append([draft(event(number), Redactor()) for number in range(events)])
        return file.head
    finally:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.db"


@pytest.fixture
def head(path: Path) -> AuditHead:
    return written(path)


def found(path: Path, *heads: AuditHead) -> list[tuple[AuditFindingKind, int | None, int | None]]:
    findings = verify(path, heads)
    for each in findings:
        assert each.seq is None or str(each.seq) in each.sentence
    return [(each.kind, each.seq, each.last) for each in findings]


def test_an_untouched_audit_log_has_no_finding(path: Path, head: AuditHead) -> None:
    assert verify(path, [head]) == []


def test_an_empty_audit_log_has_no_finding(path: Path) -> None:
    written(path, events=0)
    assert verify(path) == []


@pytest.mark.parametrize("seq", [1, 7, EVENTS])
def test_an_edited_event_is_named(path: Path, head: AuditHead, seq: int) -> None:
    tampered(
        path,
        lambda raw: raw.execute("UPDATE event SET data = replace(data, 'requester', 'outsider') WHERE seq = ?", (seq,)),
    )
    assert found(path, head) == [(AuditFindingKind.EDITED, seq, seq)]


def test_an_edited_hash_is_named(path: Path, head: AuditHead) -> None:
    tampered(path, lambda raw: raw.execute("UPDATE event SET hash = zeroblob(32) WHERE seq = 7"))
    assert found(path) == [(AuditFindingKind.EDITED, 7, 7)]


@pytest.mark.parametrize("value", [b"\xff\xfe no text", "", "{}", "no json"])
def test_bytes_that_are_no_event_are_named_and_so_is_the_index_that_had_to_go(
    path: Path, head: AuditHead, value: object
) -> None:
    def change(raw: sqlite3.Connection) -> None:
        raw.execute("DROP INDEX event_id")
        raw.execute("UPDATE event SET data = CAST(? AS TEXT) WHERE seq = 7", (value,))

    tampered(path, change)
    assert found(path) == [(AuditFindingKind.SCHEMA, None, None), (AuditFindingKind.EDITED, 7, 7)]


def test_an_event_edited_together_with_its_hash_breaks_the_chain_behind_it(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        data = row(raw, 7)[0].replace("requester", "outsider")
        put(raw, 7, data, hashlib.sha256(data.encode()).digest())

    tampered(path, change)
    assert found(path, head) == [(AuditFindingKind.BROKEN, 8, 8)]
    assert "event 7 was rewritten" in verify(path)[0].sentence.lower()


@pytest.mark.parametrize(("first", "last"), [(1, 1), (7, 7), (5, 9)])
def test_removed_events_are_named(path: Path, head: AuditHead, first: int, last: int) -> None:
    tampered(path, lambda raw: raw.execute("DELETE FROM event WHERE seq BETWEEN ? AND ?", (first, last)))
    assert found(path, head) == [(AuditFindingKind.REMOVED, first, last)]


def test_a_removed_event_shows_even_where_the_rest_moved_up(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        raw.execute("DELETE FROM event WHERE seq = 7")
        raw.execute("UPDATE event SET seq = -seq WHERE seq > 7")
        raw.execute("UPDATE event SET seq = -seq - 1 WHERE seq < 0")
        raw.execute(f"UPDATE sqlite_sequence SET seq = {EVENTS - 1}")

    tampered(path, change)
    assert found(path) == [(AuditFindingKind.MOVED, 7, EVENTS - 1)]
    assert "removed" in verify(path)[0].sentence


def test_reordered_events_are_named(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        fifth, ninth = row(raw, 5), row(raw, 9)
        put(raw, 5, *ninth)
        put(raw, 9, *fifth)

    tampered(path, change)
    assert found(path, head) == [(AuditFindingKind.MOVED, 5, 5), (AuditFindingKind.MOVED, 9, 9)]


def test_an_event_put_in_between_is_named(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        raw.execute("UPDATE event SET seq = -seq WHERE seq >= 7")
        raw.execute("UPDATE event SET seq = -seq + 1 WHERE seq < 0")
        data = row(raw, 6)[0].replace('"seq":6', '"seq":7')
        put(raw, 7, data, hashlib.sha256(data.encode()).digest())

    tampered(path, change)
    assert (AuditFindingKind.BROKEN, 7, 7) in found(path)
    assert (AuditFindingKind.MOVED, 8, EVENTS + 1) in found(path)


def test_an_event_put_in_at_the_end_is_named(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        data = row(raw, EVENTS)[0].replace(f'"seq":{EVENTS}', f'"seq":{EVENTS + 1}')
        put(raw, EVENTS + 1, data, hashlib.sha256(data.encode()).digest())

    tampered(path, change)
    assert found(path, head) == [(AuditFindingKind.BROKEN, EVENTS + 1, EVENTS + 1)]


def test_a_cut_tail_shows_against_the_head_that_the_fleet_knows(path: Path, head: AuditHead) -> None:
    def change(raw: sqlite3.Connection) -> None:
        raw.execute("DELETE FROM event WHERE seq > 15")
        raw.execute("UPDATE sqlite_sequence SET seq = 15")

    tampered(path, change)
    assert found(path) == []  # by itself a shorter chain is a whole one: that is what heads are for
    assert found(path, head) == [(AuditFindingKind.CUT, 16, EVENTS)]


def test_a_cut_tail_shows_without_a_head_where_sqlites_own_count_was_left(path: Path, head: AuditHead) -> None:
    tampered(path, lambda raw: raw.execute("DELETE FROM event WHERE seq > 15"))
    assert found(path) == [(AuditFindingKind.CUT, 16, EVENTS)]


@pytest.mark.parametrize("left", [15, EVENTS])
def test_sqlites_own_count_can_not_be_emptied_either(path: Path, head: AuditHead, left: int) -> None:
    def change(raw: sqlite3.Connection) -> None:
        raw.execute("DELETE FROM event WHERE seq > ?", (left,))
        raw.execute("DELETE FROM sqlite_sequence")

    tampered(path, change)
    assert found(path) == [(AuditFindingKind.EDITED, None, None)]
    assert f"counter was changed: it is at 0, not {left}." in verify(path)[0].sentence


def test_another_format_than_ours_is_named(path: Path, head: AuditHead) -> None:
    tampered(path, lambda raw: raw.execute("UPDATE book SET format = 7"))
    assert found(path) == [(AuditFindingKind.SCHEMA, None, None)]
    assert "its format is not 1" in verify(path)[0].sentence


def test_a_whole_new_chain_shows_against_a_head(path: Path, head: AuditHead) -> None:
    path.unlink()
    written(path, events=0)
    file = AuditFile(path, "bot-0")
    file.append([draft(event(number, actor="outsider"), Redactor()) for number in range(EVENTS + 5)])
    file.close()
    assert found(path, head) == [(AuditFindingKind.REWRITTEN, EVENTS, EVENTS)]


def test_a_foreign_event_is_named(path: Path, head: AuditHead, tmp_path: Path) -> None:
    written(tmp_path / "other.db", name="bot-1")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        foreign = row(other, 7)
    tampered(path, lambda raw: put(raw, 7, *foreign))
    assert found(path, head) == [(AuditFindingKind.FOREIGN, 7, 7)]
    assert "bot-1" in verify(path)[0].sentence


def test_a_renamed_audit_log_is_foreign_from_end_to_end_in_one_finding(path: Path, head: AuditHead) -> None:
    tampered(path, lambda raw: raw.execute("UPDATE book SET name = 'bot-9'"))
    assert found(path) == [(AuditFindingKind.FOREIGN, 1, EVENTS)]


@pytest.mark.parametrize("trigger", ["event_appended", "event_kept", "event_unchanged"])
def test_a_missing_trigger_is_named(path: Path, head: AuditHead, trigger: str) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"DROP TRIGGER {trigger}")
    (finding,) = verify(path)
    assert (finding.kind, trigger in finding.sentence) == (AuditFindingKind.SCHEMA, True)


def test_a_weakened_trigger_and_a_strange_one_are_named(path: Path, head: AuditHead) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER event_kept")
        raw.execute("CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT 1; END")
        raw.execute("CREATE TRIGGER quiet AFTER INSERT ON event BEGIN SELECT 1; END")
    sentences = " ".join(each.sentence for each in verify(path))
    assert "event_kept was changed" in sentences
    assert "quiet does not belong to the audit log" in sentences


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET data = '{}' WHERE seq = 7",
        "UPDATE event SET hash = x'00'",
        "UPDATE event SET seq = 100 WHERE seq = 7",
        "DELETE FROM event WHERE seq = 7",
        "DELETE FROM event",
        "INSERT INTO event (seq, data, hash) VALUES (7, '{}', x'00')",
        "INSERT OR REPLACE INTO event (seq, data, hash) VALUES (7, '{}', x'00')",
        "REPLACE INTO event (seq, data, hash) VALUES (7, '{}', x'00')",
        "INSERT INTO event (seq, data, hash) VALUES (40, '{}', x'00')",
        "INSERT INTO event (seq, data, hash) VALUES (-1, '{}', x'00')",
        "INSERT OR IGNORE INTO event (data, hash) VALUES ('{}', x'00')",
        "INSERT INTO event (seq, data, hash) VALUES (7, '{}', x'00') ON CONFLICT (seq) DO UPDATE SET data = '{}'",
        "UPDATE book SET name = 'x'",
        "DELETE FROM book",
        "INSERT OR REPLACE INTO book (one, name, format) VALUES (1, 'x', 1)",
    ],
)
def test_the_triggers_refuse_every_change(path: Path, head: AuditHead, statement: str) -> None:
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.DatabaseError):
        raw.execute(statement)
    assert verify(path, [head]) == []


def test_findings_of_a_ruined_audit_log_are_bounded(path: Path) -> None:
    written(path, events=1000)
    tampered(path, lambda raw: raw.execute("UPDATE event SET data = replace(data, 'slack', 'other') WHERE seq % 2 = 0"))
    findings = verify(path)
    assert len(findings) == 101
    assert "400 more findings" in findings[-1].sentence


def test_missing_and_damaged_files_are_findings_too(path: Path, tmp_path: Path, head: AuditHead) -> None:
    (tmp_path / "noise.db").write_bytes(b"noise" * 5000)
    kinds = [each.kind for each in verify_audit_logs([path, tmp_path / "none.db", tmp_path / "noise.db"])]
    assert kinds == [AuditFindingKind.UNREADABLE, AuditFindingKind.UNREADABLE]


def test_pages_that_were_overwritten_are_found(path: Path) -> None:
    written(path, events=2000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\xa5" * 8192
    path.write_bytes(content)
    assert verify(path)


def test_an_audit_log_that_the_fleet_knows_and_nobody_gave_is_named(path: Path, head: AuditHead) -> None:
    (finding,) = verify_audit_logs([path], [head, replace(head, book="bot-7")])
    assert (finding.kind, finding.book) == (AuditFindingKind.UNKNOWN_BOOK, "bot-7")


def test_search_over_an_event_that_is_no_event_says_to_verify(path: Path, head: AuditHead) -> None:
    tampered(path, lambda raw: raw.execute("UPDATE event SET data = '{}' WHERE seq = 7"))
    with pytest.raises(AuditLogUnavailable, match="audit verify"):
        search_audit_logs([path])


def test_verification_reads_a_copy_in_a_directory_where_nothing_may_be_made(
    path: Path, head: AuditHead, tmp_path: Path
) -> None:
    copy = tmp_path / "backup"
    copy.mkdir()
    (copy / "book.db").write_bytes(path.read_bytes())
    copy.chmod(0o500)
    assert verify(copy / "book.db", [head]) == []


def test_the_stored_bytes_are_plain_json_for_whoever_reads_them_without_us(path: Path, head: AuditHead) -> None:
    with closing(sqlite3.connect(path)) as raw:
        assert json.loads(row(raw, 3)[0])["event"]["command"] == "deploy"
