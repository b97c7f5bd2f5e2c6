"""Attacks by people who may do something: what they type is kept nowhere as it is, and nobody keeps the others busy."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.audit import EventName, verify
from bot.boundary.inbound import Exit
from bot.runs.pending import AT_ONCE
from bot.surfaces.slack.inbound import payloads
from bot.surfaces.slack.origin import Origin
from runbooks.kit.reasons import ReasonCode
from tests.support.thresholds import APPROVER, DEPLOYS, REQUESTER, Threshold, code, said, threshold


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made
        assert verify(made.audit_log.path) == []


async def test_a_patient_in_a_reason_is_kept_nowhere(here: Threshold) -> None:
    """The engine has the request as it is, and a lock's reason stands in a ConfigMap."""
    said = "for patient Mirabel Quarrington MRN 12345678"
    await here.type(REQUESTER, f'deploy v2.0.0 --reason "{said}" --ticket "MRN 12345678"')
    values = {"version": "v2.1.0", "env": "production", "reason": said}
    await here.dispatcher.take(payloads.filled("form:1", Origin(account=REQUESTER, channel=DEPLOYS), "deploy", values))
    request = here.engine.started[0]
    here.wait(request)
    await here.click(APPROVER, "deny", request.id, "word", reason=said)
    assert len(here.engine.started) == 2
    assert len(here.engine.sent) == 1
    kept = [each.model_dump_json() for each in here.engine.started] + [json.dumps(here.engine.sent)]
    assert not [each for each in kept if "Quarrington" in each or "12345678" in each]
    assert request.reason == "for patient [name 1] MRN [mrn 1]"
    assert "[name 1]" in request.text


async def test_nobody_has_requests_open_without_end_and_going_back_is_none_of_them(here: Threshold) -> None:
    for number in range(AT_ONCE):
        assert (await here.type(REQUESTER, f"deploy v2.0.{number}")).exit is Exit.OK
    refused = await here.type(REQUESTER, "deploy v3.0.0")
    assert (refused.exit, code(refused)) == (Exit.DENIED, ReasonCode.NOT_PERMITTED)
    assert "Withdraw some first" in said(refused)
    again = await here.type(REQUESTER, "deploy v2.0.0")
    assert code(again) is ReasonCode.ALREADY_DECIDED, "the same one is pointed to"
    assert (await here.type(REQUESTER, "deploy v3.0.0 --env staging")).exit is Exit.OK
    assert (await here.type(REQUESTER, "rollback")).exit is Exit.OK
    for each in (here.engine.started[0], here.engine.started[-1]):
        here.pending.end(each)
    assert (await here.type(REQUESTER, "deploy v3.0.0")).exit is Exit.OK


async def test_who_has_stopped_a_run_may_still_say_that_it_is_to_go_back(here: Threshold) -> None:
    request = await here.asking()
    here.run(request)
    await here.click(REQUESTER, "cancel", request.id, "word", then="stay")
    await here.click(REQUESTER, "cancel", request.id, "word", then="stay")
    await here.click(REQUESTER, "cancel", request.id, "word", then="rollback")
    assert [message["then"] for _, message in here.engine.sent] == ["stay", "rollback"]
    assert len(await here.events(EventName.RUN_CANCEL_ASKED)) == 2
