"""`resolve`: a failed run is left as it is, with a reason, and the environment is no longer undecided."""

from bot.runs.decisions import EngineRuns
from commands.kit.card import Card, Code, Paragraph, words
from commands.kit.context import Context, Denied
from commands.kit.orphaned_run import as_it_is
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import short_id


async def resolve(runs: EngineRuns, context: Context, run: str, reason: str) -> Card:
    """Decide that nothing more is done about the run. Raises `Denied`."""
    try:
        record = await runs.find(run)
    except Denied as unknown:
        return await _forget(context, run, reason, unknown)
    if not await context.authority.may(context.actor, "rollout:write", record.environment):
        raise Denied(
            f"You lack the permission rollout:write in {record.environment}, which this decision needs.",
            code=ReasonCode.NOT_PERMITTED,
        )
    environment = context.environments[record.environment]
    seen = await context.fleet.read(environment)
    undecided = (await as_it_is(context, seen)).undecided
    if undecided is None or undecided.run != record.id:
        raise Denied(f"Run {record.short} is not undecided.", code=ReasonCode.NOT_WAITING)
    if not await context.fleet.end(environment, record.id, decided=True):  # its end may not be written there yet
        await context.fleet.decide(environment)
    await runs.answered(record.id, f"{context.actor.name} left it as it is: {reason}")
    text = f"{record.title} stays as it is: {reason}"
    return Card(
        title=words(text, " · run ", Code(text=record.short)),
        summary=text,
        data={"run": record.id, "reason": reason},
    )


async def _forget(context: Context, run: str, reason: str, unknown: Denied) -> Card:
    """Give back what a run holds that only the fleet remembers: the bot's files were lost in the middle of it."""
    where = context.environment
    if unknown.code is not ReasonCode.UNKNOWN_RUN or where is None:
        raise unknown
    if not await context.authority.may(context.actor, "rollout:write", where.name):
        raise unknown
    seen = await context.fleet.read(where)
    if seen.run is not None and seen.run.run == run:
        await context.fleet.leave(where, run)
        title, held = seen.run.title, "The environment is free again."
    elif seen.undecided is not None and seen.undecided.run == run:
        await context.fleet.decide(where)
        title, held = seen.undecided.title, "The environment is no longer undecided."
    else:
        raise unknown
    text = f"{title} stays as it is: {reason}"
    return Card(
        title=words(text, " · run ", Code(text=short_id(run))),
        summary=f"{text} {held}",
        body=(Paragraph(text=words(held)),),
        data={"run": run, "reason": reason},
    )
