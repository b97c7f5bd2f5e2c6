"""The audit log when the machine fails it: killed, disk full, locked, replaced. What was acknowledged is there; nothing is half there."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot.audit import AuditLog, AuditLogUnavailable, search_audit_logs, verify
from commands.kit.audit_filter import AuditFilter
from runbooks.redaction.redactor import Redactor
from tests.bot.audit.test_audit_log import event

ROOT = Path(__file__).parents[3]

APPENDS = """
import asyncio, sys
from pathlib import Path
from bot.audit import AuditLog
from runbooks.redaction.redactor import Redactor
from tests.bot.audit.test_audit_log import event

async def write(audit_log, first):
    for number in range(first, first + 1_000_000):
        recorded = await audit_log.append(event(number))
        sys.stdout.write(f"{number} {recorded.seq} {recorded.hash}\\n")
        sys.stdout.flush()

async def main():
    audit_log = AuditLog.open(Path(sys.argv[1]), name="bot-0", redactor=Redactor())
    await asyncio.gather(*(write(audit_log, turn * 1_000_000 + int(sys.argv[2])) for turn in range(8)))

asyncio.run(main())
"""

DISK_FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from bot.audit import AuditLog, AuditLogUnavailable, verify
from runbooks.redaction.redactor import Redactor
from tests.bot.audit.test_audit_log import event

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

async def main():
    path = Path(sys.argv[1])
    audit_log = AuditLog.open(path, name="bot-0", redactor=Redactor())
    for number in range(5):
        await audit_log.append(event(number))
    refused = []

    async def fails(number):
        try:
            await audit_log.append(event(number))
        except AuditLogUnavailable:
            refused.append(number)

    # one event after another until the disk is full, and then not even a page fits
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("book.db-wal").stat().st_size + 40_000, unlimited[1]))
    number = 5
    while not refused:
        await fails(number)
        number += 1
    written = number - 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, unlimited[1]))
    await fails(number)
    await asyncio.gather(*map(fails, range(500, 520)))
    assert len(refused) == 22, refused
    assert (await audit_log.head()).seq == written
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await asyncio.gather(*(audit_log.append(event(number)) for number in refused))
    head = await audit_log.head()
    await audit_log.close()
    assert head.seq == written + 22, (head, written)
    print(verify(path, [head]))

asyncio.run(main())
"""


def command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


@pytest.mark.parametrize("acknowledged", [1, 40, 300])
def test_killed_in_the_middle_nothing_acknowledged_is_lost_and_the_chain_holds(
    tmp_path: Path, acknowledged: int
) -> None:
    path = tmp_path / "book.db"
    told: dict[int, str] = {}
    for life in range(3):
        with subprocess.Popen(
            command(APPENDS, str(path), str(life * 10_000)), stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout, start=1):
                if count == acknowledged:
                    process.send_signal(signal.SIGKILL)
                if line.endswith("\n"):
                    _, seq, digest = line.split()
                    told[int(seq)] = digest
        assert process.returncode == -signal.SIGKILL
        entries = {entry.seq: entry.hash for entry in search_audit_logs([path], AuditFilter(limit=1_000_000))}
        assert verify(path) == []
        assert told.items() <= entries.items()
        assert sorted(entries) == list(range(1, len(entries) + 1))


def test_a_full_disk_refuses_and_the_audit_log_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    done = subprocess.run(
        command(DISK_FULL, str(tmp_path / "book.db")), capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


async def test_a_locked_file_refuses_and_the_audit_log_goes_on_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(AuditLogUnavailable, match="locked"):
                await audit_log.append(event(2))
            other.execute("ROLLBACK")
        assert (await audit_log.append(event(2))).seq == 2
    assert verify(path) == []


async def test_a_reader_in_the_middle_of_the_audit_log_stops_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await asyncio.gather(*(audit_log.append(event(number)) for number in range(50)))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM event").fetchone() == (50,)
            await audit_log.append(event(50))
            assert reader.execute("SELECT count(*) FROM event").fetchone() == (50,)


async def test_a_file_that_was_moved_away_is_not_written_any_more(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        path.rename(tmp_path / "elsewhere.db")
        for number in (2, 3):
            with pytest.raises(AuditLogUnavailable):
                await audit_log.append(event(number))
        assert not path.exists()
        (tmp_path / "elsewhere.db").rename(path)
        assert (await audit_log.append(event(2))).seq == 2


async def test_a_file_put_in_its_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        await audit_log.append(event(1))
        path.rename(tmp_path / "real.db")
        path.write_bytes((tmp_path / "real.db").read_bytes())
        with pytest.raises(AuditLogUnavailable, match="replaced"):
            await audit_log.append(event(2))


async def test_an_audit_log_cut_behind_the_bots_back_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "book.db"
    async with AuditLog.open(path, name="bot-0", redactor=Redactor()) as audit_log:
        for number in range(5):
            await audit_log.append(event(number))
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("DROP TRIGGER event_kept")
            raw.execute("DELETE FROM event WHERE seq > 3")
            raw.commit()
        for number in (6, 7):
            with pytest.raises(AuditLogUnavailable):
                await audit_log.append(event(number))
    assert [each.kind for each in verify(path)][-1] == "cut"


async def test_no_room_for_the_audit_log_is_said_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(AuditLogUnavailable, match="no such file or directory"):
        AuditLog.open(tmp_path / "nowhere" / "book.db", name="bot-0", redactor=Redactor())
