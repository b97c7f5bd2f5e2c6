"""Who may do what, and why: deny by default, roles of the file, and of user groups only where an environment says so."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.boundary.inbound import Surface
from bot.config import Settings, validate
from bot.policy.people import People
from bot.policy.permissions import PERMISSIONS, Permissions
from commands.kit.context import Actor, Denied
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor
from tests.support.thresholds import (
    APPROVER,
    APPROVERS_PHONE,
    AUDITOR,
    KIOSK,
    OUTSIDER,
    REQUESTER,
    SECOND,
    STAGER,
    Accounts,
    configuration,
)

EVERYBODY = (REQUESTER, APPROVER, APPROVERS_PHONE, SECOND, STAGER, AUDITOR, KIOSK, OUTSIDER)


def house(change: Callable[[dict[str, Any]], None] = lambda _: None) -> tuple[Settings, People, Permissions, Accounts]:
    raw = configuration()
    change(raw)
    settings, accounts = validate(raw), Accounts()
    people = People(settings)
    return settings, people, Permissions(settings, people, accounts), accounts


def slack(people: People, account: str) -> Actor:
    return people.actor(Surface.SLACK, account)


async def allowed(permissions: Permissions, actor: Actor) -> set[tuple[str, str]]:
    places = ("production", "staging")
    return {(name, place) for name in PERMISSIONS for place in places if await permissions.may(actor, name, place)}


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_the_name_of_no_permission_is_taken_for_a_secret(permission: str) -> None:
    redact = Redactor()
    for said in (permission, f"Permission: {permission}.", f"You need `{permission}`, which on-call has."):
        assert redact(said) == said
    for said in (f"secret:{permission}", f"{permission}d7Jq!", f"api_{permission}"):
        assert "secret" not in permission or redact(said) != said


async def test_an_empty_policy_lets_nobody_in() -> None:
    def nothing(raw: dict[str, Any]) -> None:
        for environment in raw["environments"].values():
            environment["permissions"] = {}

    _, people, permissions, _ = house(nothing)
    for account in EVERYBODY:
        assert await allowed(permissions, slack(people, account)) == set()
        for permission in PERMISSIONS:
            for place in ("production", "staging", None):
                with pytest.raises(Denied):
                    await permissions.require(slack(people, account), permission, place, changes=False)
    assert await permissions.holders("rollout:approve", "production") == []


async def test_a_permission_that_lists_no_role_lets_nobody_in() -> None:
    _, people, permissions, _ = house(
        lambda raw: raw["environments"]["production"]["permissions"].update({"fleet:read": []})
    )
    assert not await permissions.may(slack(people, REQUESTER), "fleet:read", "production")
    assert await permissions.may(slack(people, REQUESTER), "fleet:read", "staging")


async def test_a_person_without_a_role_and_an_empty_people_table_may_do_nothing() -> None:
    _, people, permissions, _ = house(lambda raw: raw["people"]["requester"].update(roles=[]))
    assert await allowed(permissions, slack(people, REQUESTER)) == set()
    _, people, permissions, _ = house(lambda raw: raw.update(people={}))
    for account in EVERYBODY:
        with pytest.raises(Denied, match="not listed") as denied:
            await permissions.require(slack(people, account), None, None, changes=False)
        assert denied.value.code is ReasonCode.UNKNOWN_PERSON


async def test_a_permission_or_an_environment_that_does_not_exist_is_nobodys() -> None:
    _, people, permissions, _ = house()
    requester = slack(people, REQUESTER)
    assert not await permissions.may(requester, "rollout:everything", "production")
    assert not await permissions.may(requester, "rollout:write", "nowhere")
    assert await permissions.holders("rollout:write", "nowhere") == []
    assert permissions.roles_with("rollout:write", "nowhere") == ()


async def test_who_is_permitted_in_staging_is_nobody_in_production() -> None:
    _, people, permissions, _ = house()
    stager = slack(people, STAGER)
    # all that the configuration gives there: logs:raw is given to nobody
    assert await allowed(permissions, stager) == {
        (name, "staging") for name, known in PERMISSIONS.items() if not known.unusual
    }
    assert "stager" not in await permissions.holders("rollout:approve", "production")
    assert "stager" in await permissions.holders("rollout:approve", "staging")


async def test_several_accounts_of_one_human_are_one_person() -> None:
    _, people, permissions, _ = house()
    both = [slack(people, account) for account in (APPROVER, APPROVERS_PHONE)]
    assert {each.key for each in both} == {"approver"}
    assert await allowed(permissions, both[0]) == await allowed(permissions, both[1]) != set()


def with_groups(raw: dict[str, Any]) -> None:
    raw["environments"]["staging"]["groups"] = True
    for environment in raw["environments"].values():
        environment["permissions"]["run:cancel"] = ["on-call"]


async def test_a_user_group_adds_a_role_to_listed_people_only_where_the_environment_says_so() -> None:
    _, people, permissions, accounts = house(with_groups)
    accounts.groups["S0ONCALL"] = frozenset({REQUESTER, OUTSIDER, "U9STRANGER"})
    requester = slack(people, REQUESTER)
    assert await permissions.may(requester, "run:cancel", "staging")
    assert not await permissions.may(requester, "run:cancel", "production")
    assert not await permissions.may(slack(people, APPROVER), "run:cancel", "staging")
    for account in (OUTSIDER, "U9STRANGER"):
        assert await allowed(permissions, slack(people, account)) == set()
    assert await permissions.holders("run:cancel", "staging") == ["requester"]
    grants = [grant for grant in await permissions.grants(requester) if grant.permission == "run:cancel"]
    assert [(each.environment, each.role, each.through) for each in grants] == [
        ("staging", "on-call", "user group S0ONCALL")
    ]


async def test_a_group_says_who_is_on_shift_only_where_it_is_asked_to() -> None:
    def shifts(raw: dict[str, Any]) -> None:
        with_groups(raw)
        raw["roles"]["on-call"]["shift"] = True

    _, _, permissions, accounts = house(shifts)
    accounts.groups["S0ONCALL"] = frozenset({APPROVERS_PHONE, "U9STRANGER"})
    both = ("requester", "approver")
    assert await permissions.on_shift(both, "staging") == {"approver"}
    assert not await permissions.on_shift(both, "production")
    accounts.silent = True
    assert not await permissions.on_shift(both, "staging")
    _, _, without, others = house(with_groups)
    others.groups["S0ONCALL"] = frozenset({APPROVERS_PHONE})
    assert not await without.on_shift(both, "staging")


async def test_a_group_that_slack_does_not_tell_adds_nothing_and_takes_nothing() -> None:
    _, people, permissions, accounts = house(with_groups)
    requester = slack(people, REQUESTER)
    before = await allowed(permissions, requester)
    accounts.groups["S0ONCALL"] = frozenset({REQUESTER})
    assert await allowed(permissions, requester) == before | {("run:cancel", "staging")}
    accounts.silent = True
    assert await allowed(permissions, requester) == before


async def test_a_group_gives_nothing_where_the_bot_has_no_slack() -> None:
    settings, people, _, _ = house(with_groups)
    permissions = Permissions(settings, people, None)
    assert not await permissions.may(slack(people, REQUESTER), "run:cancel", "staging")


async def test_a_shared_account_looks_and_does_nothing_else() -> None:
    _, people, permissions, _ = house()
    kiosk = slack(people, KIOSK)
    await permissions.require(kiosk, "fleet:read", "production", changes=False)
    with pytest.raises(Denied, match="shared, so it may look") as denied:
        await permissions.require(kiosk, "rollout:write", "production", changes=True)
    assert denied.value.code is ReasonCode.SHARED_ACCOUNT
    assert "kiosk" not in await permissions.holders("rollout:approve", "production")


async def test_a_shared_account_stays_shared_when_it_is_chosen_in_the_sandbox() -> None:
    _, people, _, _ = house()
    assert people.actor(Surface.TERMINAL, "uid:0", named="kiosk").shared


async def test_root_looks_everywhere_and_changes_nothing() -> None:
    _, people, permissions, _ = house()
    root = people.actor(Surface.TERMINAL, "uid:0")
    looking = {"fleet:read", "logs:read", "audit:read", "sync:read", "database:read"}
    assert await allowed(permissions, root) == {
        (name, place) for name in looking for place in ("production", "staging")
    }
    await permissions.require(root, "audit:read", None, changes=False)
    for permission in (*PERMISSIONS, None):
        with pytest.raises(Denied) as denied:
            await permissions.require(root, permission, "production", changes=True)
        assert denied.value.code is ReasonCode.SHARED_ACCOUNT


async def test_an_account_that_is_only_called_like_roots_is_nobody() -> None:
    _, people, permissions, _ = house()
    for actor in (slack(people, "uid:0"), people.actor(Surface.TERMINAL, "uid:0", named="nobody")):
        assert not actor.listed
    with pytest.raises(Denied, match="not listed"):
        await permissions.require(slack(people, "uid:0"), "audit:read", None, changes=False)
    assert await allowed(permissions, slack(people, "uid:0")) == set()


async def test_who_is_chosen_in_a_sandbox_by_root_has_no_more_than_that_person() -> None:
    _, people, permissions, _ = house()
    auditor = people.actor(Surface.TERMINAL, "uid:0", named="auditor")
    with pytest.raises(Denied):
        await permissions.require(auditor, "logs:read", "production", changes=False)


async def test_nobody_is_named_as_an_approver_who_has_no_account_to_approve_with() -> None:
    def ghost(raw: dict[str, Any]) -> None:
        raw["people"]["ghost"] = {"name": "Ghost", "roles": ["approves"]}

    _, _, permissions, _ = house(ghost)
    assert list(await permissions.holders("rollout:approve", "production")) == ["approver", "second", "guest"]


async def test_a_refusal_names_the_permission_the_place_and_who_can() -> None:
    _, people, permissions, _ = house()
    with pytest.raises(Denied) as denied:
        await permissions.require(slack(people, REQUESTER), "rollout:approve", "production", changes=True)
    assert denied.value.code is ReasonCode.NOT_PERMITTED
    assert denied.value.message == (
        "You may not approve or deny other people's requests in production (permission rollout:approve). "
        "Approver, Second and Guest can."
    )


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("place", ["production", None])
async def test_a_refusal_is_one_sentence_about_one_place(permission: str, place: str | None) -> None:
    def nothing(raw: dict[str, Any]) -> None:
        for environment in raw["environments"].values():
            environment["permissions"].clear()

    _, people, permissions, _ = house(nothing)
    with pytest.raises(Denied) as denied:
        await permissions.require(slack(people, REQUESTER), permission, place, changes=True)
    act = denied.value.message.removeprefix("You may not ").split(" (permission")[0]
    assert (place or "any environment") in act
    assert act != PERMISSIONS[permission].about
    assert "do this" not in act
    assert " an environment" not in act


async def test_where_nobody_can_the_refusal_says_so() -> None:
    _, people, permissions, _ = house(lambda raw: raw["environments"]["production"]["permissions"].pop("lock:write"))
    with pytest.raises(Denied, match="Nobody can: no role there has it"):
        await permissions.require(slack(people, REQUESTER), "lock:write", "production", changes=True)


async def test_a_refusal_for_all_environments_names_who_can_in_any() -> None:
    _, people, permissions, _ = house()
    with pytest.raises(Denied) as refused:
        await permissions.require(slack(people, REQUESTER), "audit:read", None, changes=False)
    assert "Nobody" not in refused.value.message
    assert refused.value.message.endswith(" can.")


async def test_many_who_can_are_counted_not_listed() -> None:
    def many(raw: dict[str, Any]) -> None:
        raw["people"] |= {
            f"approver-{n}": {"name": f"Approver {n}", "slack": f"U9{n}", "roles": ["approves"]} for n in range(9)
        }

    _, people, permissions, _ = house(many)
    with pytest.raises(Denied) as denied:
        await permissions.require(slack(people, REQUESTER), "rollout:approve", "production", changes=True)
    assert denied.value.message.endswith("Approver, Second, Guest and 9 more can.")


async def test_a_signer_is_somebody_who_has_a_role_for_it_now() -> None:
    def both(raw: dict[str, Any]) -> None:
        raw["environments"]["production"]["permissions"]["gate:sign"] = ["audits", "asks"]

    _, _, permissions, _ = house(both)
    assert set(await permissions.signing_roles("requester", "production")) == {"asks"}
    for key, place in (
        ("approver", "production"),
        ("kiosk", "production"),
        ("gone", "production"),
        ("requester", "staging"),
    ):
        assert not await permissions.signing_roles(key, place)
