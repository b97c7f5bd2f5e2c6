"""What a database's size, dead rows and transaction ids say: which tables to vacuum, and how far the server is from refusing to write."""

from collections.abc import Iterator
from dataclasses import dataclass

from runbooks.clients.postgres.sizes import Storage, StoredTable, TransactionAge
from runbooks.database.slow_statements import percent
from runbooks.wording import capital, size

MOST_IDS = (1 << 31) - 3_000_000
"""Transactions until the server refuses to write."""
OLD, VERY_OLD = 500_000_000, 1_200_000_000
"""Ages from which autovacuum has not kept up, and from which somebody has to act."""
DEAD_SHARE, DEAD_ROWS = 0.2, 10_000
"""From this share and number of dead rows on a table is called bloated."""
_HELD = 100_000_000
"""Transactions behind, from which what keeps vacuum back is named."""
METHOD = (
    "Bloat is estimated from dead rows (`pg_stat_all_tables`): their share of the table's size. Space inside the table that vacuum has freed "
    "and new rows will use is not counted; `pgstattuple` measures that."
)


@dataclass(frozen=True, slots=True)
class StorageFinding:
    """Something that deserves a look."""

    says: str
    """A sentence without its full stop."""
    to_do: str
    grave: bool = False


def bloat(table: StoredTable) -> int:
    """Return the bytes that dead rows take, by their share of all rows."""
    rows = table.live + table.dead
    return round(table.heap * table.dead / rows) if rows else 0


def share(table: StoredTable) -> float:
    """Return the share of its rows that are dead, 0 to 1."""
    rows = table.live + table.dead
    return table.dead / rows if rows else 0.0


def bloated(found: Storage) -> tuple[StoredTable, ...]:
    """Return the tables with many dead rows, those that waste most first."""
    many = [each for each in found.tables if each.dead >= DEAD_ROWS and share(each) >= DEAD_SHARE]
    return tuple(sorted(many, key=lambda each: -bloat(each)))


def used(age: TransactionAge) -> float:
    """Return the share of all transaction ids that lie between the oldest and the newest, 0 to 1."""
    return age.worst / MOST_IDS


def findings(found: Storage) -> tuple[StorageFinding, ...]:
    """Return what deserves a look, the worst first."""
    return tuple(sorted(_findings(found), key=lambda each: not each.grave))


def _findings(found: Storage) -> Iterator[StorageFinding]:
    old = max(OLD, round(found.freeze_at * 1.25))
    for each in found.databases[:1]:
        if each.worst >= old:
            left = max(0, MOST_IDS - each.worst)
            held = (
                f" First end what keeps vacuum back: {found.held_by}."
                if found.held_by and found.held_age >= _HELD
                else ""
            )
            begin = (
                f" Begin with `VACUUM (FREEZE, VERBOSE) {found.oldest[0].name};`, as the DBA." if found.oldest else ""
            )
            yield StorageFinding(
                f"Database {each.name} has used {percent(used(each))} of its transaction ids: {left:,} more and the server refuses to write",
                f"Autovacuum has not kept up.{held}{begin}",
                grave=each.worst >= VERY_OLD,
            )
    for table in bloated(found)[:3]:
        yield StorageFinding(
            f"{percent(share(table))} of the rows of {table.name} are dead, about {size(bloat(table))}",
            f"`VACUUM (VERBOSE, ANALYZE) {table.name};`, as the DBA, lets new rows use the space.",
        )
    if found.held_by and found.held_age >= _HELD:
        yield StorageFinding(
            f"{capital(found.held_by)} keeps vacuum from cleaning up what is younger than {found.held_age:,} transactions",
            "`db activity` shows sessions and prepared transactions, `db replication` slots.",
        )
    if not found.autovacuum:
        yield StorageFinding(
            "Autovacuum is off, so dead rows stay",
            "As the DBA: `ALTER SYSTEM SET autovacuum = on;`, then reload the configuration.",
        )


def answer(found: Storage) -> str:
    """Return the answer in one sentence, without its full stop."""
    if (first := next(iter(findings(found)), None)) is not None:
        return first.says
    if not found.tables:
        return f"The database takes {size(found.bytes)} and has no tables"
    largest = found.tables[0]
    return f"The database takes {size(found.bytes)}; its largest table is {largest.name} with {size(largest.total)}"
