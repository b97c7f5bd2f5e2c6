"""An account is a listed person, or a stranger; a name decides nothing."""

import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.boundary.inbound import Surface
from bot.config import validate
from bot.policy.people import People
from tests.support.thresholds import APPROVER, APPROVERS_PHONE, DAEMON, OUTSIDER, REQUESTER, configuration

PEOPLE = People(validate(configuration()))
LISTED = {person.slack for person in validate(configuration()).people.values()} | {APPROVERS_PHONE}


def test_a_slack_id_is_the_listed_person() -> None:
    actor = PEOPLE.actor(Surface.SLACK, REQUESTER)
    assert (actor.key, actor.name, actor.listed, actor.account) == ("requester", "Requester", True, REQUESTER)
    assert PEOPLE.slack_id("requester") == REQUESTER


def test_a_further_account_is_the_same_person() -> None:
    assert PEOPLE.actor(Surface.SLACK, APPROVERS_PHONE).key == "approver"
    assert PEOPLE.slack_id("approver") == APPROVER


def test_an_operating_system_user_is_the_listed_person() -> None:
    actor = PEOPLE.actor(Surface.TERMINAL, f"uid:{pwd.getpwnam(DAEMON).pw_uid}")
    assert (actor.key, actor.listed, actor.shared) == ("requester", True, False)


def test_root_is_nobody_in_particular_even_where_somebody_is_called_so() -> None:
    actor = PEOPLE.actor(Surface.TERMINAL, "uid:0")
    assert (actor.key, actor.name, actor.listed, actor.shared) == ("uid:0", "root", False, True)


def test_a_user_that_the_machine_does_not_know_is_a_stranger() -> None:
    unknown = max(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid < 2**31 - 2) + 1
    if unknown == os.getuid():
        unknown += 1
    assert PEOPLE.actor(Surface.TERMINAL, f"uid:{unknown}").listed is False


def test_an_unlisted_account_is_a_stranger_under_its_raw_id() -> None:
    actor = PEOPLE.actor(Surface.SLACK, OUTSIDER)
    assert (actor.key, actor.name, actor.listed) == (OUTSIDER, OUTSIDER, False)
    assert PEOPLE.slack_id(OUTSIDER) is None


@given(st.text())
def test_only_the_exact_id_is_somebody(account: str) -> None:
    assert PEOPLE.actor(Surface.SLACK, account).listed == (account in LISTED)


@pytest.mark.parametrize(
    "account",
    [
        "u1requester",
        "U1REQUESTER ",
        " U1REQUESTER",
        "U1REQUESTER\n",
        "U1REQUΕSTER",  # a Greek capital epsilon  # noqa: RUF001
        "Ｕ１ＲＥＱＵＥＳＴＥＲ",  # full width  # noqa: RUF001
        "U1REQUESTER\u200b",
        "<@U1REQUESTER>",
        "requester",
        "Requester",
        "",
    ],
)
def test_what_only_looks_like_somebody_is_a_stranger(account: str) -> None:
    actor = PEOPLE.actor(Surface.SLACK, account)
    assert not actor.listed
    assert actor.key not in PEOPLE.keys()  # noqa: SIM118 - a method of ours


def test_a_user_name_that_looks_like_another_is_another() -> None:
    raw = configuration()
    raw["people"]["requester"]["user"] = DAEMON.replace("a", "а")  # a Cyrillic letter  # noqa: RUF001
    assert People(validate(raw)).actor(Surface.TERMINAL, "uid:1").listed is False
