"""The app's Home: what this person may run, and what waits. Drawn anew each time it is opened."""

from bot.inbound import Exit, Inbound, Surface, TakesInbound
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.outbound.messenger import SlackMessenger
from bot.surfaces.slack.render.mrkdwn import Block
from bot.surfaces.slack.transport.web_api import SlackApi

_BLOCKS = 100


class Home:
    """Publishes it."""

    def __init__(self, api: SlackApi, messenger: SlackMessenger, door: TakesInbound, queries: tuple[str, ...]) -> None:
        self._api = api
        self._messenger = messenger
        self._door = door
        self._queries = queries

    async def publish(self, origin: Origin, key: str) -> None:
        """The menu, and the answers to the queries that stand below it."""
        blocks = await self.menu(origin, key, surface_home=True)
        for place, text in enumerate(self._queries):
            delivery = Inbound(key=f"{key}/{place}", surface=Surface.SLACK, account=origin.account, text=text)
            parsed = self._door.parse(delivery)
            if parsed.kind is None:
                continue
            answer = await self._door.take(parsed)
            if answer.exit is Exit.OK and answer.card is not None:
                drawing = await self._messenger.drawn(answer.card, surface="home")
                blocks += [{"type": "divider"}, *drawing.blocks]
        await self._api.call("views.publish", user_id=origin.account, view={"type": "home", "blocks": blocks[:_BLOCKS]})

    async def menu(self, origin: Origin, key: str, *, surface_home: bool) -> list[Block]:
        """The menu's blocks, for Home or for a modal."""
        delivery = Inbound(key=key, surface=Surface.SLACK, account=origin.account, text="", place=origin.place)
        card = await self._door.menu(delivery)
        drawing = await self._messenger.drawn(card, surface="home" if surface_home else "modal")
        return drawing.blocks
