"""Refusals are written, and a flood of them is one line in the audit log, not a full disk."""

from pathlib import Path

import pytest

from bot.audit import AuditLog, Entry, EventName
from bot.boundary.inbound import Filled, Inbound, Surface
from bot.dispatch.refusals import PER_MINUTE, Refusals, act_id
from commands.kit.audit_filter import AuditFilter
from commands.kit.context import Actor, Denied
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import default_redactor
from tests.support.thresholds import NOON

DENIED = Denied("You may not.", code=ReasonCode.NOT_PERMITTED)


def inbound(number: int, account: str = "U3OUTSIDER", **more: object) -> Inbound:
    made = {"text": "deploy v2.0.0"} | more
    return Inbound(key=f"command:{account}:{number}", surface=Surface.SLACK, account=account, **made)  # type: ignore[arg-type]


def actor(account: str = "U3OUTSIDER") -> Actor:
    return Actor(key=account, name=account, listed=False, account=account)


async def noted(tmp_path: Path, *, floods: dict[str, int], minutes: int = 1) -> list[Entry]:
    at = [NOON]
    async with AuditLog.open(tmp_path / "audit.sqlite", name="omnicare-0", redactor=default_redactor()) as audit_log:
        refusals = Refusals(audit_log, lambda: at[0])
        for minute in range(minutes):
            at[0] = NOON.replace(minute=minute)
            for account, count in floods.items():
                for number in range(count):
                    await refusals.note(actor(account), inbound(minute * 10_000 + number, account), DENIED)
        return list(reversed(await audit_log.search(AuditFilter(limit=1000))))


@pytest.mark.parametrize("count", [0, 1, PER_MINUTE, PER_MINUTE + 1, PER_MINUTE + 2, 500])
async def test_past_the_bound_they_are_counted_by_one_event(tmp_path: Path, count: int) -> None:
    names = [event.name for event in await noted(tmp_path, floods={"U3OUTSIDER": count})]
    flooded = [EventName.REFUSALS_SUPPRESSED] if count > PER_MINUTE else []
    assert names == [EventName.PERMISSION_DENIED] * min(count, PER_MINUTE) + flooded


async def test_the_next_minute_begins_anew(tmp_path: Path) -> None:
    names = [event.name for event in await noted(tmp_path, floods={"U3OUTSIDER": 100}, minutes=3)]
    assert names == ([EventName.PERMISSION_DENIED] * PER_MINUTE + [EventName.REFUSALS_SUPPRESSED]) * 3


async def test_who_floods_hides_nobody_elses_refusal(tmp_path: Path) -> None:
    events = await noted(tmp_path, floods={"U3OUTSIDER": 200, "U1REQUESTER": 3})
    assert [event.actor for event in events if event.actor == "U1REQUESTER"] == ["U1REQUESTER"] * 3


async def test_a_refusal_tells_who_what_and_why(tmp_path: Path) -> None:
    async with AuditLog.open(tmp_path / "audit.sqlite", name="omnicare-0", redactor=default_redactor()) as audit_log:
        filled = Filled(command="approve", values={"run": "production.deploy.0a1b2c3d4e5f6"}, word="the-cards-word")
        clicked = Inbound(key="k:the-cards-word", surface=Surface.SLACK, account="U3OUTSIDER", filled=filled)
        await Refusals(audit_log, lambda: NOON).note(actor(), clicked, DENIED)
        (event,) = await audit_log.search()
    assert (event.actor, event.reason_code, event.reason) == ("U3OUTSIDER", "not-permitted", "You may not.")
    assert event.details == {
        "account": "U3OUTSIDER",
        "typed": "approve",
        "run": "production.deploy.0a1b2c3d4e5f6",
    }
    assert "the-cards-word" not in event.id


async def test_what_was_typed_is_kept_short_and_redacted(tmp_path: Path) -> None:
    async with AuditLog.open(tmp_path / "audit.sqlite", name="omnicare-0", redactor=default_redactor()) as audit_log:
        text = f"deploy v2.0.0 --reason 'password=hunter2hunter2' {'x' * 5000}"
        await Refusals(audit_log, lambda: NOON).note(actor(), inbound(1, text=text), DENIED)
        (event,) = await audit_log.search()
    assert len(event.details["typed"]) <= 220
    assert "hunter2" not in str(event.details)


async def test_an_audit_log_that_can_not_be_written_refuses_all_the_same(tmp_path: Path) -> None:
    audit_log = AuditLog.open(tmp_path / "audit.sqlite", name="omnicare-0", redactor=default_redactor())
    await audit_log.close()
    await Refusals(audit_log, lambda: NOON).note(actor(), inbound(1), DENIED)


def test_an_act_has_one_id_however_long_its_key_is() -> None:
    long = Inbound(key="k" * 10_000, surface=Surface.SLACK, account="U1")
    odd = Inbound(key="\ud800", surface=Surface.SLACK, account="U1")
    assert len(act_id(long)) < 100
    assert act_id(long) != act_id(odd)
    assert act_id(long) == act_id(Inbound(key="k" * 10_000, surface=Surface.SLACK, account="U2"))
