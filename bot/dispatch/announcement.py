"""What a decision changes for everybody (a lock) is said in the environment's channel, where it was not typed there.

It is a thread like a request's, so it waits for Slack by itself and is said once.
"""

from bot.dispatch.act import Act
from bot.runs.model import Request, request_id
from commands.kit.card import Card
from commands.kit.command import Command
from commands.kit.typed_again import typed_again


async def announce(act: Act, request: Command, environment: str, card: Card) -> None:
    """Post the card in the environment's channel, unless it has none or the decision was typed there."""
    services, inbound = act.services, act.inbound
    channel = services.settings.environments[environment].channel
    if channel is None or inbound.place.channel == channel:
        return
    told = Request(
        id=request_id(environment, request.spec.name, inbound.key),
        command=request.spec.name,
        arguments=request.arguments(),
        environment=environment,
        text=typed_again(request),
        title=card.summary,
        requester=act.actor,
        channel=channel,
        threaded=True,
        at=services.clock(),
    )
    await services.store.start_thread(told, card)
    await services.store.close_thread(told.id, key=f"{told.id}/close")
