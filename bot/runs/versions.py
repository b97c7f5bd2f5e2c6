"""Workflows that an older version of the bot left in the engine's database, taken over by this one.

DBOS recovers only what its own application version began: everything else would stay as it is for ever, an approval that nobody can
give and a lease that nobody gives back. So each workflow of an older version is either replayed, where its recorded steps are still
those of its kind, or begun anew under its own id: its record of steps is dropped, its messages are heard once more, and what it
published stays. That is safe because each step is idempotent, and because a request reads what it published before it begins.

DBOS has no call for it (`rewind_workflow` drops messages and events too, and takes only what has ended), so this writes to its tables,
all of it in one transaction.
"""

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

import sqlalchemy
from dbos._dbos import _get_dbos_instance
from dbos._utils import INTERNAL_QUEUE_NAME

SHAPES: Mapping[str, int] = {"request": 12, "run": 9, "thread": 9, "closing": 9, "vigil": 9}
"""Workflow → the version since which its steps have the order, names and results of today.

Whoever changes a workflow's shape, or the form of a plan that it is given, raises its number to the highest here plus one. The names are those that are stored: `vigil` is the
workflow of `bot.runs.escalation`.
"""

APPLICATION_VERSION = str(max(SHAPES.values()))

_ACTIVE = ("PENDING", "ENQUEUED", "DELAYED")

_log = logging.getLogger(__name__)


class TakenOver(NamedTuple):
    """A workflow of an older version that goes on."""

    id: str
    how: Literal["replayed", "begun anew"]


def how_to_go_on(name: str, version: str | None) -> Literal["replayed", "begun anew"] | None:
    """Return what becomes of a workflow that `version` began; None where this version does not know its kind."""
    if name not in SHAPES or version is None or not version.isdecimal() or int(version) > int(APPLICATION_VERSION):
        return None
    return "replayed" if int(version) >= SHAPES[name] else "begun anew"


def take_over(executor: str) -> list[TakenOver]:
    """Hand every workflow that this executor left under another version to this one; returns those that go on."""
    database = _get_dbos_instance()._sys_db  # noqa: SLF001 - see above
    tables = database.tables
    status = tables.workflow_status
    taken: list[TakenOver] = []
    with database.engine.begin() as connection:
        found = connection.execute(
            sqlalchemy.select(status.c.workflow_uuid, status.c.name, status.c.application_version).where(
                status.c.status.in_(_ACTIVE),
                status.c.executor_id == executor,
                status.c.application_version.is_distinct_from(APPLICATION_VERSION),
            )
        ).all()
        for id, name, version in found:  # noqa: A001 - a workflow has an id
            how = how_to_go_on(name, version)
            if how is None:
                _log.error(
                    "%s was begun by version %s of the bot's workflows, which this one does not know", id, version
                )
                continue
            if how == "begun anew":
                for table in (tables.operation_outputs, tables.workflow_events_history):
                    connection.execute(sqlalchemy.delete(table).where(table.c.workflow_uuid == id))
                heard = tables.notifications
                connection.execute(
                    sqlalchemy.update(heard)
                    .where(heard.c.destination_uuid == id)
                    .values(consumed=False, consumed_by_function_id=None)
                )
            connection.execute(
                sqlalchemy.update(status)
                .where(status.c.workflow_uuid == id)
                .values(
                    application_version=APPLICATION_VERSION,
                    status="ENQUEUED",
                    queue_name=INTERNAL_QUEUE_NAME,
                    owner_xid=None,
                    started_at_epoch_ms=None,
                )
            )
            taken.append(TakenOver(id, how))
    return taken
