"""`db kill PID`: ends what a database session does, after an approval that shows whose it is."""

from typing import Annotated

from commands.kit.card import Button, Card, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import ChoiceType, EnvironmentName, NumberType
from runbooks.database.databases import Database
from runbooks.database.ending import CancelStatement, EndSession, SessionEnd, plan_end
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.wording import by_count, counted


class DbKill(Operation):
    """End what a database session does: cancel its statement, and end the session if that is not enough.

    The plan shows whose session it is and its statement, without literals. A session without an open transaction is left alone.
    Replication, autovacuum, superusers' sessions and the bot's own are refused.
    """

    meta = OperationMeta(
        permission="database:kill",
        risk=Risk.DISRUPTIVE,
        examples=["4711", "4711 --on replica"],
        name="db kill",
    )

    pid: Annotated[int, NumberType(1, 999_999_999, name="pid", example="4711")] = argument(
        "the session's process id, shown by `db activity`"
    )
    on: Annotated[str | None, ChoiceType("server", ("primary", "replica"))] = option("which server")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    @property
    def beside_runs(self) -> bool:
        """A run may be what waits for this session: a deploy whose migration needs a lock."""
        return True

    def title(self, environment: str) -> str:
        return f"End what pid {self.pid} is doing in {environment}'s database"

    async def plan(self, context: Context) -> Plan:
        database = context.use(Database, "database")
        return await plan_end(database, database.place(self.on), self.pid, context.where.name)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the steps know it
        cancelled, ended = results.only(CancelStatement, SessionEnd), results.only(EndSession, SessionEnd)
        lines = []
        if ended.waiting is not None:
            lines.append(
                f"{counted(ended.waiting, 'session')} still {by_count(ended.waiting, 'waits', 'wait')} for a lock."
                if ended.waiting
                else "Nothing is waiting for a lock now."
            )
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=_title(self.pid, cancelled, ended),
            lines=tuple(lines),
            data={"pid": self.pid, "cancelled": cancelled.how, "ended": ended.how, "waiting": ended.waiting},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        on = f" --on {self.on}" if self.on else ""
        return ending_card(
            outcome, buttons=(Button(label="Activity", does=Typed(text=f"db activity{on} --env {where}")),)
        )


def _title(pid: int, cancelled: SessionEnd, ended: SessionEnd) -> str:
    if ended.how == "terminated":
        return f"The session of pid {pid} is ended and its transaction is rolled back"
    if cancelled.how == "cancelled":
        return f"The statement of pid {pid} is cancelled and its transaction is rolled back; the session goes on"
    return f"Pid {pid} had finished by itself, so nothing was ended"
