"""Where in Slack a person acted, and how they can be answered there."""

from dataclasses import dataclass

from bot.boundary.inbound import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a person acted, and so where they look for the answer."""

    account: str
    channel: str | None = None
    thread: str | None = None
    """Where a public answer goes: the thread that it was said in, or the one under the message that was clicked."""
    in_thread: bool = False
    """The person looks at that thread: a whisper goes there too."""
    direct: bool = False
    response_url: str | None = None
    trigger: str | None = None
    ephemeral: bool = False
    """The message that was clicked is one that only this person sees."""
    in_modal: bool = False
    in_home: bool = False
    """It was pressed in the app's Home, where no answer can stand."""
    view: str | None = None
    """The modal with an answer that it was pressed in: the next one stands there too."""
    replaces: bool = False
    """The answer takes the place of the message that has the button."""
    mentioned: bool = False
    """Slack tells of a mention only where the bot is a member."""

    @property
    def place(self) -> Location:
        """The location for the dispatcher; `membership` adds whether the bot is a member."""
        return Location(channel=self.channel, thread=self.thread if self.in_thread else None, direct=self.direct)
