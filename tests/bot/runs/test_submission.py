"""Handing a request to the engine: what two presses of one button, at the same moment, become."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.audit import AuditLog
from bot.runs.engine import Engine, EngineSettings, WorkflowView
from bot.runs.heads import KeptHeads
from bot.runs.model import Request, request_id
from bot.runs.notes import AuditNotes
from bot.runs.pending import PendingRequests
from bot.runs.store import RunStore
from bot.runs.submission import Submissions
from commands.kit import registry
from commands.kit.context import Actor
from runbooks.redaction.redactor import default_redactor


def restart(key: str) -> Request:
    return Request(
        id=request_id("production", "restart", key), command="restart",
        arguments={"service": "backend", "env": "production"}, environment="production", text="restart backend",
        title="Restart backend in production", requester=Actor(key="maya", name="Maya"), channel=None,
        at=datetime.now(UTC),
    )  # fmt: skip


class _HandsOver(Engine):
    """Has the first press handed over just after somebody has looked for it."""

    def __init__(self, settings: EngineSettings, first: Request) -> None:
        super().__init__(settings)
        self._first = first

    async def view(self, id: str) -> WorkflowView | None:  # noqa: A002 - as the engine calls it
        found = await super().view(id)
        await self.start("request", self._first.id, self._first.model_dump(mode="json"))
        return found


async def test_a_press_while_the_one_before_is_handed_over_is_the_same_request(tmp_path: Path):
    first, second = restart("first press"), restart("second press")
    engine = _HandsOver(EngineSettings(database_url=f"sqlite:///{tmp_path / 'engine.sqlite'}"), first)

    async def waits(_: Any) -> None:
        await engine.receive(timeout=600.0)

    engine.register({"request": waits})
    await engine.launch()
    try:
        async with AuditLog.open(tmp_path / "audit.sqlite", name="one", redactor=default_redactor()) as audit_log:
            store, pending = RunStore(engine), PendingRequests()
            notes = AuditNotes(audit_log, KeptHeads(audit_log), registry.load(), lambda: datetime.now(UTC))
            pending.add(first)  # as its own press has done, which has not reached the engine yet
            assert await Submissions(store, pending, notes).submit(second, bounded=True) == first.id
        assert [each.id for each in await engine.list(name="request")] == [first.id]
    finally:
        engine.destroy()
