"""The plan of `db kill` and its two steps: the statement is cancelled, and the session is ended only if that was not enough.

Both are bound to one session in one transaction, by the times at which these began. If that transaction has ended meanwhile, by itself or
by the step before, nothing more is done: what the session does now was not approved.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.activity import CLIENT
from runbooks.clients.postgres.signals import SessionKey, TargetSession
from runbooks.database.activity import Waits
from runbooks.database.databases import Database
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Brief, Cell, Shown, Step, StepContext
from runbooks.kit.targets import Frozen
from runbooks.wording import by_count, counted, duration, shortened

_CANCELLED, _ENDED = 5.0, 10.0
"""Seconds that a cancelled statement, and a session that is ended, may take to stop."""
_SETTLED = 2.0
"""Seconds after which those that still wait are told to wait for somebody else."""
_LOOK = 0.2
_STATEMENT = 200
_WRAPAROUND = "(to prevent wraparound)"


class SessionEnd(Frozen):
    """What became of the session, and who still waits for a lock."""

    how: Literal["cancelled", "terminated", "over", "not-running", "not-cancelled"]
    """over: its transaction had ended by itself; not-running: there was no statement to cancel; not-cancelled: it still ran."""
    waiting: int | None = None
    """Sessions of the database that wait for a lock; None where nobody looked."""


class SessionStep(Step):
    """A step about one session in one transaction."""

    decides: ClassVar[bool] = False
    carried: ClassVar[bool] = False
    pid: int
    on: Instance
    address: str
    began: str
    """When it connected (ISO 8601)."""
    transaction_began: str | None
    """None only in a plan of the version before, which did not refuse a session without a transaction; nothing is done then."""
    role: str
    application: str
    # what follows is shown, and not part of the digest: it moves by itself
    doing: str = ""
    statement: str = ""
    behind: int = 0

    @property
    def target(self) -> str:
        return str(self.pid)

    def changes(self) -> dict[str, JsonValue]:
        return {
            "session": f"{self.on}/{self.pid}",
            "began": self.began,
            "transaction_began": self.transaction_began,
            "role": self.role,
            "application": self.application,
        }

    def in_short(self) -> tuple[Brief, ...]:
        return ()

    @property
    def session_key(self) -> SessionKey:
        """What the session is known by."""
        transaction = datetime.fromisoformat(self.transaction_began) if self.transaction_began else None
        return SessionKey(self.pid, datetime.fromisoformat(self.began), transaction)

    def _line(self, function: str) -> tuple[str, ...]:
        """Return the line by which a DBA does it, which does nothing to another session of that pid."""
        host, _, port = self.address.rpartition(":")
        which = f"pid = {self.pid} AND backend_start = '{self.began}'"
        sql = f"SELECT {function}(pid) FROM pg_stat_activity WHERE {which}"  # noqa: S608 - a line for people
        return (f'psql -h {host} -p {port} -c "{sql}"',)

    def over(self, found: TargetSession | None) -> bool:
        """Whether the transaction that was looked at no longer holds anything."""
        key = self.session_key
        if found is None or found.began != key.began or found.transaction_began != key.transaction_began:
            return True
        return not found.holds


class CancelStatement(SessionStep):
    """The session's statement is cancelled, which rolls its transaction back and leaves the session."""

    kind: Literal["cancel-statement"] = "cancel-statement"

    @property
    def title(self) -> str:
        return f"Cancel the statement of pid {self.pid}"

    def shown(self) -> Shown:
        who = " · ".join(part for part in (str(self.pid), self.role, self.application) if part)
        behind = (
            f"{counted(self.behind, 'session')} {by_count(self.behind, 'waits', 'wait')}" if self.behind else "nothing"
        )
        cells = (Cell(text=who, strong=True), Cell(text=self.doing), Cell(text=behind), Cell(text=self.statement))
        return Shown(columns=("Session", "Now", "Behind it", "Statement"), rows=(cells,))

    def in_short(self) -> tuple[Brief, ...]:
        return (Brief(subject=f"pid {self.pid}", change=self.application or self.role),)

    def by_hand(self) -> tuple[str, ...]:
        return self._line("pg_cancel_backend")

    async def apply(self, context: StepContext) -> SessionEnd:
        database = context.use(Database)
        found = await database.session(self.on, self.pid)
        if self.over(found):
            return SessionEnd(how="over")
        if found is None or not found.active:
            return SessionEnd(how="not-running")
        if await _send(self, database, terminate=False) == "changed":
            return SessionEnd(how="over")
        return SessionEnd(how="cancelled" if await _until(self, database, self.over, _CANCELLED) else "not-cancelled")


class EndSession(SessionStep):
    """The session is ended if its transaction is still open. Returns who still waits for a lock."""

    kind: Literal["end-session"] = "end-session"

    @property
    def title(self) -> str:
        return f"End the session of pid {self.pid} if its transaction is still open"

    def by_hand(self) -> tuple[str, ...]:
        return self._line("pg_terminate_backend")

    async def apply(self, context: StepContext) -> SessionEnd:
        database = context.use(Database)
        if self.over(await database.session(self.on, self.pid)):
            return SessionEnd(how="over", waiting=await _waiting(database, self.on))
        if await _send(self, database, terminate=True) == "changed":
            return SessionEnd(how="over", waiting=await _waiting(database, self.on))
        began = self.session_key.began
        if not await _until(self, database, lambda found: found is None or found.began != began, _ENDED):
            raise PermanentError(
                f"Pid {self.pid} was told to end and is still there after {_ENDED:g} s.",
                code=ReasonCode.DATABASE_SLOW,
                advice=(
                    "It probably waits for the disk and ends when that answers. Don't send SIGKILL: it would restart the whole server.",
                ),
            )
        return SessionEnd(how="terminated", waiting=await _waiting(database, self.on))


async def _send(step: SessionStep, database: Database, *, terminate: bool) -> Literal["sent", "changed"]:
    sent = await database.end_session(step.on, step.session_key, terminate=terminate)
    if sent == "refused":
        raise PermanentError(
            f"The server's function does not end pid {step.pid}: it is not a client's session of this database any more.",
            code=ReasonCode.SESSION_PROTECTED,
            advice=("`db activity` shows who is there now.",),
        )
    return "sent" if sent == "sent" else "changed"


async def _until(
    step: SessionStep, database: Database, over: Callable[[TargetSession | None], bool], seconds: float
) -> bool:
    """Look until the session has ended what it did; PostgreSQL tells nobody about that."""
    began = time.monotonic()
    while not over(await database.session(step.on, step.pid)):
        if time.monotonic() - began > seconds:
            return False
        await asyncio.sleep(_LOOK)
    return True


async def _waiting(database: Database, on: Instance) -> int:
    """Return how many wait for a lock, once those that waited have had a moment to get theirs."""
    began = time.monotonic()
    while True:
        waiting = sum(len(tree.pids) for tree in (await database.activity(on)).trees)
        if not waiting or time.monotonic() - began > _SETTLED:
            return waiting
        await asyncio.sleep(_LOOK)


async def plan_end(database: Database, on: Instance, pid: int, where: str) -> Plan:
    """Return the plan: whose session it is, what it does, and who waits behind it. Raises PermanentError for a protected session."""
    found = await database.session(on, pid)
    if found is None:
        return Plan(title=f"There is no session with pid {pid} on {where}'s {on}, so there is nothing to end")
    if why := _protected(found):
        raise PermanentError(
            f"`db kill` does not end pid {pid}: {why}.", code=ReasonCode.SESSION_PROTECTED, advice=(_INSTEAD,)
        )
    if found.transaction_began is None:
        return Plan(
            title=f"Pid {pid} on {where}'s {on} has no open transaction, so there is nothing to end",
            notes=(
                "A lock that a session keeps without a transaction (`pg_advisory_lock`) goes with the session, which a DBA ends by hand.",
            ),
        )
    await database.check_may_end(on, pid)
    reading = await database.activity(on)
    node = next((each for tree in reading.trees for each in (tree, *tree.below()) if each.holder == pid), None)
    behind = len(node.pids) if node is not None else 0
    values = {
        "pid": pid,
        "on": on,
        "address": reading.address,
        "began": found.began.isoformat(),
        "transaction_began": found.transaction_began.isoformat(),
        "role": found.role,
        "application": found.application,
        "doing": f"{found.state or 'unknown'} for {duration(found.seconds)}",
        "statement": shortened(found.text, _STATEMENT),
        "behind": behind,
    }
    steps = (CancelStatement.model_validate(values), EndSession.model_validate(values))
    return Plan(
        title=f"End what pid {pid} is doing on {where}'s {on}",
        steps=steps,
        warnings=tuple(_warnings(node, behind)),
        notes=("If the session has begun another transaction by then, nothing is done to it.",),
    )


def _warnings(node: Waits | None, behind: int) -> list[str]:
    said = ["Its transaction is rolled back: what it has changed and not committed is lost."]
    if node is not None and node.session is not None and (ahead := node.session.blocked_by):
        said.append(f"It waits for pid {ahead[0]} itself: `db activity` shows which session is in front.")
    elif not behind:
        said.append("Nothing is waiting for this session.")
    return said


_INSTEAD = "If it must end, a DBA does it by hand. `db activity` shows who waits for whom."


def _protected(found: TargetSession) -> str:
    """Why it is not ended; empty where it may be."""
    if found.own:
        return "it is the bot's own session"
    if found.kind in ("walsender", "walreceiver") or found.kind.startswith("logical replication"):
        return f"it is replication ({found.kind}), and a replica would fall behind"
    if found.kind == "autovacuum worker":
        if _WRAPAROUND in found.text:
            return "it is an autovacuum that protects the database from running out of transaction ids; it would only begin again"
        return "it is an autovacuum, which ends by itself if it is in the way"
    if found.kind != CLIENT:
        return f"it is a process of the server ({found.kind})"
    if found.superuser:
        return f"it belongs to {found.role}, a superuser"
    if not found.here:
        return f"it is connected to another database, {found.database}"
    return ""
