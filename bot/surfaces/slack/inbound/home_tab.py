"""The app's Home: what this person may run, and what waits. Drawn anew each time it is opened."""

from bot.boundary.inbound import Exit, TakesInbound
from bot.surfaces.slack.inbound.payloads import FromPerson, typed
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackApi

_BLOCKS = 100


class HomeTab:
    """Publishes it."""

    def __init__(
        self, api: SlackApi, messenger: SlackMessenger, dispatcher: TakesInbound, queries: tuple[str, ...]
    ) -> None:
        self._api = api
        self._messenger = messenger
        self._dispatcher = dispatcher
        self._queries = queries

    async def publish(self, visit: FromPerson) -> None:
        """Publish the menu, with the answers to the queries below it."""
        origin, key = visit.origin, visit.delivery_id
        blocks = await self.menu(origin, key, surface_home=True)
        for place, text in enumerate(self._queries):
            parsed = self._dispatcher.parse(typed(f"{key}/{place}", origin, text))
            if parsed.kind is None:
                continue
            answer = await self._dispatcher.take(parsed)
            if answer.exit is Exit.OK and answer.card is not None:
                drawing = await self._messenger.drawn(answer.card, surface="home")
                blocks += [{"type": "divider"}, *drawing.blocks]
        await self._api.call("views.publish", user_id=origin.account, view={"type": "home", "blocks": blocks[:_BLOCKS]})

    async def menu(self, origin: Origin, key: str, *, surface_home: bool) -> list[Block]:
        """Return the menu's blocks, for Home or for a modal."""
        inbound = typed(key, origin, "")
        card = await self._dispatcher.menu(inbound)
        drawing = await self._messenger.drawn(card, surface="home" if surface_home else "modal")
        return drawing.blocks
