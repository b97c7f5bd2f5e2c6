"""`db size`: how large the database and its tables are, an estimate of their bloat, and the age of their transaction ids."""

from collections.abc import Iterator
from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Element,
    Fact,
    Facts,
    Note,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    Typed,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName, NumberType
from runbooks.clients.postgres.sizes import Storage, StoredTable
from runbooks.database import by_hand, storage
from runbooks.database.databases import Database
from runbooks.database.slow_statements import percent
from runbooks.wording import age_since, counted, size


class DbSize(Observation):
    """Show how large the database and its tables are, how much of them is bloat, and how old the oldest transaction ids are."""

    tool = "psql"
    meta = QueryMeta(permission="database:read", examples=["", "--limit 30"], name="db size")

    limit: Annotated[int, NumberType(1, 50, example="10")] = option("how many tables to show", default=10)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        database = context.use(Database, "database")
        return by_hand.psql(database.settings, database.place("primary"), by_hand.sizes(self.limit))

    async def answer(self, context: Context) -> Card:
        found = await context.use(Database, "database").storage()
        where, answer = context.where.name, storage.answer(found)
        findings = storage.findings(found)
        grave = any(each.grave for each in findings)
        return Card(
            state=State.FAILED if grave else State.WAITING if findings else State.DONE,
            title=words(Strong(text=answer), f" · {where}"),
            summary=f"{answer} ({where}).",
            body=(
                *_findings(found, answer),
                *_tables(found, self.limit, context),
                *_facts(found),
                Note(text=sentence(storage.METHOD)),
            ),
            buttons=(
                Button(label="Indexes", does=Typed(text=f"db indexes --env {where}")),
                Button(label="Activity", does=Typed(text=f"db activity --env {where}")),
            ),
            data=_data(found, where),
        )


def _findings(found: Storage, answer: str) -> Iterator[Element]:
    for each in storage.findings(found):
        if each.says == answer:
            yield Paragraph(text=sentence(each.to_do))
        else:
            yield Paragraph(text=words(Strong(text=f"{each.says}. "), sentence(each.to_do)))


def _tables(found: Storage, limit: int, context: Context) -> Iterator[Element]:
    def row(each: StoredTable) -> tuple[Text, ...]:
        return (
            words(f"{each.name}{' (locked)' if each.locked else ''}"),
            words(size(each.total)),
            words("" if each.indexes is None else size(each.indexes)),
            words(f"{each.live:,}"),
            words(percent(storage.share(each))),
            words("never" if each.vacuumed is None else age_since(each.vacuumed, context.now)),
        )

    if found.tables:
        yield Table(
            columns=("Table", "Size", "Indexes", "Rows", "Dead", "Vacuumed"),
            rows=tuple(map(row, found.tables[:limit])),
            caption="The largest, with their indexes",
        )
    if (left := found.of - min(limit, len(found.tables))) > 0:
        yield Note(text=sentence(f"{counted(left, 'more table')}; `--limit 50` shows more."))


def _facts(found: Storage) -> Iterator[Element]:
    facts = [Fact(label="Database", value=words(f"{size(found.bytes)}, {counted(found.of, 'table')}"))]
    if found.databases:
        oldest = found.databases[0]
        facts.append(
            Fact(
                label="Transaction ids used",
                value=words(
                    f"{percent(storage.used(oldest))} ({oldest.name}); autovacuum freezes from {percent(found.freeze_at / storage.MOST_IDS)}"
                ),
            )
        )
    if found.oldest:
        facts.append(
            Fact(label="Oldest table", value=words(f"{found.oldest[0].name}, {found.oldest[0].worst:,} transactions"))
        )
    yield Facts(facts=tuple(facts))


def _data(found: Storage, where: str) -> dict[str, object]:
    return {
        "environment": where,
        "bytes": found.bytes,
        "autovacuum": found.autovacuum,
        "findings": [each.says for each in storage.findings(found)],
        "tables": [
            {
                "name": each.name,
                "bytes": each.total,
                "index_bytes": each.indexes,
                "rows": each.live,
                "dead_rows": each.dead,
                "bloat_bytes": storage.bloat(each),
                "vacuumed": each.vacuumed.isoformat() if each.vacuumed else None,
            }
            for each in found.tables
        ],
        "databases": [{"name": each.name, "age": each.age, "multixact_age": each.multi} for each in found.databases],
        "oldest_tables": [{"name": each.name, "age": each.age, "multixact_age": each.multi} for each in found.oldest],
    }
