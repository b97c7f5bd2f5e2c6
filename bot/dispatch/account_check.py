"""What Slack says of an account: nothing goes through Slack for a guest, a bot or somebody who left."""

from datetime import tzinfo

from bot.boundary.accounts import Identity
from bot.boundary.inbound import Inbound, Surface
from commands.kit.context import Actor, Denied
from runbooks.kit.reasons import ReasonCode


class AccountCheck:
    """One per process; `identity` is None where there is no Slack."""

    def __init__(self, identity: Identity | None) -> None:
        self._identity = identity
        self._zones: dict[str, tzinfo | None] = {}

    async def zone(self, inbound: Inbound, actor: Actor, *, fresh: bool) -> tzinfo | None:
        """Return the person's time zone where it is known. `fresh`: Slack is asked now. Raises `Denied` for an account that may not act.

        Slack is not asked about strangers, who may do nothing anyway: a flood of theirs would use up what Slack answers.
        """
        if inbound.surface is not Surface.SLACK or self._identity is None or not actor.listed:
            return None
        standing = await self._identity.standing(inbound.account, fresh=fresh)
        if standing.ok:
            self._zones[inbound.account] = standing.tz
        elif standing.known:
            raise Denied(f"Your account may not act here: {standing.why}.", code=ReasonCode.ACCOUNT_REFUSED)
        elif fresh:
            raise Denied(
                "Slack did not confirm your account's status, so nothing was started. Try again, or use a terminal.",
                code=ReasonCode.ACCOUNT_UNCHECKED,
            )
        return self._zones.get(inbound.account)
