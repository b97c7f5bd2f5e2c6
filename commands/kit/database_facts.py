"""The database's servers in a few words for `status`: how fast they answer, connections against the limit, how far a replica is behind."""

from collections.abc import Iterator, Sequence

from commands.kit.card import Code, Fact, words
from runbooks.clients.postgres.database import QueryResult
from runbooks.database.pool import HIGH
from runbooks.database.replication import LATE
from runbooks.wording import by_count, counted, duration


def database_facts(answers: Sequence[QueryResult], where: str) -> tuple[Fact, ...]:
    """Return a fact for what each server says: `primary 3 ms, replica 4 ms`; none where no server is asked."""
    if not answers:
        return ()
    said = ", ".join(
        f"{each.place} {each.seconds * 1000:.0f} ms" if each.well else f"{each.place} {each.trouble}"
        for each in answers
    )
    if all(each.well for each in answers):
        locks = _locks(answers)
        answering = words(said, *([f"; {locks} for a lock"] if locks else []))
    else:
        answering = words(f"{said}; ", Code(text=f"db connect --env {where}"), " shows more")
    connections = ", ".join(f"{each.place} {_connections(each)}" for each in answers)
    replicas = [each for each in answers if each.place == "replica"]
    return (
        Fact(label="Database", value=answering),
        Fact(label="Connections", value=words(connections)),
        *(Fact(label="Replica", value=words(_behind(each))) for each in replicas),
    )


def database_trouble(answers: Sequence[QueryResult]) -> str:
    """Return such as `, 92 of 97 connections to the primary are in use`; empty where nothing is known to be wrong."""
    said = [] if all(each.well for each in answers) else ["the database does not answer"]
    said += [f"{locks} for a lock in the database"] if (locks := _locks(answers)) else []
    said += filter(None, map(_full, answers))
    said += [f"the replica {_is(each)}" for each in answers if _late(each)]
    return "".join(f", {each}" for each in said)


def database_looks(answers: Sequence[QueryResult]) -> Iterator[tuple[str, str]]:
    """Yield where to look next, the worst first: a button's label and command."""
    if _locks(answers):
        yield "Activity", "db activity"
    if not all(each.well for each in answers):
        yield "Database", "db connect"
    if full := next((each for each in answers if _full(each)), None):
        yield "Connections", f"db pool --on {full.place}"
    if any(map(_late, answers)):
        yield "Replication", "db replication"


def database_data(answers: Sequence[QueryResult]) -> dict[str, object]:
    """Return the facts for scripts."""
    return {
        "database": {each.place: each.why or round(each.seconds, 4) for each in answers},
        "waiting_for_locks": sum(each.waiting for each in answers),
        "connections": {
            each.place: None if (found := each.connections) is None else {"used": found.used, "max": found.most}
            for each in answers
        },
        "replica_seconds_behind": next((each.replayed for each in answers if each.place == "replica"), None),
    }


def _locks(answers: Sequence[QueryResult]) -> str:
    """`4 sessions wait`, or nothing where nobody does."""
    waiting = sum(each.waiting for each in answers)
    return f"{counted(waiting, 'session')} {by_count(waiting, 'waits', 'wait')}" if waiting else ""


def _connections(each: QueryResult) -> str:
    """`34 of 97`, and whose own limit is used up before that."""
    if each.connections is None:
        return "unknown"
    server, tight = each.connections, each.tightest
    role = f" ({tight.whose} {tight.used} of {tight.most})" if tight is not None and tight.share >= HIGH else ""
    return f"{server.used} of {server.most}{role}"


def _full(each: QueryResult) -> str:
    """Return which limit is nearly used up, in words; empty where none is known to be."""
    if each.connections is not None and each.connections.share >= HIGH:
        return (
            f"{each.connections.used} of {counted(each.connections.most, 'connection')} to the {each.place} are in use"
        )
    if each.tightest is not None and each.tightest.share >= HIGH:
        return f"{each.tightest.whose} uses {each.tightest.used} of its {counted(each.tightest.most, 'connection')} to the {each.place}"
    return ""


def _late(each: QueryResult) -> bool:
    """Return whether a replica is known to be behind, or to receive or replay nothing."""
    return each.streaming is False or each.paused or (each.replayed or 0.0) >= LATE


def _is(each: QueryResult) -> str:
    return "replays nothing" if each.paused else f"{'is ' if each.streaming is not False else ''}{_behind(each)}"


def _behind(each: QueryResult) -> str:
    """`4 s behind`, as far as the replica itself knows."""
    if each.well and not each.in_recovery:
        return "is itself a primary"
    if each.paused:
        return "paused, so it replays nothing"
    if each.streaming is False:
        return "receives nothing from the primary"
    return f"{duration(each.replayed)} behind" if each.replayed is not None else "unknown"
