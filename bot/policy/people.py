"""Who is who: an account (Slack id, operating-system user) → the listed person behind it.

People are listed in `omnicare.toml`. An account that nobody is listed for is a stranger: known by its raw id, permitted nothing.
"""

import pwd

from bot.boundary.inbound import Surface
from bot.config import Settings
from bot.config.sections import PersonSettings
from commands.kit.context import Actor


class People:
    """The listed people, by key and by account."""

    def __init__(self, settings: Settings) -> None:
        self._people = settings.people
        self._by_slack = {
            account: key
            for key, person in settings.people.items()
            for account in (person.slack, *person.others)
            if account
        }
        self._by_user = {person.user: key for key, person in settings.people.items() if person.user}

    def get(self, key: str) -> PersonSettings | None:
        """The person of that key."""
        return self._people.get(key)

    def keys(self) -> tuple[str, ...]:
        """Everybody who is listed."""
        return tuple(self._people)

    def by_slack(self, account: str) -> str | None:
        """The key of the person with this Slack id."""
        return self._by_slack.get(account)

    def by_user(self, uid: int) -> str | None:
        """The key of the person with this operating-system user id; None for root, whoever that is."""
        if uid == 0:
            return None
        try:
            return self._by_user.get(pwd.getpwuid(uid).pw_name)
        except KeyError:
            return None

    def slack_id(self, key: str) -> str | None:
        """The Slack id of a listed person."""
        person = self._people.get(key)
        return person.slack if person else None

    def name(self, key: str) -> str:
        """The name for people; the key itself where nobody is listed."""
        person = self._people.get(key)
        return person.name if person else key

    def actor(self, surface: Surface, account: str, named: str | None = None) -> Actor:
        """Who acts. `named` is the sandbox's `--as`, which its caller has checked."""
        if named is not None:
            return self._listed(named, surface, account)
        if surface is Surface.SLACK:
            key = self._by_slack.get(account)
            return self._listed(key, surface, account) if key else self._stranger(surface, account)
        uid = int(account.removeprefix("uid:"))
        key = self.by_user(uid)
        if key is None:
            name = "root" if uid == 0 else account
            return Actor(key=account, name=name, listed=False, surface=surface, account=account, shared=uid == 0)
        return self._listed(key, surface, account)

    def _listed(self, key: str, surface: Surface, account: str) -> Actor:
        person = self._people.get(key)
        if person is None:
            return self._stranger(surface, key)
        return Actor(
            key=key,
            name=person.name,
            surface=surface,
            account=account,
            shared=person.shared,
        )

    def _stranger(self, surface: Surface, account: str) -> Actor:
        # a raw account never reads like a listed person's key, in the audit log or anywhere
        key = f"unlisted:{account}" if account in self._people else account
        return Actor(key=key, name=account, listed=False, surface=surface, account=account)
