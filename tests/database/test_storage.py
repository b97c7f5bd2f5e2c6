"""Sizes, dead rows and ages of transaction ids of a real database, also while somebody has a table locked."""

import asyncio

import pytest

from runbooks.clients.postgres.sizes import Storage, StoredTable, TransactionAge
from runbooks.database import storage
from sandbox.postgres import schema
from tests.support.databases import Served


async def test_a_bloated_table_is_found_and_a_locked_one_keeps_nobody_waiting(here: Served):
    for statement in (  # each in a session of its own, whose end tells the server what it counted
        "CREATE TABLE public.bloated AS SELECT n, repeat('x', 50) AS text FROM generate_series(1, 30000) n",
        "DELETE FROM public.bloated WHERE n % 3 <> 0",
    ):
        here.sql(statement, name=schema.NAME)
    here.do(here.world.hold(waiting=0))
    try:
        async with asyncio.timeout(60):  # what a session counted reaches the view a moment after its end
            found = await here.database().storage()
            while [(each.dead, each.live) for each in storage.bloated(found)] != [(20_000, 10_000)]:
                found = await here.database().storage()
    finally:
        here.mend()
        here.sql("DROP TABLE public.bloated", name=schema.NAME)
    tables = {each.name: each for each in found.tables}
    assert found.of == len(found.tables) == 7
    assert [each.total for each in found.tables] == sorted((each.total for each in found.tables), reverse=True)
    assert tables["encounters"].locked
    assert tables["encounters"].total > 500_000
    bloated = tables["bloated"]
    assert 0.6 < storage.bloat(bloated) / bloated.heap < 0.7
    assert any(each.says.startswith("67 % of the rows of bloated are dead") for each in storage.findings(found))
    assert 0 < found.databases[0].age < 100_000
    assert found.bytes > 5_000_000


def stored(**values: object) -> Storage:
    plain: dict[str, object] = {
        "bytes": 3 << 30, "tables": (), "of": 0, "freeze_at": 200_000_000, "autovacuum": True, "databases": (), "oldest": (),
        "held_by": "", "held_age": 0,
    }  # fmt: skip
    return Storage(**{**plain, **values})  # type: ignore[arg-type]


TABLE = StoredTable(
    name="notes",
    total=2 << 30,
    heap=1 << 30,
    indexes=1 << 30,
    live=900,
    dead=100,
    vacuumed=None,
    analyzed=None,
    locked=False,
)


@pytest.mark.parametrize(
    ("found", "says", "to_do"),
    [
        (stored(), "The database takes 3 GiB and has no tables", ""),
        (stored(tables=(TABLE,), of=1), "The database takes 3 GiB; its largest table is notes with 2 GiB", ""),
        (stored(databases=(TransactionAge("emr", 220_000_000, 5),)), "The database takes 3 GiB and has no tables", ""),
        (
            stored(
                databases=(TransactionAge("emr", 5, 1_300_000_000),),
                oldest=(TransactionAge("notes", 1_300_000_000, 5),),
                held_by="replication slot old",
                held_age=900_000_000,
            ),
            "Database emr has used 61 % of its transaction ids: 844,483,648 more and the server refuses to write",
            "First end what keeps vacuum back: replication slot old. Begin with `VACUUM (FREEZE, VERBOSE) notes;`",
        ),
    ],
)
def test_the_worst_is_said_first_with_what_to_do(found: Storage, says: str, to_do: str) -> None:
    assert storage.answer(found) == says
    assert to_do in " ".join(each.to_do for each in storage.findings(found))
