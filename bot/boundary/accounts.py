"""Accounts of people: who is who, and what Slack says of an account now."""

from datetime import tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runbooks.kit.targets import Frozen


class Directory(Protocol):
    """Who is who, for surfaces that render names (bot.policy.people.People)."""

    def by_slack(self, account: str) -> str | None:
        """The key of the person with this Slack id."""
        ...

    def slack_id(self, key: str) -> str | None:
        """The Slack id of a listed person."""
        ...

    def name(self, key: str) -> str:
        """The name for people; the key itself where nobody is listed."""
        ...


class AccountState(Frozen):
    """What Slack says of an account, freshly."""

    ok: bool
    why: str = ""
    """deactivated, guest, external, bot; or that Slack did not answer."""
    known: bool = True
    """False: Slack did not answer."""
    zone: str | None = None
    """The person's time zone (IANA name)."""
    handle: str = ""

    @property
    def tz(self) -> tzinfo | None:
        """The zone itself; None where it is not said, or not known on this machine."""
        try:
            return ZoneInfo(self.zone) if self.zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None


class Identity(Protocol):
    """Asks Slack about accounts and groups (bot.surfaces.slack.identity)."""

    async def standing(self, account: str, *, fresh: bool) -> AccountState:
        """`fresh`: asked of Slack now, not remembered (for what changes something)."""
        ...

    async def group(self, group: str) -> frozenset[str]:
        """The Slack ids of a user group's members; empty where Slack does not answer (no role is added then)."""
        ...
