"""The audit events of runs: what could not be written waits, and none of it is lost by who comes at the same time."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bot.audit import AuditLog, EventName
from bot.runs.heads import KeptHeads
from bot.runs.model import Request, request_id
from bot.runs.notes import AuditNotes
from commands.kit import registry
from commands.kit.context import Actor
from runbooks.redaction.redactor import default_redactor


def deploy(key: str) -> Request:
    return Request(
        id=request_id("production", "deploy", key), command="deploy",
        arguments={"version": "v2.0.0", "env": "production"}, environment="production", text="deploy v2.0.0",
        title="Deploy v2.0.0 to production", requester=Actor(key="maya", name="Maya"), channel=None,
        at=datetime.now(UTC),
    )  # fmt: skip


async def test_several_who_write_at_once_lose_nothing_of_what_waited(tmp_path: Path):
    path = tmp_path / "audit.sqlite"
    async with AuditLog.open(path, name="one", redactor=default_redactor()) as audit_log:
        notes = AuditNotes(audit_log, KeptHeads(audit_log), registry.load(), lambda: datetime.now(UTC))
        waited, now = [deploy("a"), deploy("b")], [deploy("c"), deploy("d"), deploy("e")]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            wrote = [await notes.write(each, EventName.STEP_FINISHED, later=True) for each in waited]
            assert wrote == [False, False]
            other.execute("ROLLBACK")
        assert await asyncio.gather(*(notes.write(each, EventName.STEP_FINISHED) for each in now)) == [True] * 3
        written = [entry.run for entry in await audit_log.search()]
    assert sorted(filter(None, written)) == sorted(each.id for each in (*waited, *now))
