"""A query: it is answered at once, and noted."""

from bot.audit import EventName
from bot.boundary.inbound import Answer
from bot.dispatch.act import Act
from bot.dispatch.disclosure import disclosed
from commands.kit.command import Query


async def answer(act: Act, request: Query) -> Answer:
    """Return the command's answer; the first state of one that goes on; or unredacted lines, which a terminal alone gets."""
    environment = request.environment
    if environment is None and request.about_run is not None:
        environment = act.environment_of(await act.full_id(request.about_run))  # the run's own cluster
    context = act.context(environment)
    only, live = None, None
    async with act.in_time():
        if request.discloses:
            card, only = await disclosed(act, request, context)
        elif (live := request.stream(context)) is not None:
            card = (await anext(live)).card
        else:
            card = await request.answer(context)
    await act.note(request, environment, EventName.COMMAND_ANSWERED)
    return Answer(card=card, private=request.discloses or request.meta.private, terminal_only=only, live=live)
