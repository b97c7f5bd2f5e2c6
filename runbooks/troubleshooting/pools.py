"""Connections to the database that run out: as the server counts them, and as the application's own pool does."""

from collections.abc import Iterator, Sequence

from runbooks.clients.postgres.activity import ActiveSession
from runbooks.clients.postgres.connections import ConnectionGroup, Connections
from runbooks.database import pool
from runbooks.database.databases import Database
from runbooks.database.pool import FULL, HIGH, ApplicationPool
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import (
    Confidence,
    Finding,
    RuleAnswer,
    Thing,
    ToDo,
    Trouble,
    could_not_look,
    found,
    not_configured,
)
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import duration, shortened

_STATEMENT = 160
SYMPTOMS = (Trouble.ERRORS, Trouble.SLOW, Trouble.SYNC_STUCK, Trouble.ALERT, Trouble.METRIC)
"""What follows where a service has no connection, or waits for the database."""


class ApplicationPools(Rule):
    """Looks at the application's own connection pool, by its script."""

    name = "connection pool"
    permission = "database:read"
    contradicted_by = (Trouble.POOL_EXHAUSTED,)
    seconds = 5.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return whether requests wait for a connection in the pod that was asked."""
        application = case.find(ApplicationPool)
        if application is None:
            return not_configured()
        status = await application.status()
        if status.not_understood:
            return could_not_look(
                f"the output of the pool's script in pod {status.pod} was not understood: {status.not_understood}"
            )
        if not status.exhausted:
            return RuleAnswer(details=f"{status.used if status.used is not None else '?'} in use")
        counts = ((status.used, "in use"), (status.most, "at most"), (status.waiting, "requests waiting"))
        return found(
            Finding(
                kind=Trouble.POOL_EXHAUSTED,
                cause=f"{application.service}: its connection pool is used up in pod {status.pod}",
                evidence=(f"{', '.join(f'{count} {what}' for count, what in counts if count is not None)}.",),
                confidence=Confidence.CERTAIN,
                service=application.service,
                explains=SYMPTOMS,
                to_do=(
                    ToDo(text="See who has the connections", command="db pool", label="Pool"),
                    ToDo(text="See what their sessions wait for", command="db activity", label="Activity"),
                ),
            )
        )


async def connections_of(case: Case, database: Database) -> RuleAnswer:
    """Return whether the connections of the server or of a role run out; if so, who has them, and what frees some."""
    known = await database.connections("primary")
    share = pool.tightest(known).share
    if share < HIGH:
        return RuleAnswer(details=pool.answer(known))
    full = share >= FULL
    group = next(iter(known.groups), None)
    idle = (
        sorted((await database.activity("primary")).activity.sessions, key=lambda each: -each.seconds) if full else []
    )
    left_open = [each for each in idle if each.idle and group is not None and each.role == group.role]
    return found(
        Finding(
            kind=Trouble.POOL_EXHAUSTED,
            cause=f"The database is running out of connections: {pool.answer(known)}",
            evidence=(*_who_has_them(known), *_longest(left_open)),
            confidence=Confidence.CERTAIN if full else Confidence.POSSIBLE,
            about=(Thing(kind="connections"), Thing(kind="sessions")),
            # the application's own pool shows the same, from its side
            explains=(*SYMPTOMS, Trouble.POOL_EXHAUSTED) if full else (),
            to_do=(
                *(_remedies(case, group, left_open) if full and group is not None else ()),
                ToDo(text="See who has them", command="db pool", label="Pool"),
                ToDo(text="See what they do", command="db activity", label="Activity"),
            ),
        )
    )


def _who_has_them(known: Connections) -> Iterator[str]:
    for each in known.groups[:2]:
        who = " · ".join(part for part in (each.role, shortened(each.application, 40)) if part) or "unknown"
        yield (
            f"{who} has {each.sessions}: {each.active} active, {each.in_transaction} idle in a transaction, {each.idle} idle."
        )


def _longest(left_open: Sequence[ActiveSession]) -> Iterator[str]:
    for each in left_open[:1]:
        last = f"; it last ran: {shortened(each.text, _STATEMENT)}" if each.text else "."
        yield f"Pid {each.pid} has had its transaction open the longest, {duration(each.transaction)}{last}"


def _remedies(case: Case, group: ConnectionGroup, left_open: Sequence[ActiveSession]) -> Iterator[ToDo]:
    """Yield what frees connections, what frees most of them first."""
    application = case.find(ApplicationPool)
    names = [each.name for each in case.environment.services]
    service = group.application if group.application in names else application.service if application else ""
    if service:
        yield ToDo(
            text=f"Free all of them: new pods of {service} open new connections",
            command=f"restart {service}",
            label=f"Restart {service}…",
        )
    for each in left_open[:1]:
        yield ToDo(text="Free one now, after an approval", command=f"db kill {each.pid}", label=f"Kill {each.pid}…")
    if service:
        yield ToDo(
            text=f"If they run out again: a smaller pool in each pod, fewer pods (`scale {service} N`), or a higher limit, which the DBA sets"
        )
