"""Actor, permission, environment → allowed, or denied with a reason code. Deny by default.

Roles come from the person's entry in `omnicare.toml`, and where the environment says so from Slack user groups, which add roles
to listed people only. An empty policy lets nobody in.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from bot.boundary.accounts import Identity
from bot.boundary.inbound import Surface
from bot.config import Settings
from bot.policy.people import People
from commands.kit.context import Actor, Denied, Grant
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import listed


class Permission(NamedTuple):
    """A permission that the configuration may give."""

    about: str
    """What it allows."""
    act: str
    """The same after "You may not": a refusal is one sentence about one place."""
    looks: bool = False
    """Root has it by itself: who is root on the bot's machine can read its files anyway."""
    unusual: bool = False
    """Given to nobody where nobody thought of it, so that nobody has it is no finding."""


PERMISSIONS: dict[str, Permission] = {
    "fleet:read": Permission("look: status, pods, runs, plans (dry runs)", "look at what runs in {place}", looks=True),
    "logs:read": Permission("read the services' logs (redacted)", "read the logs of {place}", looks=True),
    "logs:raw": Permission("read the services' unredacted logs", "read the unredacted logs of {place}", unusual=True),
    "sync:read": Permission(
        "look at the offline sync queue: counts, ages and reasons, never patient data",
        "look at the offline sync queue of {place}",
        looks=True,
    ),
    "sync:write": Permission(
        "request a retry or clearing of failed sync items",
        "request a retry or clearing of failed sync items of {place}",
    ),
    "database:read": Permission(
        "look at the database: slow statements, their plans, whether it answers; never table rows",
        "look at the database of {place}",
        looks=True,
    ),
    "database:restore": Permission(
        "request a restore drill, a restore to a new instance, or undoing a migration",
        "restore snapshots of {place}'s database",
    ),
    "database:kill": Permission(
        "request that a database session is ended (`db kill`)", "end sessions of {place}'s database", unusual=True
    ),
    "script:run": Permission("request that a configured script is run (`run`)", "run scripts in {place}", unusual=True),
    "data:approve": Permission(
        "approve or deny requests that delete data", "approve or deny requests that delete data of {place}"
    ),
    "rollout:write": Permission("request a deploy, or a rollback to a named release", "request changes to {place}"),
    "secret:write": Permission(
        "request new values for configured secrets", "request new values for secrets of {place}", unusual=True
    ),
    "rollout:approve": Permission(
        "approve or deny other people's requests", "approve or deny other people's requests in {place}"
    ),
    "rollout:back": Permission(
        "roll back to the last known good release, and confirm a rollback",
        "roll {place} back to the last known good release",
    ),
    "rollout:go": Permission(
        "say go or no-go to somebody else's scheduled deploy", "say go or no-go to somebody else's deploy to {place}"
    ),
    "run:cancel": Permission("stop somebody else's run", "stop somebody else's run in {place}"),
    "gate:sign": Permission("sign off manual checks for a release", "sign off manual checks for {place}", unusual=True),
    "gate:override": Permission(
        "override gates that have not passed (break-glass)",
        "override the gates of a deploy to {place}",
        unusual=True,
    ),
    "lock:write": Permission("lock and unlock an environment", "lock or unlock {place}"),
    "audit:read": Permission("search the audit log", "search the audit log of {place}", looks=True),
}


class Permissions:
    """Answers who may do what, and why."""

    def __init__(self, settings: Settings, people: People, identity: Identity | None) -> None:
        self._settings = settings
        self._people = people
        self._identity = identity

    def name(self, key: str) -> str:
        """A person's name for people."""
        return self._people.name(key)

    async def _roles(self, key: str, environment: str, *, groups: bool = True) -> dict[str, str]:
        """The roles that a person has there, and through what."""
        person = self._people.get(key)
        if person is None:
            return {}
        found = dict.fromkeys(person.roles, "omnicare.toml")
        if not (groups and self._settings.environments[environment].groups and self._identity and person.slack):
            return found
        for role, settings in self._settings.roles.items():
            if settings.group and role not in found and person.slack in await self._identity.group(settings.group):
                found[role] = f"user group {settings.group}"
        return found

    async def signing_roles(self, key: str, environment: str) -> Collection[str]:
        """The person's roles that give `gate:sign` there; a person who is not listed or whose account is shared has none."""
        if not self._could_act(key):
            return ()
        return set(self.roles_with("gate:sign", environment)) & set(await self._roles(key, environment))

    async def has_role(self, key: str, role: str, environment: str) -> bool:
        """Whether the person has that role there, and may act at all."""
        return self._could_act(key) and role in await self._roles(key, environment)

    async def any_has_role(self, keys: Collection[str], role: str, environment: str) -> bool:
        """Whether one of these people has that role there."""
        return any([await self.has_role(key, role, environment) for key in keys])

    async def grants(self, actor: Actor) -> Sequence[Grant]:
        """Everything that this person may do."""
        if not actor.listed:
            return ()
        found: list[Grant] = []
        for name, environment in self._settings.environments.items():
            roles = await self._roles(actor.key, name)
            for permission, allowed in environment.permissions.items():
                role = next((role for role in allowed if role in roles), None)
                if role is not None:
                    found.append(Grant(permission=permission, environment=name, role=role, through=roles[role]))
        return found

    async def may(self, actor: Actor, permission: str | None, environment: str | None) -> bool:
        """Whether the person has the permission there (`environment` None: anywhere)."""
        if _is_root(actor):
            return permission in PERMISSIONS and PERMISSIONS[permission].looks
        if not actor.listed:
            return False
        if permission is None:
            return True
        places = [environment] if environment is not None else list(self._settings.environments)
        return any([await self._may_there(actor.key, permission, place) for place in places])

    async def _may_there(self, key: str, permission: str, place: str) -> bool:
        settings = self._settings.environments.get(place)
        allowed = settings.permissions.get(permission, ()) if settings else ()
        if not allowed:
            return False
        person = self._people.get(key)
        if person is not None and set(person.roles) & set(allowed):
            return True
        return bool(set(await self._roles(key, place)) & set(allowed))

    async def holders(self, permission: str, environment: str) -> Sequence[str]:
        """The keys of the people who have a permission there, in the file's order; shared accounts never count."""
        return [
            key
            for key in self._people.keys()  # noqa: SIM118 - a method of ours, not a dictionary's
            if self._could_act(key) and await self._may_there(key, permission, environment)
        ]

    async def on_shift(self, keys: Collection[str], environment: str) -> Collection[str]:
        """Who of them is on shift there now, by the groups of roles that tell so; nobody where nothing tells, or Slack does not."""
        if not self._settings.environments[environment].groups or self._identity is None:
            return ()
        groups = [role.group for role in self._settings.roles.values() if role.shift and role.group]
        members = frozenset().union(*[await self._identity.group(group) for group in groups])
        return {key for key in keys if (person := self._people.get(key)) and members & {person.slack, *person.others}}

    def _could_act(self, key: str) -> bool:
        """An account that is shared decides nothing, and nobody acts without an account."""
        person = self._people.get(key)
        return person is not None and not person.shared and bool(person.slack or person.user or person.others)

    def roles_with(self, permission: str, environment: str) -> Sequence[str]:
        """The roles that give a permission there."""
        found = self._settings.environments.get(environment)
        return found.permissions.get(permission, ()) if found else ()

    async def require(self, actor: Actor, permission: str | None, environment: str | None, *, changes: bool) -> None:
        """Raises `Denied` with a sentence that names the way forward."""
        if _is_root(actor) and not changes:
            return
        if changes and actor.shared:
            raise Denied(
                "This account is shared, so it may look but not change or approve anything. Use your own account.",
                code=ReasonCode.SHARED_ACCOUNT,
            )
        if not actor.listed:
            raise _stranger(actor)
        if await self.may(actor, permission, environment):
            return
        assert permission is not None
        raise Denied(await self._refusal(permission, environment), code=ReasonCode.NOT_PERMITTED)

    async def _refusal(self, permission: str, environment: str | None) -> str:
        known = PERMISSIONS.get(permission)
        what = (known.act if known is not None else "do this in {place}").format(place=environment or "any environment")
        places = [environment] if environment else list(self._settings.environments)
        holding = [key for place in places for key in await self.holders(permission, place)]
        holders = [self.name(key) for key in dict.fromkeys(holding)]
        ask = f" {_few(holders)} can." if holders else " Nobody can: no role there has it."
        return f"You may not {what} (permission {permission}).{ask}"


def _is_root(actor: Actor) -> bool:
    """By what the kernel says of a terminal; in Slack no account is called so, and if one were it would be nobody."""
    return actor.surface == Surface.TERMINAL and actor.account == "uid:0" and not actor.listed


def _stranger(actor: Actor) -> Denied:
    return Denied(
        f"Your account ({actor.account or actor.key}) is not listed, so you may not do anything here yet. "
        "Ask the maintainers of `omnicare.toml` to add you.",
        code=ReasonCode.UNKNOWN_PERSON,
    )


_NAMES_SHOWN = 4


def _few(names: Sequence[str]) -> str:
    shown = list(names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        shown[-1] = f"{len(names) - _NAMES_SHOWN + 1} more"
    return listed(shown)
