"""An environment's database, for people who look after it: whether it answers, who the bot is there, what is slow, and a query's plan.

It is only ever looked at. What comes out has no literal of a statement in it (`runbooks.kit.sql`), and passes redaction like everything
else.
"""

from dataclasses import dataclass

from runbooks.clients import database_plans, database_statements
from runbooks.clients.database import Answer, DatabaseClient
from runbooks.clients.database_access import DatabaseSettings, Place
from runbooks.clients.database_identity import Identity, identity
from runbooks.clients.database_plans import Plan
from runbooks.clients.database_statements import By, Counted, Running, Statement
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode


@dataclass(frozen=True, slots=True)
class Known:
    """Who the bot is on a server, and how quickly that server says so."""

    place: Place
    answer: Answer
    identity: Identity


@dataclass(frozen=True, slots=True)
class Slow:
    """What is slow on a server: what it has counted, and what runs there now."""

    place: Place
    address: str
    counted: Counted
    running: tuple[Running, ...]


class Database:
    """One environment's. Reader beware: each call may raise RunbookError, with what to do; `answers` never does."""

    def __init__(self, environment: str, client: DatabaseClient) -> None:
        self._environment = environment
        self._client = client

    @property
    def settings(self) -> DatabaseSettings:
        return self._client.settings

    def place(self, wanted: str | None = None) -> Place:
        """The server that is meant; the configuration's `reader` where nobody said. Raises where there is no replica."""
        if wanted == "replica" and self.settings.replica is None:
            raise PermanentError(
                f"The configuration names no replica of {self._environment}'s database.",
                code=ReasonCode.NOT_CONFIGURED,
                advice=(f"Add `replica` to `[environments.{self._environment}.database]`, or ask `--on primary`.",),
            )
        return self.settings.reader if wanted is None else ("replica" if wanted == "replica" else "primary")

    async def answers(self, on: Place | None = None) -> Answer:
        """Whether it answers, and in how many seconds. Never raises, and is over within `answer_timeout` whatever happens."""
        return await self._client.answers(on or self.settings.reader)

    async def known(self, on: Place) -> Known:
        """Who the bot is there; proves that the credentials work without showing them."""
        answer = await self._client.answers(on)
        async with self._client.asked(on) as session:
            return Known(on, answer, await identity(session))

    async def slow(self, on: Place, *, by: By, limit: int) -> Slow:
        """The statements that come first by one measure, and what has been running for some seconds."""
        async with self._client.asked(on) as session:
            running = await database_statements.running(session)
            counted = await database_statements.counted(session, by, limit)
            return Slow(on, session.target.address, counted, running)

    async def explained(self, on: Place, name: str) -> tuple[Statement, Plan]:
        """The plan of a counted statement, by the beginning of its id."""
        async with self._client.asked(on) as session:
            found = await database_statements.named(session, name)
            if len(found) != 1:
                raise _not_one(name, len(found), on)
            return found[0], await database_plans.plan(session, found[0])


def _not_one(name: str, count: int, on: Place) -> RunbookError:
    if count:
        return PermanentError(
            f"More than one statement's id begins with q{name}.",
            code=ReasonCode.NO_SUCH_QUERY,
            advice=("Type more of it.",),
        )
    return PermanentError(
        f"The {on} counts no statement with the id q{name}.",
        code=ReasonCode.NO_SUCH_QUERY,
        advice=(
            "`slow-queries` lists those that there are. Each server counts what it ran itself, and a reset or a restart may forget them.",
        ),
    )
