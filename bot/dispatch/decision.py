"""A decision: written to the audit log, then made. What each decision about a run does stands in one table."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.audit import EventName
from bot.boundary.inbound import Answer
from bot.dispatch.act import Act
from bot.dispatch.announcement import announce
from bot.runs.decisions import EngineRuns
from bot.runs.resolving import resolve
from commands.kit.card import Card
from commands.kit.command import Decision, EnvironmentDecision, RunDecision
from commands.kit.context import Context


async def decide(act: Act, request: Decision, runs: EngineRuns) -> Answer:
    """Return what the person is told; whoever is concerned is told by the run's cards, or in the environment's channel."""
    environment = request.environment
    word = act.inbound.filled.word if act.inbound.filled is not None else None
    if isinstance(request, RunDecision):
        request = replace(request, run=await act.full_id(request.run))
        environment = act.environment_of(request.run)
    context = act.context(environment)
    await act.note(request, environment, EventName.COMMAND_ACCEPTED)
    match request:
        case RunDecision():
            told = await ABOUT_RUNS[request.spec.name](runs, request, context, word)
        case EnvironmentDecision():
            told = await request.decide(context)
        case _:
            raise TypeError(f"{request.spec.name} is a decision without a handler")
    if (event := request.meta.audit_event) is not None:
        await act.note(request, environment, EventName(event), said=told.summary)
        if environment is not None and not request.meta.private:
            await announce(act, request, environment, told)
    # after a click the card that was clicked says it a moment later, to everybody
    return Answer(card=None if word is not None else told, private=request.meta.private)


async def _send(runs: EngineRuns, request: RunDecision, context: Context, word: str | None) -> Card:
    name, reason, then = request.spec.name, request.reason, request.then
    return await runs.decide(request.run, name, context.actor, reason=reason, word=word, then=then)


async def _retry(runs: EngineRuns, request: RunDecision, context: Context, _word: str | None) -> Card:
    return await runs.retry(request.run, context.actor, reason=request.reason)


async def _resolve(runs: EngineRuns, request: RunDecision, context: Context, _word: str | None) -> Card:
    return await resolve(runs, context, request.run, request.reason or "")


ABOUT_RUNS: Mapping[str, Callable[[EngineRuns, RunDecision, Context, str | None], Awaitable[Card]]] = {
    "approve": _send,
    "deny": _send,
    "withdraw": _send,
    "cancel": _send,
    "hold": _send,
    "continue": _send,
    "go": _send,
    "no-go": _send,
    "retry": _retry,
    "resolve": _resolve,
}
"""A command's name → what it does, with the random word of the card that was clicked (None: it was typed)."""
