"""What Slack says of accounts and groups: who may act through Slack at all, and who is on call today.

An account that is deactivated, a guest's, a bot's or another workspace's is refused whatever `omnicare.toml` says. Before anything
is changed Slack is asked anew; where it does not answer in time, that is said, and the dispatcher decides.
"""

import asyncio
import logging
import re
from collections.abc import Mapping

from bot.boundary.accounts import AccountState
from bot.boundary.outbound import SurfaceGone
from bot.surfaces.slack.json_path import at, list_at, object_at, text_at
from bot.surfaces.slack.transport.web_api import SlackApi, SlackError
from runbooks.kit.errors import RunbookError

_log = logging.getLogger(__name__)

_STANDING_KEPT = 300.0
_GROUP_KEPT = 300.0
_GROUP_ID = re.compile(r"S[A-Z0-9]{6,}")
_SLACKBOT = "USLACKBOT"


class SlackIdentity:
    """Implements `bot.boundary.inbound.Identity`. One for the life of the process."""

    def __init__(self, api: SlackApi, *, workspace: str | None = None, deadline: float = 1.5) -> None:
        self._api = api
        self._workspace = workspace
        self._deadline = deadline
        self._standings: dict[str, tuple[float, AccountState]] = {}
        self._groups: dict[str, tuple[float, frozenset[str]]] = {}
        self._asking: dict[str, asyncio.Task[frozenset[str]]] = {}

    async def standing(self, account: str, *, fresh: bool) -> AccountState:
        """Return what Slack says of the account; `fresh`: now."""
        now = asyncio.get_running_loop().time()
        at, known = self._standings.get(account, (-1e9, None))
        if known is not None and not fresh and now - at < _STANDING_KEPT:
            return known
        try:
            async with asyncio.timeout(self._deadline):
                said = await self._api.read("users.info", user=account)
                team = self._workspace or (await self._api.myself()).team
        except SurfaceGone:
            return AccountState(ok=False, why="Slack does not know this account")
        except (TimeoutError, RunbookError) as error:
            _log.warning("Slack did not say how an account stands: %s", type(error).__name__)
            return AccountState(ok=False, known=False, why="Slack did not confirm this account's status")
        standing = standing_of(object_at(said, "user"), team)
        self._standings[account] = (now, standing)
        return standing

    async def group(self, group: str) -> frozenset[str]:
        """Return the members of a user group, by its id or handle; nobody where Slack does not answer."""
        now = asyncio.get_running_loop().time()
        at, known = self._groups.get(group, (-1e9, frozenset()))
        if now - at < _GROUP_KEPT:
            return known
        task = self._asking.get(group)
        if task is None:
            task = self._asking[group] = asyncio.get_running_loop().create_task(self._members(group))
            task.add_done_callback(lambda _: self._asking.pop(group, None))
        try:
            async with asyncio.timeout(self._deadline):
                return await asyncio.shield(task)
        except (TimeoutError, RunbookError, SurfaceGone) as error:
            _log.warning("Slack did not say who is in a user group: %s", type(error).__name__)
            return frozenset()

    def group_changed(self, group: str) -> None:
        """Forget the remembered groups: one has other members now, or another handle."""
        self._groups.clear()
        _log.info("user group %s has changed", group[:20])

    async def _members(self, group: str) -> frozenset[str]:
        now = asyncio.get_running_loop().time()
        group_id = group if _GROUP_ID.fullmatch(group) else await self._by_handle(group.removeprefix("@"))
        members: frozenset[str] = frozenset()
        if group_id is not None:
            try:
                said = await self._api.read("usergroups.users.list", usergroup=group_id)
                members = frozenset(map(str, list_at(said, "users")))
            except SlackError as error:
                if error.error != "no_such_subteam":
                    raise
        self._groups[group] = (now, members)
        return members

    async def _by_handle(self, handle: str) -> str | None:
        said = await self._api.read("usergroups.list")
        return next((text_at(each, "id") for each in list_at(said, "usergroups") if at(each, "handle") == handle), None)


def standing_of(user: Mapping[str, object], team: str) -> AccountState:
    """Return the account's standing from the answer of `users.info`."""
    why = _refusal(user, team)
    return AccountState(ok=why is None, why=why or "", zone=text_at(user, "tz"), handle=text_at(user, "name") or "")


def _refusal(user: Mapping[str, object], team: str) -> str | None:
    if user.get("deleted"):
        return "the account is deactivated"
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == _SLACKBOT:
        return "it is a bot's account"
    if user.get("is_stranger") or not _of_team(user, team):
        return "the account belongs to another workspace (external)"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "it is a guest's account"
    return None


def _of_team(user: Mapping[str, object], team: str) -> bool:
    """Return whether the account belongs to the workspace; in an Enterprise organisation one account has several."""
    return user.get("team_id") == team or team in list_at(user, "enterprise_user", "teams")
