"""An operation: asked for in earnest it is written to the audit log and handed to the engine; a dry run shows its plan."""

from dataclasses import replace

from bot.audit import EventName
from bot.boundary.inbound import Answer, Surface
from bot.config.sections import TimeSettings
from bot.dispatch.act import Act
from bot.dispatch.answers import already_requested_card, started_card
from bot.runs.model import Appointment, Request, request_id
from commands.kit.command import Operation
from commands.kit.context import Denied
from commands.kit.typed_again import typed_again


async def start(act: Act, asked: Operation) -> Answer:
    """Return once the engine has the request: what is acknowledged then can't be lost."""
    services, inbound = act.services, act.inbound
    name, environment = asked.spec.name, asked.environment
    assert environment is not None, "every operation has an environment"
    channel = inbound.place.channel or services.settings.environments[environment].channel
    request = Request(
        id=request_id(environment, name, inbound.key),
        command=name,
        arguments=asked.arguments(),
        environment=environment,
        text=typed_again(asked),
        title=asked.title(environment),
        requester=act.actor,
        channel=channel,
        threaded=services.settings.slack.enabled and channel is not None,
        at=services.clock(),
        reason=asked.reason,
        ticket=asked.ticket,
        appointment=_appointment(services.settings.times, asked),
        recalled=act.recalled,
    )
    if (twin := await services.submissions.submit(request, bounded=not asked.goes_back)) is not None:
        context = act.context(environment)
        try:
            known = await context.runs.find(twin)
        except Denied:  # it was pressed at the same moment
            known = None
        return Answer(card=already_requested_card(request, twin, known, context.now), run=twin)
    threadless = inbound.surface is Surface.TERMINAL or not request.threaded
    return Answer(card=started_card(request) if threadless else None, private=False, run=request.id)


async def show_plan(act: Act, asked: Operation) -> Answer:
    """Return the plan as it would be made now, with a button that asks for it in earnest."""
    from bot.runs.cards import dry_run_card

    context = act.context(asked.environment)
    where, name = context.where.name, asked.spec.name
    async with act.in_time():
        plan = await asked.plan(context)
    shown = Request(
        id=request_id(where, name, "dry"),
        command=name,
        arguments=asked.arguments(),
        environment=where,
        text=typed_again(asked),
        title=plan.title,
        requester=act.actor,
        channel=None,
        at=context.now,
        reason=asked.reason,
        appointment=_appointment(act.services.settings.times, asked),
        recalled=act.recalled,
    )
    in_earnest = replace(asked, dry_run=False)
    substance: dict[str, object] = {"command": name, "arguments": in_earnest.arguments(), "environment": where}
    card = dry_run_card(shown, plan, plan.digest(substance), typed_again(in_earnest))
    await act.note(asked, where, EventName.COMMAND_ANSWERED)
    return Answer(card=card, private=False)


def _appointment(times: TimeSettings, asked: Operation) -> Appointment | None:
    at = asked.starts_at
    return Appointment.of(at, before=times.go_before, grace=times.go_grace) if at is not None else None
