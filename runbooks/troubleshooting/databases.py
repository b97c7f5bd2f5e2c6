"""The database: whether it can be reached, who waits for whom, what runs out, what is slow, and how far its replicas are behind."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from runbooks.clients.postgres.access import Instance
from runbooks.clients.postgres.errors import NONE_LEFT
from runbooks.clients.postgres.reachability import ReachedServer, reach
from runbooks.clients.postgres.replication import ReplicationState
from runbooks.database import query_plans, replication, storage
from runbooks.database.activity import ActivityReading, Waits
from runbooks.database.databases import Database, DatabaseStatus
from runbooks.database.query_plans import PlanNode
from runbooks.database.replication import ReplicationReading
from runbooks.database.slow_statements import first, milliseconds, name_of
from runbooks.kit.errors import RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.metrics.standing import Standing
from runbooks.redaction.redactor import default_redactor
from runbooks.troubleshooting.case import Case, before
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
    together,
)
from runbooks.troubleshooting.measured import began
from runbooks.troubleshooting.pools import SYMPTOMS as _SYMPTOMS
from runbooks.troubleshooting.pools import connections_of
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import by_count, counted, duration, in_sentence, shortened

_CONNECTS, _TCP, _LOOKS = 5.0, 2.0, 4.0
"""Seconds in which a server must have taken the bot, in which TCP must connect, and for all that is asked afterwards."""
_PLANS = 1.0
"""Seconds for the plan of a slow statement: who wants to know more asks `db explain`."""
_SLOWLY = 0.1
"""Seconds for a statement that does nothing, from which a server answers slowly."""
_AGAIN = 4
"""So often a slow answer is measured again."""
_WAITED = 1.0
"""Seconds; who waits for less is about to get its turn."""
_STATEMENT = 160
_WITHOUT_IT = (
    *_SYMPTOMS,
    Trouble.SLOW_QUERIES,
    Trouble.POOL_EXHAUSTED,
    Trouble.CRASHES,
    Trouble.PROBE,
    Trouble.NOT_READY,
    Trouble.WEBSOCKET_DROPS,
    Trouble.RESTARTS,
)
"""What follows where services have no database."""
_REFUSED = (ReasonCode.DATABASE_REFUSED, ReasonCode.DATABASE_TLS)
_DATABASE_P95 = "db-p95"


class Databases(Rule):
    """Looks at the database's servers, as the bot's own role sees them."""

    name = "database"
    permission = "database:read"
    contradicted_by = (
        Trouble.DATABASE_UNREACHABLE,
        Trouble.POOL_EXHAUSTED,
        Trouble.SLOW_QUERIES,
        Trouble.BLOCKED_SESSIONS,
        Trouble.REPLICATION_LAG,
    )
    seconds = 10.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return what is wrong with it. What needs a server that does not answer is left out: that is the finding then."""
        database = case.find(Database)
        if database is None:
            return not_configured()
        places = database.settings.places()
        known = dict(zip(places, await asyncio.gather(*(_known(database, place) for place in places)), strict=True))
        answers = list(await asyncio.gather(*(_there(database, each) for each in known.values())))
        there = [place for place, each in known.items() if isinstance(each, DatabaseStatus)]
        if any(answer.found and place in there for place, answer in zip(known, answers, strict=True)):
            return together(
                [*answers, could_not_look("it answers too slowly to read its sessions, connections and replicas")]
            )
        looks: list[Callable[[], Awaitable[RuleAnswer]]] = []
        if "primary" in there:
            looks += [lambda: _sessions(case, database), lambda: connections_of(case, database)]
            looks += [lambda: _slow_statements(case, database), lambda: _stored(database)]
        if len(places) > 1 and len(there) == len(places):
            looks.append(lambda: _replication(database))
        answers += await _one_by_one(looks)
        said = _without_idle(together(answers))
        return said.model_copy(update={"details": ""}) if said.found else said


def _without_idle(said: RuleAnswer) -> RuleAnswer:
    """Return the answer without the sessions that are idle in a transaction if no connection is left: they are already its evidence."""
    if not any(each.kind is Trouble.POOL_EXHAUSTED and each.confidence is Confidence.CERTAIN for each in said.found):
        return said
    kept = tuple(each for each in said.found if each.kind is not Trouble.IDLE_TRANSACTIONS)
    return said.model_copy(update={"found": kept})


async def _one_by_one(looks: Iterable[Callable[[], Awaitable[RuleAnswer]]]) -> list[RuleAnswer]:
    """Return what they say, as far as there is time. The bot has two connections to a server, and a person may need one."""
    answers: list[RuleAnswer] = []
    try:
        async with asyncio.timeout(_LOOKS):
            for look in looks:
                try:
                    answers.append(await look())
                except RunbookError as error:
                    answers.append(could_not_look(error.message))
    except TimeoutError:
        answers.append(could_not_look(f"no answer about its sessions and connections within {_LOOKS:g} s"))
    return answers


async def _known(database: Database, place: Instance) -> DatabaseStatus | RuleAnswer:
    """Return who the bot is there; where it is nobody, how far it got, as the guide's `nc -zv` shows it."""
    settings = database.settings
    address = settings.primary if place == "primary" else settings.replica
    reaching = asyncio.create_task(_reached(address))
    try:
        try:
            async with asyncio.timeout(_CONNECTS):
                return await database.known(place)
        except TimeoutError:
            error: RunbookError = TemporaryError(
                f"The {place} did not answer within {_CONNECTS:g} s.",
                code=ReasonCode.DATABASE_UNREACHABLE,
                retry_after=1.0,
            )
        except RunbookError as told:
            error = told
        return _not_there(place, error, await reaching)
    finally:
        reaching.cancel()


async def _reached(address: str | None) -> ReachedServer | None:
    """Return how far TCP gets; None where the address is only in the Secret."""
    return await reach(address, _TCP) if address is not None else None


def _not_there(place: Instance, error: RunbookError, reached: ReachedServer | None) -> RuleAnswer:
    look = ToDo(text="Test name, network, TLS and login", command="db connect", label="Connect")
    advice = tuple(ToDo(text=line) for line in error.advice)
    if error.code is ReasonCode.DATABASE_UNREACHABLE:
        away = place == "primary"
        # a server that takes connections and says nothing in time may only be slow
        silent = reached is not None and reached.seconds is not None
        sure = (Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE)[(not away) + silent]
        return found(
            Finding(
                kind=Trouble.DATABASE_UNREACHABLE,
                cause=reached.says(place, _TCP) if reached is not None else error.message.rstrip("."),
                evidence=("Tested from where the bot runs; pods may take another route.", error.message),
                confidence=sure,
                explains=_WITHOUT_IT if away else _SYMPTOMS,
                to_do=(*advice, look),
            )
        )
    if error.code in _REFUSED:
        return found(
            Finding(
                kind=Trouble.DATABASE_CREDENTIALS,
                cause=error.message.rstrip("."),
                evidence=("The network is fine: the server answers, but rejects the bot's role.",),
                confidence=Confidence.LIKELY,
                to_do=(*advice, look),
            )
        )
    if error.code is ReasonCode.DATABASE_BUSY and NONE_LEFT in error.message:
        return found(
            Finding(
                kind=Trouble.POOL_EXHAUSTED,
                cause=f"The {place} has no connection left, not even for the bot",
                confidence=Confidence.CERTAIN,
                explains=_WITHOUT_IT,
                to_do=(
                    *advice,
                    ToDo(text="See who has them, once one is free", command="db pool", label="Pool"),
                ),
            )
        )
    return could_not_look(error.message)


async def _there(database: Database, known: DatabaseStatus | RuleAnswer) -> RuleAnswer:
    return known if isinstance(known, RuleAnswer) else await _slowly(database, known)


async def _slowly(database: Database, status: DatabaseStatus) -> RuleAnswer:
    """Whether it answers slowly each time: one slow answer may be the bot's own doing, which reads logs just now."""
    latency = status.latency
    for _ in range(_AGAIN):
        if latency < _SLOWLY:
            return RuleAnswer(details=f"{status.place} in {milliseconds(latency * 1000)}")
        again = await database.answers(status.place)
        latency = min(latency, again.seconds) if again.code is None else latency
    return found(
        Finding(
            kind=Trouble.SLOW_QUERIES,
            cause=f"The {status.place} answers slowly: {milliseconds(latency * 1000)} for a statement that does nothing",
            evidence=("Every statement takes at least that long, so the network or the server itself is slow.",),
            confidence=Confidence.CERTAIN,
            explains=(*_SYMPTOMS, Trouble.POOL_EXHAUSTED),
            to_do=(
                ToDo(text="Measure it again", command="db connect", label="Connect"),
                ToDo(text="See what runs there", command="db activity", label="Activity"),
            ),
        )
    )


async def _sessions(case: Case, database: Database) -> RuleAnswer:
    reading = await database.activity("primary")
    return RuleAnswer(found=(*_blocked(case, reading), *_idle(case, reading), *_long(case, reading)))


def _blocked(case: Case, reading: ActivityReading) -> Iterator[Finding]:
    """Who holds others up, the one with most behind it."""
    for tree in reading.trees[:2]:
        behind = [each.session for each in tree.below() if each.session is not None]
        waited = max((each.seconds for each in behind), default=0.0)
        if waited < _WAITED:
            continue
        count = len(tree.pids)
        yield Finding(
            kind=Trouble.BLOCKED_SESSIONS,
            cause=f"{counted(count, 'session')} of the database {by_count(count, 'waits', 'wait')} for {_holder(tree)}",
            evidence=tuple(_of_holder(tree, waited)),
            confidence=Confidence.CERTAIN,
            since=before(case.now, waited),
            explains=(*_SYMPTOMS, Trouble.POOL_EXHAUSTED, Trouble.SLOW_QUERIES),
            about=(Thing(kind="sessions"), Thing(kind="locks")),
            to_do=_to_do_about(tree),
        )


def _holder(tree: Waits) -> str:
    if isinstance(tree.holder, str):
        return "a prepared transaction that nobody has ended"
    if tree.session is None:
        return f"pid {tree.holder}, which has since ended"
    who = " · ".join(part for part in (tree.session.role, tree.session.application) if part)
    return f"pid {tree.holder}{f' ({who})' if who else ''}, {tree.session.state or tree.session.kind}"


def _of_holder(tree: Waits, waited: float) -> Iterator[str]:
    yield f"The longest has waited for {duration(waited)}."
    if isinstance(tree.holder, str):
        gid = shortened(default_redactor().text(tree.holder), _STATEMENT)
        yield f"Prepared transaction {gid}: no session holds it, so only the DBA can end it."
    elif tree.session is not None:
        if tree.session.transaction:
            yield f"Its transaction has been open for {duration(tree.session.transaction)}."
        if tree.session.text:
            yield f"It {'last ran' if tree.session.idle else 'runs'}: {shortened(tree.session.text, _STATEMENT)}"


def _to_do_about(tree: Waits) -> tuple[ToDo, ...]:
    look = ToDo(text="See who waits for whom", command="db activity", label="Activity")
    if isinstance(tree.holder, str) or tree.session is None:
        return (look,)
    return (
        look,
        ToDo(text="End it, after an approval", command=f"db kill {tree.holder}", label=f"Kill {tree.holder}…"),
    )


def _idle(case: Case, reading: ActivityReading) -> Iterator[Finding]:
    """Sessions that left a transaction open, and hold up nobody yet."""
    if not (idle := reading.idle):
        return
    longest = idle[0]
    who = " · ".join(part for part in (longest.role, longest.application) if part) or "unknown"
    yield Finding(
        kind=Trouble.IDLE_TRANSACTIONS,
        cause=f"{counted(len(idle), 'session')} of the database {by_count(len(idle), 'is', 'are')} idle in a transaction, "
        f"the longest for {duration(longest.transaction or longest.seconds)}",
        evidence=(
            f"Pid {longest.pid}, {who}, has been idle for {duration(longest.seconds)} and still holds its locks and a connection.",
        ),
        confidence=Confidence.LIKELY,
        since=before(case.now, longest.seconds),
        explains=(Trouble.SLOW,),
        about=(Thing(kind="sessions"),),
        to_do=(
            ToDo(text="See the sessions", command="db activity", label="Activity"),
            ToDo(
                text="End the oldest, after an approval", command=f"db kill {longest.pid}", label=f"Kill {longest.pid}…"
            ),
        ),
    )


def _long(case: Case, reading: ActivityReading) -> Iterator[Finding]:
    """A statement that has been running for long."""
    if not (running := [each for each in reading.long if each.state == "active"]):
        return
    longest = running[0]
    yield Finding(
        kind=Trouble.SLOW_QUERIES,
        cause=f"A statement has been running in the database for {duration(longest.seconds)}, pid {longest.pid}",
        evidence=(f"{longest.role} runs: {shortened(longest.text, _STATEMENT)}",) if longest.text else (),
        confidence=Confidence.POSSIBLE,
        since=before(case.now, longest.seconds),
        explains=(Trouble.SLOW,),
        about=(Thing(kind="sessions"),),
        to_do=(ToDo(text="See it", command="db activity", label="Activity"),),
    )


async def _slow_statements(case: Case, database: Database) -> RuleAnswer:
    """Once the database has become slow by its metric, the statements that take most of its time."""
    measured = [each for each in await case.histories() if each.query.name == _DATABASE_P95]
    slower = next((each for each in measured if each.standing is Standing.BEYOND), None)
    if slower is None:
        return RuleAnswer()
    slow = await database.slow("primary", by="total", limit=10)
    picks = first(slow.counted, case.now)
    if not picks:
        return RuleAnswer()
    name = name_of(picks[0].statement)
    plan = await _dearest(database, name)
    return found(
        Finding(
            kind=Trouble.SLOW_QUERIES,
            cause=f"The database has become slower, and statement {name} {picks[0].why[0]}{_reads_all(plan)}",
            about=(Thing(kind="statement", name=name),),
            evidence=(*_planned(plan), *(shortened(each.statement.text, _STATEMENT) for each in picks[:2])),
            confidence=Confidence.LIKELY,
            since=began(slower),
            explains=_SYMPTOMS,
            to_do=(
                ToDo(text="See its plan", command=f"db explain {name}", label=f"Explain {name}"),
                ToDo(text="See all of them", command="slow-queries", label="Slow queries"),
            ),
        )
    )


async def _dearest(database: Database, name: str) -> PlanNode | None:
    """Return the step that costs most of the statement's plan; None where the server does not plan it, or not soon."""
    try:
        async with asyncio.timeout(_PLANS):
            _, plan = await database.explained("primary", name.removeprefix("q"))
    except (RunbookError, TimeoutError):
        return None
    return query_plans.read(plan.tree).dearest if plan.tree is not None else None


def _reads_all(step: PlanNode | None) -> str:
    return f", reading all of {step.reads_all_of}" if step is not None and step.reads_all_of else ""


def _planned(step: PlanNode | None) -> Iterator[str]:
    if step is not None:
        kept = f" It {step.conditions[0]}." if step.conditions else ""
        rows = f"{counted(step.rows, 'row')} expected"
        yield f"The most expensive step of its plan, which was not executed: {step.what}, {rows}.{kept}"
        yield query_plans.meaning(step)


async def _stored(database: Database) -> RuleAnswer:
    """Transaction ids that run out; dead rows are no trouble of this hour."""
    grave = [each for each in storage.findings(await database.storage()) if each.grave]
    return found(
        *(
            Finding(
                kind=Trouble.TRANSACTION_IDS,
                cause=each.says,
                confidence=Confidence.CERTAIN,
                to_do=(
                    ToDo(text=each.to_do),
                    ToDo(text="See the tables", command="db size", label="Size"),
                ),
            )
            for each in grave
        )
    )


async def _replication(database: Database) -> RuleAnswer:
    return replicas(await database.replication())


def replicas(reading: ReplicationReading) -> RuleAnswer:
    """Return what is wrong with replicas and slots. How far a paused one is behind is a number that the pause explains."""
    away = [each.message for each in reading.servers.values() if isinstance(each, RunbookError)]
    known = {place: each for place, each in reading.servers.items() if isinstance(each, ReplicationState)}
    troubles = replication.read(known).troubles if not away else ()
    stands = _only_replica_stands(known)
    return RuleAnswer(
        found=tuple(
            Finding(
                kind=Trouble.REPLICATION_LAG,
                cause=each.says,
                confidence=Confidence.CERTAIN if each.grave else Confidence.LIKELY,
                measured=each.late and stands,
                about=(Thing(kind="replicas"),),
                to_do=(
                    ToDo(text=each.to_do),
                    ToDo(text="See each replica and slot", command="db replication", label="Replication"),
                ),
            )
            for each in troubles
            if each.grave or each.late
        ),
        unknown=tuple(away),
        details="" if troubles or away else in_sentence(replication.answer(reading)),
    )


def _only_replica_stands(known: Mapping[Instance, ReplicationState]) -> bool:
    """Return whether the primary's one replica is known to be paused: how far it is behind, by whichever name, follows from that."""
    primary, replica = known.get("primary"), known.get("replica")
    return replica is not None and replica.paused and (primary is None or len(primary.replicas) <= 1)
