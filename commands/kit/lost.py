"""A run that has the environment's place and that no engine knows: the bot's files were lost in the middle of it, or another bot runs it.

What the fleet remembers of it is all there is. Nobody may guess which of the two it is, so it is said, with what a person can do.
"""

from commands.kit.context import Context, Denied
from runbooks.fleet import EnvironmentRecord, RunPlace
from runbooks.kit.reasons import ReasonCode

UNKNOWN = "this bot knows nothing of it: its files were lost, or another bot runs it"


def way_out(place: RunPlace) -> str:
    """What ends it."""
    return f"`rollback` takes its place, `resolve {place.run} --reason …` gives it back"


async def holder(context: Context, record: EnvironmentRecord) -> RunPlace | None:
    """Who has the place, if the engine does not know that run."""
    if record.run is None:
        return None
    try:
        await context.runs.find(record.run.run)
    except Denied as denied:
        return record.run if denied.code is ReasonCode.UNKNOWN_RUN else None
    return None
