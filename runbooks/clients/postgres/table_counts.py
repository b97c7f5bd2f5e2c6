"""How many rows a table really has, and when its newest one was written: read, not taken from statistics."""

from dataclasses import dataclass
from datetime import UTC, datetime

from runbooks.clients.postgres.database import Session


@dataclass(frozen=True, slots=True)
class TableCount:
    """One table's rows."""

    name: str
    rows: int
    newest: datetime | None
    """The greatest value of the column with a time; None where there is no row."""


async def counted(session: Session, table: str, column: str) -> TableCount:
    """Return the table's rows; its names are of the configuration. Needs SELECT on that column alone. Raises RunbookError."""
    schema, _, name = table.rpartition(".")
    newest = f'extract(epoch FROM max("{column}"))::float8'
    found = await session.row(f'SELECT count(*) AS rows, {newest} AS newest FROM "{schema or "public"}"."{name}"')  # noqa: S608 - of the configuration
    at = found["newest"]
    return TableCount(table, int(found["rows"]), datetime.fromtimestamp(float(at), UTC) if at is not None else None)
