"""A run of which the fleet's record says that it has the environment's place, though it is over or nobody knows it.

It is over, and the cluster has not taken its end yet: `as_it_is` says what the record will say. Or no engine knows it: the bot's files
were lost in the middle of it, or another bot runs it. Nobody may guess which of the two, so it is said, with what a person can do.
"""

from commands.kit.context import Context, Denied
from runbooks.fleet.fleet import EnvironmentRecord, Lease, Undecided
from runbooks.kit.reasons import ReasonCode

UNKNOWN = "this bot has no record of it: its files were lost, or another bot runs it"


def way_out(place: Lease) -> str:
    """What ends it."""
    return f"`rollback` replaces it, `resolve {place.run} --reason …` frees the environment"


async def as_it_is(context: Context, record: EnvironmentRecord) -> EnvironmentRecord:
    """The record, where a run that is over and could not be written there is taken for what it is."""
    if record.run is None:
        return record
    try:
        run = await context.runs.find(record.run.run)
    except Denied:
        return record
    if run.ended is None:
        return record
    since = run.ended.isoformat(timespec="seconds")
    left = Undecided(run=run.id, title=run.ending[:200], since=since) if run.left_undecided else record.undecided
    return record.model_copy(update={"run": None, "undecided": left})


async def holder(context: Context, record: EnvironmentRecord) -> Lease | None:
    """Who has the place, if the engine does not know that run."""
    if record.run is None:
        return None
    try:
        await context.runs.find(record.run.run)
    except Denied as denied:
        return record.run if denied.code is ReasonCode.UNKNOWN_RUN else None
    return None
