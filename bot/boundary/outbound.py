"""How a run's messages leave: the values and the Protocol between the durable runs and a surface that keeps threads."""

from typing import Protocol

from commands.kit.card import Card
from runbooks.kit.targets import Frozen


class Posted(Frozen):
    """Where a message stands."""

    channel: str
    ts: str


class SurfaceGone(Exception):
    """The message was deleted, the channel archived, or the bot removed: trying again changes nothing."""


class Messenger(Protocol):
    """Posts and edits the messages of a run's thread (bot.surfaces.slack.outbound.messenger implements it).

    Raises `runbooks.kit.errors.TemporaryError` when Slack is down or says later (`retry_after` seconds), `SurfaceGone` where
    the place no longer exists.
    """

    async def post(
        self,
        run: str,
        slot: str,
        card: Card,
        *,
        channel: str,
        thread: str | None,
        search: bool,
        broadcast: bool = False,
    ) -> Posted:
        """Posts a card once: run and slot go with the message as metadata. `broadcast`: a reply that the channel shows too.

        With `search` it is looked for first (the bot was killed and does not know whether it had posted).
        """
        ...

    async def edit(self, posted: Posted, run: str, slot: str, card: Card) -> None:
        """Makes the message say `card`. Waits for its place in the workspace's budget of edits."""
        ...

    def progress(self, posted: Posted, run: str, slot: str, card: Card) -> None:
        """As `edit`, but newest wins and any may be dropped: live progress. Never waits, never raises."""
        ...

    async def direct(self, run: str, slot: str, person: str, card: Card, *, search: bool) -> Posted | None:
        """A direct message to a listed person; None where they have no Slack account."""
        ...

    async def link(self, posted: Posted) -> str | None:
        """Returns the message's address for people; None where the surface has not said what its addresses are."""
        ...

    async def in_channel(self, channel: str, person: str) -> bool:
        """Whether the person is a member of the channel, and so sees what is posted there."""
        ...
