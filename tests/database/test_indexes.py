"""Indexes of a real database: a broken one, one that nobody uses, one that is there twice, and tables that lack one."""

import asyncio
import contextlib

from runbooks.clients.postgres.indexes import Index, IndexUse, TableScans
from runbooks.database import indexes
from runbooks.database.indexes import IndexReading
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from sandbox.postgres import schema
from tests.support.databases import Served


async def test_what_is_invalid_unused_twice_or_missing_is_found(here: Served):
    here.sql("CREATE INDEX encounters_twice ON encounters (patient_id, started_at)", name=schema.NAME)
    here.sql("CREATE INDEX events_by_time ON audit_events (at)", name=schema.NAME)
    with contextlib.suppress(Exception):  # two tablets have the same state: the index stays, invalid
        here.sql("CREATE UNIQUE INDEX CONCURRENTLY one_state ON sync_items (state)", name=schema.NAME)
    try:
        async with asyncio.timeout(60):  # what a session counted reaches the view a moment after its end
            found = await here.database().indexes()
            while not any(table.name == "observations" for table, _ in found.missing):
                found = await here.database().indexes()
    finally:
        here.sql("DROP INDEX encounters_twice, events_by_time, one_state", name=schema.NAME)
    assert [(each.name, each.table) for each in found.invalid] == [("one_state", "sync_items")]
    assert [(each.index.name, each.by.name) for each in found.duplicate] == [
        ("encounters_by_patient", "encounters_twice")
    ]
    assert [each.name for each in found.unused] == ["events_by_time"]
    table, place = next(each for each in found.missing if each[0].name == "observations")
    assert (place, table.rows) == ("primary", 40_000)
    assert table.scans >= 120
    assert found.of == 11
    assert indexes.answer(found).startswith("1 index is invalid, ")


def index(name: str, *columns: str, scans: int = 1, unique: bool = False, bytes: int = 5 << 20) -> Index:  # noqa: A002
    return Index(
        name=name, table="t", method="btree", unique=unique, constraint=False, valid=True, building=False, scans=scans,
        bytes=bytes, plain=True, keys=tuple((each,) for each in columns), covers=False,
    )  # fmt: skip


def read(*found: Index, tables: tuple[TableScans, ...] = (), replica: IndexUse | None = None) -> IndexReading:
    servers = {"primary": IndexUse(found, tables, None)} | ({"replica": replica} if replica else {})
    return indexes.read(servers)  # type: ignore[arg-type]


def test_an_index_that_only_the_replica_uses_is_used() -> None:
    on_primary, on_replica = index("a", "1", scans=0), index("a", "1", scans=7)
    assert [each.name for each in read(on_primary).unused] == ["a"]
    assert read(on_primary, replica=IndexUse((on_replica,), (), None)).unused == ()
    away = PermanentError("The replica is away.", code=ReasonCode.DATABASE_UNREACHABLE)
    found = indexes.read({"primary": IndexUse((on_primary,), (), None), "replica": away})
    assert list(found.unasked) == ["replica"]


def test_of_two_that_are_the_same_one_is_named_and_what_is_unique_never() -> None:
    assert [each.index.name for each in read(index("a", "1"), index("b", "1")).duplicate] == ["b"]
    assert [each.index.name for each in read(index("a", "1"), index("b", "1", unique=True)).duplicate] == ["a"]
    assert read(index("a", "2"), index("b", "1", "2")).duplicate == ()
    assert read(index("a", "1", unique=True), index("b", "1", "2")).duplicate == ()


def test_a_healthy_database_has_no_findings() -> None:
    tables = (
        TableScans("small", 900, 900 * 50, 0, 50),
        TableScans("by_index", 20, 20 * 50_000, 90_000, 50_000),
        TableScans("first_row", 900, 900, 0, 50_000),
    )
    found = read(index("a", "1"), index("b", "2", scans=0, bytes=8192), tables=tables)
    assert indexes.answer(found) == "All 2 indexes are valid, used and without duplicates"
    assert (found.missing, found.unused) == ((), ())


def test_a_table_that_both_servers_read_whole_is_one_table() -> None:
    on_primary, on_replica = (TableScans("notes", scans, scans * 90_000, 0, 90_000) for scans in (12, 40))
    found = read(index("a", "1"), tables=(on_primary,), replica=IndexUse((), (on_replica,), None))
    assert [[place for _, place in reads] for reads in found.lacking] == [["primary", "replica"]]
    assert indexes.answer(found) == "1 table seems to lack an index"
