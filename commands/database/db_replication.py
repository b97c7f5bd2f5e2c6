"""`db replication`: how far each replica is behind, in bytes and seconds, and which replication slots keep WAL."""

from collections.abc import Iterator

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
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
from commands.kit.types import EnvironmentName
from runbooks.clients.postgres.replication import ReplicationState, Slot
from runbooks.database import by_hand, replication
from runbooks.database.databases import Database
from runbooks.database.replication import ReplicationReading
from runbooks.kit.errors import RunbookError
from runbooks.wording import duration, size


class DbReplication(Observation):
    """Show how far each replica is behind, in bytes and seconds, and the WAL that replication slots keep."""

    tool = "psql"
    meta = QueryMeta(
        permission="database:read", examples=["", "--env production"], name="db replication", refreshes=True
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings = context.use(Database, "database").settings
        at_primary = by_hand.psql(settings, "primary", by_hand.REPLICATION)
        return (*at_primary, *by_hand.psql(settings, "replica", by_hand.REPLAY)) if settings.replica else at_primary

    async def answer(self, context: Context) -> Card:
        database = context.use(Database, "database")
        found = await database.replication()
        where = context.where.name
        answer = replication.answer(found)
        grave = any(each.grave for each in found.troubles)
        return Card(
            state=State.FAILED if grave else State.WAITING if found.troubles else State.DONE,
            title=words(Strong(text=answer), f" · {where}"),
            summary=f"{answer} ({where}).",
            body=(*_troubles(found), *_tables(found)),
            buttons=(
                *(
                    [
                        Button(
                            label="Activity on the replica", does=Typed(text=f"db activity --on replica --env {where}")
                        )
                    ]
                    if database.settings.replica
                    else []
                ),
            ),
            data={
                "environment": where,
                "findings": [each.says for each in found.troubles],
                "servers": {place: _data(state) for place, state in found.servers.items()},
            },
        )


def _troubles(found: ReplicationReading) -> Iterator[Element]:
    for place, each in enumerate(found.troubles):
        yield Paragraph(
            text=sentence(each.to_do) if place == 0 else words(Strong(text=f"{each.says}. "), sentence(each.to_do))
        )


def _tables(found: ReplicationReading) -> Iterator[Element]:
    for place, state in found.servers.items():
        if isinstance(state, RunbookError):
            continue
        rows: list[tuple[Text, ...]] = [
            (
                words(replication.replica_name(each), f" {each.client}" if each.name and each.client else ""),
                words(each.state),
                words("unknown" if each.behind is None else size(each.behind)),
                words("" if each.seconds is None else duration(each.seconds)),
            )
            for each in state.replicas
        ]
        if rows:
            yield Table(
                columns=("Replica", "State", "Behind", "Delay"), rows=tuple(rows), caption=f"As reported by the {place}"
            )
        elif state.recovering:
            yield Note(text=words(f"The {place} itself: {_own(state)}."))
        if state.slots:
            yield Table(
                columns=("Slot", "Reader", "Keeps", "WAL"),
                rows=tuple(map(_slot, state.slots)),
                caption="Replication slots",
            )


def _own(state: ReplicationState) -> str:
    streaming = "receives WAL" if state.streaming else "receives nothing"
    behind = f"{size(state.unplayed)} not replayed" if state.unplayed else "all of it replayed"
    return f"{streaming}, {behind}" + (f", the data of {duration(state.seconds)} ago" if state.seconds else "")


def _slot(each: Slot) -> tuple[Text, ...]:
    return (
        words(Code(text=each.name), f" {each.kind}"),
        words("connected" if each.active else "none"),
        words("unknown" if each.retained is None else size(each.retained)),
        words(each.wal_status + (f", {size(each.room)} left" if each.room is not None else "")),
    )


def _data(state: ReplicationState | RunbookError) -> dict[str, object]:
    if isinstance(state, RunbookError):
        return {"ok": False, "message": state.message}
    return {
        "ok": True,
        "replica": state.recovering,
        "unplayed_bytes": state.unplayed,
        "seconds": state.seconds,
        "paused": state.paused,
        "streaming": state.streaming,
        "replicas": [
            {
                "name": each.name,
                "client": each.client,
                "state": each.state,
                "sync": each.sync,
                "behind_bytes": each.behind,
                "seconds": each.seconds,
            }
            for each in state.replicas
        ],
        "slots": [
            {
                "name": each.name,
                "kind": each.kind,
                "active": each.active,
                "retained_bytes": each.retained,
                "wal_status": each.wal_status,
                "room_bytes": each.room,
                "why": each.why,
            }
            for each in state.slots
        ],
    }
