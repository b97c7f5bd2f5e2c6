"""Every way that we know of to falsify the audit log, each by itself and followed by a run, a restart, a rollback: it shows each time.

`docs/security.md` has the table of them, which is held to this list. What a bot does is played here by its parts: the log, and the
heads that it keeps in a cluster's record (`tests/bot/runs/test_kept_heads.py` has a whole bot).
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.audit import AuditFindingKind, AuditHead, AuditLog, AuditLogUnavailable, verify
from bot.audit.events import chained, draft
from bot.audit.file import AuditFile
from bot.runs.heads import KeptHeads
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Environment, Service
from runbooks.redaction.redactor import Redactor
from sandbox.cluster import Cluster
from tests.bot.audit.test_alterations import replace_by_a_view, swallow
from tests.bot.audit.test_audit_log import event
from tests.support.falsified import chain_anew, cut_and_count, put, row, tampered

NAME = "omnicare-0"
ANOTHER_PERSON = ('"actor":"', '"actor":"not-')
"""What is replaced in an event, and by what: somebody else did it."""
DOCS = Path(__file__).parents[3] / "docs/security.md"
WHERE = Environment(
    name="production",
    namespace="omnicare-prod",
    record_namespace="omnicare-prod-records",
    services=(
        Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"),
    ),
)


class Heads(logging.Handler):
    """The heads in the log of the bot's process, which goes elsewhere than the file."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[AuditHead] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "audit head":
            values = vars(record)
            self.said.append(AuditHead(values["book"], values["number"], values["hash"]))


class Bot:
    """Its audit log, and what is kept of it."""

    def __init__(self, path: Path, fleet: Fleet, cluster: ClusterClient) -> None:
        self.path, self.fleet, self.cluster = path, fleet, cluster
        self.told: list[str] = []
        self.log = Heads()
        self._number = 0
        self.audit_log: AuditLog | None = None

    async def start(self) -> None:
        """It may refuse to."""
        with contextlib.suppress(AuditLogUnavailable):
            self.audit_log = AuditLog.open(self.path, name=NAME, redactor=Redactor())
            self.heads = KeptHeads(self.audit_log)
            self.heads.tell = self.told.append
            with contextlib.suppress(RunbookError):
                await self.heads.compare(self.fleet, WHERE)
            await self.append()

    async def append(self) -> None:
        assert self.audit_log is not None
        self._number += 1
        await self.audit_log.append(event(self._number))

    async def run(self) -> None:
        """As far as it may: what can't be written starts nothing."""
        if self.audit_log is None:
            return
        with contextlib.suppress(AuditLogUnavailable):
            for _ in range(4):
                await self.append()
        await self.heads.keep(self.fleet, WHERE)

    async def stop(self) -> None:
        if self.audit_log is not None:
            await self.audit_log.close()
            self.audit_log = None

    async def kill(self) -> None:
        """What it had not put into the file is still beside it."""
        held = {each: each.read_bytes() for each in self.path.parent.iterdir() if not each.name.endswith("-shm")}
        await self.stop()
        for each, data in held.items():
            each.write_bytes(data)

    async def kept(self) -> list[AuditHead]:
        """What `audit verify` asks for."""
        heads = await self.fleet.heads(WHERE)
        return [AuditHead(each.book, each.number, each.hash) for kept in heads.values() for each in kept]

    async def shows(self) -> set[AuditFindingKind]:
        """What `audit verify` says: it asks for the record, and is given the process's log."""
        heads, changed = [], set()
        try:
            heads = await self.kept()
        except RunbookError:
            changed = {AuditFindingKind.RECORD}
        found = await asyncio.to_thread(verify, self.path, [*heads, *self.log.said])
        return {each.kind for each in found} | changed

    async def record(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Somebody edits the ConfigMap."""
        seen = await self.cluster.config_map(WHERE.record_namespace, "book-heads")
        await self.cluster.replace_config_map(seen, change(dict(seen.data)))


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    """Three runs are over, and an older copy of the log lies aside."""
    cluster = Cluster()
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WHERE.record_namespace}})
    async with cluster.serve():
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
            made = Bot(tmp_path / "log" / "audit.sqlite", Fleet(client), client)
            made.path.parent.mkdir()
            logger = logging.getLogger("bot.runs.heads")
            before = logger.level
            logger.setLevel(logging.INFO)
            logger.addHandler(made.log)
            try:
                await made.start()
                await made.run()
                await made.stop()
                shutil.copytree(made.path.parent, tmp_path / "aside")
                await made.start()
                await made.run()
                await made.run()
                assert await made.shows() == set()
                yield made
            finally:
                logger.removeHandler(made.log)
                logger.setLevel(before)
                await made.stop()


# ---- the ways ----


def _raw(path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    with closing(sqlite3.connect(path)) as raw:
        change(raw)
        raw.commit()


def _edit(raw: sqlite3.Connection) -> None:
    data, digest = row(raw, 4)
    put(raw, 4, data.replace(*ANOTHER_PERSON), digest)


def _edit_with_hash(raw: sqlite3.Connection) -> None:
    data, _ = row(raw, 4)
    body = data[data.index('"event":') + len('"event":') : -1].replace(*ANOTHER_PERSON)
    put(raw, 4, *chained(NAME, 4, row(raw, 3)[1].hex(), body))


def _renumber(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM event WHERE seq = 4")
    raw.execute("UPDATE event SET seq = seq - 1 WHERE seq > 4")


def _insert(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE event SET seq = -seq WHERE seq > 4")
    raw.execute("UPDATE event SET seq = 1 - seq WHERE seq < 0")
    put(raw, 5, *chained(NAME, 5, row(raw, 4)[1].hex(), draft(event(900), Redactor()).body))


def _swap(raw: sqlite3.Connection) -> None:
    third, fourth = row(raw, 3), row(raw, 4)
    put(raw, 3, *fourth)
    put(raw, 4, *third)


def _cut(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM event WHERE seq > 4")


def _cut_and_go_on(raw: sqlite3.Connection) -> None:
    last: int = raw.execute("SELECT max(seq) FROM event").fetchone()[0]
    _cut(raw)
    for seq in range(5, last + 1):
        put(raw, seq, *chained(NAME, seq, row(raw, seq - 1)[1].hex(), draft(event(900 + seq), Redactor()).body))


def _ids(raw: sqlite3.Connection) -> None:
    for seq, data in raw.execute("SELECT seq, data FROM event WHERE seq > 3").fetchall():
        raw.execute("UPDATE event SET data = ? WHERE seq = ?", (data.replace('"id":"', '"id":"other-'), seq))


def _rename(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE book SET name = 'omnicare-1'")
    chain_anew(raw, *ANOTHER_PERSON)


def _replace(path: Path, source: Path) -> None:
    """Another file in its place, its companions too."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
        if (each := source / (path.name + end)).exists():
            shutil.copy(each, path.parent)


def _made(path: Path, name: str, events: int) -> Path:
    folder = path.parent.with_name("made")
    folder.mkdir()
    file = AuditFile(folder / path.name, name)
    if events:
        file.append([draft(event(500 + number), Redactor()) for number in range(events)])
    file.close()
    return folder


def _overwrite(path: Path) -> None:
    """Bytes past SQLite, of the very same file."""
    _raw(path, lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    data = path.read_bytes()
    descriptor = os.open(path, os.O_WRONLY)
    old = ANOTHER_PERSON[0].encode()
    os.pwrite(descriptor, b"x", data.rindex(old) + len(old))
    os.close(descriptor)


def _wal_removed(path: Path) -> None:
    """Before SQLite put it into the file, while nobody has it open: as after a kill."""
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _wal_of_another_time(path: Path) -> None:
    wal = path.with_name(path.name + "-wal")
    data = wal.read_bytes()
    wal.unlink()
    wal.write_bytes(data[: len(data) // 3])
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        def execute(raw: sqlite3.Connection) -> None:
            for each in statements:
                raw.execute(each)

        _raw(path, execute)

    return change


def _past_the_triggers(change: Callable[[sqlite3.Connection], object]) -> Callable[[Path], None]:
    return lambda path: tampered(path, change)


def _foreign_head(data: dict[str, str]) -> dict[str, str]:
    return {key: re.sub(r'"hash":"[0-9a-f]{8}', '"hash":"00000000', text) for key, text in data.items()}


@dataclass(frozen=True)
class Way:
    """What is done to the file, and to the record; and whether it is done while nobody has the log open."""

    file: Callable[[Path], None] | None = None
    record: Callable[[dict[str, str]], dict[str, str]] | None = None
    killed: bool = False
    """The bot was killed: a log that is closed in order has no WAL."""


WAYS = {
    "an event edited": Way(_past_the_triggers(_edit)),
    "an event edited, and its hash": Way(_past_the_triggers(_edit_with_hash)),
    "the ids of events changed": Way(_past_the_triggers(_ids)),
    "an event removed": Way(_past_the_triggers(lambda raw: raw.execute("DELETE FROM event WHERE seq = 4"))),
    "an event removed, and the rest renumbered": Way(_past_the_triggers(_renumber)),
    "an event put in between": Way(_past_the_triggers(_insert)),
    "two events exchanged": Way(_past_the_triggers(_swap)),
    "the tail cut": Way(_past_the_triggers(_cut)),
    "the tail cut, and SQLite's own count": Way(_past_the_triggers(lambda raw: cut_and_count(raw, 4))),
    "the tail cut, and another one written": Way(_past_the_triggers(_cut_and_go_on)),
    "the whole chain written anew": Way(_past_the_triggers(lambda raw: chain_anew(raw, *ANOTHER_PERSON))),
    "the log renamed, and its chain written anew": Way(_past_the_triggers(_rename)),
    "the log's format changed": Way(_past_the_triggers(lambda raw: raw.execute("UPDATE book SET format = 7"))),
    "bytes overwritten past SQLite": Way(_overwrite),
    "an older copy in its place": Way(lambda path: _replace(path, path.parent.with_name("aside"))),
    "an empty log in its place": Way(lambda path: _replace(path, _made(path, NAME, 0))),
    "another bot's log in its place": Way(lambda path: _replace(path, _made(path, "omnicare-1", 30))),
    "the file removed": Way(lambda path: path.unlink()),
    "a trigger dropped": Way(_sql("DROP TRIGGER event_kept")),
    "a trigger weakened": Way(
        _sql(
            "DROP TRIGGER event_kept",
            "CREATE TRIGGER event_kept BEFORE DELETE ON event WHEN OLD.seq > 1000000 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
    ),
    "a trigger that swallows events (`sqlite_x`)": Way(swallow),
    "a view in the place of the events": Way(replace_by_a_view),
    "an index added": Way(_sql("CREATE INDEX quick ON event (hash)")),
    "a table added": Way(_sql("CREATE TABLE notes (text)")),
    "the index of ids dropped": Way(_sql("DROP INDEX event_id")),
    "the WAL removed": Way(_wal_removed, killed=True),
    "a shorter WAL in its place": Way(_wal_of_another_time, killed=True),
    "a kept head changed": Way(record=_foreign_head),
    "a kept head made unreadable": Way(record=lambda data: dict.fromkeys(data, "{oops")),
    "the kept heads removed, and the chain written anew": Way(
        _past_the_triggers(lambda raw: chain_anew(raw, *ANOTHER_PERSON)), lambda _: {}
    ),
    "the kept heads removed, and the tail cut": Way(
        _past_the_triggers(lambda raw: cut_and_count(raw, 4)), lambda _: {}
    ),
}


async def falsified(bot: Bot, way: Way) -> None:
    if way.killed:
        await bot.kill()
    if way.file is not None:
        await asyncio.to_thread(way.file, bot.path)
    if way.record is not None:
        await bot.record(way.record)


@pytest.mark.parametrize("then", ["a run", "a restart", "a rollback"])
@pytest.mark.parametrize("way", WAYS)
async def test_it_shows_whatever_follows(bot: Bot, way: str, then: str) -> None:
    before = await bot.kept()
    if then != "a run":
        await bot.stop() if not WAYS[way].killed else await bot.kill()
    await falsified(bot, WAYS[way])
    if then != "a run" or WAYS[way].killed:
        await bot.start()
    if then != "a restart":
        await bot.run()
    await bot.stop()
    assert await bot.shows()
    if WAYS[way].record is None:
        assert (await bot.kept())[: len(before)] == before, "the saved heads are kept"


async def seen(bot: Bot, way: str) -> str:
    """Its line of the table in the docs."""
    await falsified(bot, WAYS[way])

    async def shows(heads: list[AuditHead]) -> str:
        return "yes" if await asyncio.to_thread(verify, bot.path, heads) else "no"

    itself, elsewhere = await shows([]), await shows(bot.log.said)
    try:
        record = await shows(await bot.kept())
    except RunbookError:
        record = "yes"
    return f"| {way} | {itself} | {record} | {elsewhere} |"


@pytest.mark.parametrize("way", WAYS)
async def test_what_shows_at_once_is_what_the_docs_say(bot: Bot, way: str) -> None:
    line = await seen(bot, way)
    assert "yes" in line
    assert line in DOCS.read_text(encoding="utf-8").splitlines()


def test_the_docs_name_no_other_way() -> None:
    table = DOCS.read_text(encoding="utf-8").partition("### Ways to falsify it")[2].partition("\n## ")[0]
    ways = re.findall(r"^\| (.+?) \| (?:yes|no) \|", table, flags=re.MULTILINE)
    assert ways == [*WAYS]
    assert len(ways) >= 20
