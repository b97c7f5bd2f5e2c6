"""Who may act through Slack at all, asked freshly, and who is in a user group."""

from dataclasses import replace

import pytest

from sandbox.slack.workspace import Group
from tests.bot.surfaces.slack.conftest import Slack


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"deleted": True}, "deactivated"),
        ({"is_bot": True}, "bot"),
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_stranger": True}, "external"),
        ({"team_id": "T0ELSEWHERE"}, "external"),
    ],
)
async def test_an_account_that_may_not_act_is_refused_with_a_reason(
    slack: Slack, change: dict[str, object], why: str
) -> None:
    person = slack.workspace.person("outsider")
    slack.workspace.add_person(replace(person, **change))  # type: ignore[arg-type] # fields by name
    standing = await slack.surface.identity.standing(person.id, fresh=True)
    assert not standing.ok
    assert why in standing.why


async def test_a_good_account_has_a_zone(slack: Slack) -> None:
    standing = await slack.surface.identity.standing("U2APPROVER", fresh=True)
    assert (standing.ok, standing.known, standing.zone, standing.handle) == (True, True, "Europe/Zurich", "approver")


async def test_fresh_means_asked_now(slack: Slack) -> None:
    identity = slack.surface.identity
    assert (await identity.standing("U2APPROVER", fresh=False)).ok
    slack.workspace.add_person(replace(slack.workspace.person("approver"), deleted=True))
    assert (await identity.standing("U2APPROVER", fresh=False)).ok
    assert not (await identity.standing("U2APPROVER", fresh=True)).ok
    assert not (await identity.standing("U2APPROVER", fresh=False)).ok


async def test_an_account_that_slack_does_not_know_is_refused(slack: Slack) -> None:
    standing = await slack.surface.identity.standing("U0NOBODY", fresh=True)
    assert (standing.ok, standing.known) == (False, True)


async def test_a_silent_slack_is_said_in_time(slack: Slack) -> None:
    slack.workspace.faults.fail_next("users.info", "hang")
    standing = await slack.surface.identity.standing("U2APPROVER", fresh=True)
    assert (standing.ok, standing.known) == (False, False)


async def test_a_group_is_remembered_until_slack_says_that_it_has_changed(slack: Slack) -> None:
    identity = slack.surface.identity
    assert await identity.group("S0APPROVERS") == {"U2APPROVER"}
    assert await identity.group("release-approvers") == {"U2APPROVER"}
    slack.workspace.add_group(Group("S0APPROVERS", "release-approvers", "x", frozenset({"U1REQUESTER"})))
    assert await identity.group("S0APPROVERS") == {"U2APPROVER"}
    identity.group_changed("S0APPROVERS")
    assert await identity.group("S0APPROVERS") == {"U1REQUESTER"}


async def test_a_group_that_is_not_there_has_nobody_in_it(slack: Slack) -> None:
    assert await slack.surface.identity.group("S0NOTTHERE") == frozenset()
    slack.workspace.faults.fail_next("usergroups.users.list", "server_error")
    assert await slack.surface.identity.group("S0APPROVERS") == frozenset()
    assert await slack.surface.identity.group("S0APPROVERS") == {"U2APPROVER"}
