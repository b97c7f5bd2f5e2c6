"""`db indexes`: invalid, duplicate and unused indexes, and tables that seem to lack one."""

from collections.abc import Iterator

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Fact,
    Facts,
    Moment,
    Note,
    Paragraph,
    State,
    Strong,
    Text,
    Typed,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.indexes import Index, TableScans
from runbooks.database import by_hand, indexes
from runbooks.database.databases import Database
from runbooks.database.indexes import IndexReading
from runbooks.database.slow_statements import percent
from runbooks.wording import counted, listed, size

_EACH = 6
"""So many of each kind are shown."""


class DbIndexes(Observation):
    """Show invalid, duplicate and unused indexes, and tables that seem to lack one.

    An index counts as unused only if no configured server has used it since its statistics began.
    """

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--env production"], name="db indexes")

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings = context.use(Database, "database").settings
        return tuple(line for place in settings.places() for line in by_hand.psql(settings, place, by_hand.INDEXES))

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        found = await database.indexes()
        where, answer = context.where.name, indexes.answer(found)
        several = len(database.settings.places()) > 1
        odd = found.missing or found.duplicate or found.unused
        return Card(
            state=State.FAILED if found.invalid else State.WAITING if odd else State.DONE,
            title=words(Strong(text=answer), f" · {where}"),
            summary=f"{answer} ({where}).",
            body=(
                *_shown("Invalid: writes maintain it, and no query uses it", map(_invalid, found.invalid)),
                *_shown("Probably missing an index", (_lacking(reads, several) for reads in found.lacking)),
                *_shown("Duplicates", map(_duplicate, found.duplicate)),
                *_shown("Unused", map(_unused, found.unused)),
                *_facts(found),
                *(
                    Note(text=words(f"The {place} could not be asked, and may use what looks unused: {error.message}"))
                    for place, error in found.unasked.items()
                ),
                Note(
                    text=words(
                        "A DBA runs the lines by hand. An index that only a yearly report needs looks unused, too."
                    )
                ),
            ),
            buttons=(
                Button(label="Slow queries", does=Typed(text=f"slow-queries --env {where}")),
                Button(label="Sizes", does=Typed(text=f"db size --env {where}")),
            ),
            data=_data(found, where),
        )


def _shown(title: str, lines: "Iterator[Text]") -> Iterator[Element]:
    every = list(lines)
    if every:
        yield Paragraph(text=words(Strong(text=title)))
        yield from (Paragraph(text=line) for line in every[:_EACH])
    if len(every) > _EACH:
        yield Note(text=words(f"and {len(every) - _EACH} more"))


def _invalid(each: Index) -> Text:
    return words(
        f"{each.name} on {each.table}. ",
        Code(text=f"REINDEX INDEX CONCURRENTLY {each.name};"),
        " (PostgreSQL 12), or drop it",
    )


def _duplicate(each: indexes.Covered) -> Text:
    return words(
        f"{each.index.name} ({size(each.index.bytes)}): {each.by.name} begins with the same columns. ",
        Code(text=f"DROP INDEX CONCURRENTLY {each.index.name};"),
    )


def _unused(each: Index) -> Text:
    return words(
        f"{each.name} on {each.table}, {size(each.bytes)}. ", Code(text=f"DROP INDEX CONCURRENTLY {each.name};")
    )


def _lacking(reads: tuple[tuple[TableScans, Instance], ...], several: bool) -> Text:
    """One table, and how each server reads it."""
    table = reads[0][0]
    told = listed(
        f"{counted(each.scans, 'time')}{f' on the {place}' if several else ''} ({percent(each.by_index / (each.by_index + each.scans))} by an index)"
        for each, place in reads
    )
    return words(f"{table.name} ({counted(table.rows, 'row')}) was read from start to end {told}")


def _facts(found: IndexReading) -> Iterator[Element]:
    since = Moment(at=found.since, form="date-time", age=True) if found.since else "the server was set up"
    yield Facts(
        facts=(
            Fact(label="Indexes", value=words(f"{found.of:,}")),
            Fact(label="Counted since", value=words(since)),
        )
    )


def _data(found: IndexReading, where: str) -> dict[str, object]:
    def plain(each: Index) -> dict[str, object]:
        return {"name": each.name, "table": each.table, "bytes": each.bytes}

    return {
        "environment": where,
        "indexes": found.of,
        "counted_since": found.since.isoformat() if found.since else None,
        "invalid": [plain(each) for each in found.invalid],
        "duplicate": [plain(each.index) | {"by": each.by.name} for each in found.duplicate],
        "unused": [plain(each) for each in found.unused],
        "missing": [
            {"table": table.name, "on": place, "rows": table.rows, "scans": table.scans, "by_index": table.by_index}
            for table, place in found.missing
        ],
        "unasked": {place: error.message for place, error in found.unasked.items()},
    }
