"""The dispatcher: the audit log before the engine, one act once, and a sentence for everybody who is turned away."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.audit import EventName, search_audit_logs
from bot.boundary.inbound import Answer, Exit, Filled, Form, Location, Surface
from commands.kit.card import OpenForm, Table
from commands.kit.spec import Kind
from runbooks.kit.errors import TemporaryError
from runbooks.kit.reasons import ReasonCode
from tests.support.thresholds import (
    APPROVER,
    AUDITOR,
    DEPLOYS,
    GENERAL,
    GUEST,
    OUTSIDER,
    REQUESTER,
    STAGER,
    TEST_BED,
    Threshold,
    code,
    said,
    threshold,
)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    async with threshold(tmp_path) as made:
        yield made


# the audit log, then the engine


async def test_a_request_is_in_the_audit_log_before_the_engine_has_it(here: Threshold) -> None:
    seen: list[list[str]] = []
    here.engine.looks = lambda: seen.append([str(event.name) for event in search_audit_logs([here.audit_log.path])])
    answer = await here.type(REQUESTER, 'deploy v2.0.0 --reason "fixes sync" --ticket OPS-1')
    assert (answer.exit, answer.card) == (Exit.OK, None)
    assert seen == [["run:requested"]]
    (request,) = here.engine.started
    assert request.id == answer.run
    (event,) = await here.events()
    assert (event.run, event.actor, event.environment, event.command) == (
        request.id,
        "requester",
        "production",
        "deploy",
    )
    assert (event.reason, event.ticket) == ("fixes sync", "OPS-1")
    assert event.details["text"] == 'deploy v2.0.0 --env production --reason "fixes sync" --ticket OPS-1'


async def test_where_the_audit_log_can_not_be_written_nothing_starts_and_the_way_forward_is_said(
    here: Threshold,
) -> None:
    request = await here.asking()
    await here.audit_log.close()
    for text, who in (
        ("deploy v2.1.0", REQUESTER),
        (f"approve {request.id}", APPROVER),
        ("lock --reason x", REQUESTER),
    ):
        answer = await here.type(who, text)
        assert (answer.exit, code(answer)) == (Exit.FAILED, ReasonCode.BOOK_UNAVAILABLE)
        assert "nothing was started. Run `doctor` to find out why" in said(answer)
    assert here.engine.started == [request]
    assert here.engine.sent == []


async def test_what_the_audit_log_refused_can_be_asked_again_once_it_is_back(tmp_path: Path) -> None:
    async with threshold(tmp_path) as here:
        await here.audit_log.close()
        assert (await here.type(REQUESTER, "deploy v2.0.0")).exit is Exit.FAILED
    async with threshold(tmp_path) as again:
        again.pending._open = here.pending._open
        assert (await again.type(REQUESTER, "deploy v2.0.0")).exit is Exit.OK
        assert len(again.engine.started) == 1


async def test_looking_does_not_need_the_audit_log(here: Threshold) -> None:
    await here.audit_log.close()
    answer = await here.type(REQUESTER, "whoami")
    assert (answer.exit, said(answer)) == (Exit.OK, "You are Requester")


async def test_what_a_role_grants_is_one_row_for_all_environments_that_are_alike(here: Threshold) -> None:
    card = (await here.type(REQUESTER, "whoami")).card
    assert card is not None
    (table,) = (each for each in card.body if isinstance(each, Table))
    (row,) = table.rows
    where, role, through, permissions = ("".join(span.text for span in cell.spans) for cell in row)
    assert (where, role, through) == ("production and staging", "asks", "omnicare.toml")
    granted = sorted((grant["environment"], grant["permission"]) for grant in card.data["grants"])
    assert granted == sorted((each, name) for each in ("production", "staging") for name in permissions.split())


async def test_a_decision_is_written_before_it_is_handed_over(here: Threshold) -> None:
    request = await here.asking()
    answer = await here.click(APPROVER, "approve", request.id, "word")
    assert (answer.exit, answer.card) == (Exit.OK, None)
    assert [name for name in await here.names() if name != "run:requested"] == ["command:accepted", "approval:given"]
    ((run, message),) = here.engine.sent
    assert (run, message["act"], message["actor"]["key"], message["word"]) == (
        request.id,
        "approve",
        "approver",
        "word",
    )


async def test_a_denial_is_not_written_as_a_yes(here: Threshold) -> None:
    request = await here.asking()
    await here.click(APPROVER, "deny", request.id, "word", reason="clinic go-live")
    assert await here.names() == ["run:requested", "command:accepted"]
    (accepted,) = await here.events(EventName.COMMAND_ACCEPTED)
    assert (accepted.command, accepted.reason, accepted.run) == ("deny", "clinic go-live", request.id)
    assert [message["act"] for _, message in here.engine.sent] == ["deny"]


async def test_a_decision_that_was_typed_by_its_short_id_stands_in_the_audit_log_under_the_run(here: Threshold) -> None:
    request = await here.asking()
    short = request.id.split(".")[2][:4].upper()
    answer = await here.type(APPROVER, f"approve {short}")
    assert said(answer).startswith("Approved: Deploy v2.0.0 to production")
    (accepted,) = await here.events(EventName.COMMAND_ACCEPTED)
    assert (accepted.run, accepted.environment) == (request.id, "production")


async def test_the_word_of_a_card_never_gets_into_the_audit_log(here: Threshold) -> None:
    request = await here.asking()
    here.wait(request, word="VeryRandomWord01")
    await here.click(OUTSIDER, "approve", request.id, "VeryRandomWord01")
    await here.click(APPROVER, "approve", request.id, "VeryRandomWord01")
    assert len(here.engine.sent) == 1
    assert b"VeryRandomWord01" not in here.audit_log.path.read_bytes()


# one act once


async def test_the_same_act_delivered_twice_is_one_request(here: Threshold) -> None:
    deliveries = [here.inbound(REQUESTER, "deploy v2.0.0", key="command:1.2.3") for _ in range(2)]
    answers = await asyncio.gather(*map(here.dispatcher.take, deliveries))
    assert len({answer.run for answer in answers}) == 1
    assert len(here.engine.started) == 1
    assert await here.names() == ["run:requested"]


async def test_the_same_request_again_is_pointed_to_while_it_is_open(here: Threshold) -> None:
    first = await here.type(REQUESTER, "deploy v2.0.0")
    again = await here.type(REQUESTER, "deploy 2.0.0 --env=production")
    assert again.run == first.run
    assert "Already requested: " in said(again)
    assert len(here.engine.started) == 1


async def test_pressing_many_times_at_the_same_moment_is_one_request(here: Threshold) -> None:
    answers = await asyncio.gather(*(here.type(REQUESTER, "deploy v2.0.0") for _ in range(20)))
    assert len(here.engine.started) == 1
    assert {answer.run for answer in answers} == {here.engine.started[0].id}
    assert await here.names() == ["run:requested"]


@pytest.mark.parametrize(
    "other", ["deploy v2.0.1", "deploy v2.0.0 --env staging", 'deploy v2.0.0 --reason "another"', "rollback"]
)
async def test_another_request_is_another(here: Threshold, other: str) -> None:
    await here.type(REQUESTER, "deploy v2.0.0")
    assert (await here.type(REQUESTER, other)).exit is Exit.OK
    assert len(here.engine.started) == 2


async def test_somebody_else_may_ask_for_the_same(here: Threshold) -> None:
    await here.type(REQUESTER, "rollback")
    await here.type(APPROVER, "rollback")
    assert [request.requester.key for request in here.engine.started] == ["requester", "approver"]


async def test_a_request_that_has_ended_can_be_asked_again_even_if_slack_delivered_it_once_more(
    here: Threshold,
) -> None:
    late = here.inbound(REQUESTER, "deploy v2.0.0", key="command:1")
    first = await here.dispatcher.take(late)
    assert first.run is not None
    here.engine.ended.add(first.run)
    here.pending.end(here.engine.started[0])
    await here.dispatcher.take(late)
    again = await here.type(REQUESTER, "deploy v2.0.0")
    assert again.run != first.run
    assert len(here.engine.started) == 2


async def test_an_engine_that_fails_is_said_and_the_same_can_be_asked_again(here: Threshold) -> None:
    here.engine.broken = True
    assert code(await here.type(REQUESTER, "deploy v2.0.0")) is ReasonCode.BUG
    here.engine.broken = False
    assert (await here.type(REQUESTER, "deploy v2.0.0")).exit is Exit.OK
    assert len(here.engine.started) == 1


async def test_a_second_click_of_the_same_person_is_handed_over_once(here: Threshold) -> None:
    request = await here.asking()
    for key in ("click:1", "click:2"):
        filled = Filled(command="approve", values={"run": request.id}, word="word")
        await here.dispatcher.take(here.inbound(APPROVER, key=key, filled=filled))
    assert len(here.engine.sent) == 1
    assert len(await here.events(EventName.APPROVAL_GIVEN)) == 1


# kinds: what is acknowledged first


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("status", Kind.QUERY),
        ("deploy v2.0.0 --dry-run", Kind.QUERY),
        ("deploy v2.0.0", Kind.OPERATION),
        ("rollback", Kind.OPERATION),
        ("approve 7KQ2", Kind.DECISION),
        ("lock", Kind.DECISION),
        ("deplyo v2.0.0", None),
        ("deploy", None),
        ("", Kind.QUERY),
        ('deploy "v2.0.0', None),
        ("x" * 100_000, None),
    ],
)
async def test_what_is_acknowledged_first_is_known_by_parsing_alone(
    here: Threshold, text: str, kind: Kind | None
) -> None:
    assert here.dispatcher.parse(here.inbound(REQUESTER, text)).kind == kind
    assert here.accounts.asked == []
    assert here.engine.started == []


async def test_a_query_never_reaches_the_engine(here: Threshold) -> None:
    for text in ("whoami", "help", "help deploy", "help sync", "runs"):
        answer = await here.type(REQUESTER, text)
        assert answer.exit is Exit.OK, said(answer)
    assert here.engine.started == []
    assert set(await here.names()) == {"command:answered"}


async def test_a_query_that_does_not_answer_in_time_is_said_so(tmp_path: Path) -> None:
    def impatient(raw: dict[str, Any]) -> None:
        raw["times"] = {"query_deadline": 0.05}

    async with threshold(tmp_path, impatient) as here:

        async def never(**_: Any) -> Any:
            await asyncio.Event().wait()

        here.engine.list = never  # type: ignore[method-assign] # an engine that hangs
        answer = await here.type(REQUESTER, "runs")
        assert (answer.exit, code(answer)) == (Exit.FAILED, ReasonCode.TIMED_OUT)


async def test_what_a_client_says_of_its_failure_is_redacted(here: Threshold) -> None:
    async def fails(**_: Any) -> Any:
        raise TemporaryError("No answer: password=hunter2hunter2", code=ReasonCode.CLUSTER_UNREACHABLE)

    here.engine.list = fails  # type: ignore[method-assign] # an engine that fails
    answer = await here.type(REQUESTER, "runs")
    assert code(answer) is ReasonCode.CLUSTER_UNREACHABLE
    assert "hunter2" not in said(answer)


# where


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Location(channel="D1", direct=True), "Changes can't be started in a direct message"),
        (
            Location(channel="C9", member=False),
            "The bot is not in this channel, so it can't post a thread here. Invite it",
        ),
    ],
)
async def test_nothing_starts_where_nobody_would_see_it(here: Threshold, place: Location, words: str) -> None:
    request = await here.asking()
    for who, text in (
        (REQUESTER, "deploy v2.1.0 --env production"),
        (REQUESTER, "lock --env production"),
        (APPROVER, f"approve {request.id}"),
    ):
        answer = await here.type(who, text, place=place)
        assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.PLACE_REFUSED)
        assert words in said(answer)
    assert here.engine.started == [request]
    assert here.engine.sent == []
    assert (await here.type(REQUESTER, "whoami", place=place)).exit is Exit.OK


async def test_a_channel_means_its_own_environment_and_another_none(here: Threshold) -> None:
    await here.type(REQUESTER, "deploy v2.0.0", place=Location(channel=DEPLOYS))
    await here.type(REQUESTER, "deploy v2.0.0", place=Location(channel=TEST_BED))
    assert [request.environment for request in here.engine.started] == ["production", "staging"]
    for command in ("deploy v2.0.0", "rollback", "lock", "unlock", "status", "logs backend"):
        answer = await here.type(REQUESTER, command, place=Location(channel=GENERAL))
        assert answer.exit is Exit.USAGE
        assert "Add `--env production`" in said(answer)
    assert len(here.engine.started) == 2


async def test_a_request_without_a_channel_of_its_own_is_answered_where_it_was_asked(tmp_path: Path) -> None:
    async with threshold(tmp_path, lambda raw: raw["environments"]["staging"].pop("channel")) as here:
        answer = await here.type(REQUESTER, "rollback --env staging", place=Location())
        assert answer.card is not None
        assert "Roll back staging" in said(answer)
        assert here.engine.started[0].threaded is False


async def test_from_a_terminal_it_begins_in_the_environments_channel_and_says_its_run(here: Threshold) -> None:
    answer = await here.terminal("uid:1", "deploy", "v2.0.0")
    assert "Deploy v2.0.0 to production: run" in said(answer)
    assert (here.engine.started[0].channel, here.engine.started[0].requester.surface) == (DEPLOYS, "terminal")
    assert here.accounts.asked == []


# who


@pytest.mark.parametrize(
    "why", ["it is a guest's account", "the account is deactivated", "it is a bot's account", "external"]
)
async def test_an_account_in_no_good_standing_does_nothing_though_it_is_listed(here: Threshold, why: str) -> None:
    request = await here.asking()
    here.accounts.refused[GUEST] = why
    wrong = ("restart", "deploy", "logs", "statsu", "deploy --env nowhere")
    for text in ("deploy v2.1.0", f"approve {request.id}", "status", "whoami", "runs", "help", "rollback", *wrong):
        answer = await here.type(GUEST, text)
        assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.ACCOUNT_REFUSED)
        assert why in said(answer)
        assert answer.card is not None
        assert answer.card.choices is None
    assert said(await here.type(GUEST, "")).endswith(f"{why}.")
    form = await here.dispatcher.form(here.inbound(GUEST), OpenForm(command="deploy"))
    assert isinstance(form, Answer)
    assert code(form) is ReasonCode.ACCOUNT_REFUSED
    assert await here.dispatcher.suggestions(here.inbound(GUEST), "run", {}, "") == ()
    assert here.engine.started == [request]
    assert here.engine.sent == []


async def test_what_changes_something_asks_slack_anew_and_looking_does_not(here: Threshold) -> None:
    await here.type(REQUESTER, "whoami")
    request = await here.asking()
    await here.click(APPROVER, "approve", request.id, "word")
    assert here.accounts.asked == [(REQUESTER, False), (REQUESTER, True), (APPROVER, True)]


async def test_while_slack_is_silent_people_look_and_change_nothing(here: Threshold) -> None:
    request = await here.asking()
    here.accounts.silent = True
    for who, text in ((REQUESTER, "deploy v2.1.0"), (APPROVER, f"approve {request.id}"), (REQUESTER, "lock")):
        answer = await here.type(who, text)
        assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.ACCOUNT_UNCHECKED)
        assert "Try again, or use a terminal" in said(answer)
    assert (await here.type(REQUESTER, "runs")).exit is Exit.OK
    assert (await here.terminal("uid:1", "deploy", "v2.1.0")).exit is Exit.OK
    assert here.engine.sent == []


async def test_a_stranger_is_told_whom_to_ask_and_slack_is_not_asked_about_them(here: Threshold) -> None:
    for text in ("deploy v2.0.0", "status", "whoami", "help", "runs", "approve 7KQ2"):
        answer = await here.type(OUTSIDER, text)
        assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.UNKNOWN_PERSON)
        assert f"({OUTSIDER}) is not listed" in said(answer)
        assert "Ask the maintainers of `omnicare.toml` to add you" in said(answer)
    assert here.accounts.asked == []
    assert here.engine.started == []


@pytest.mark.parametrize("text", ["deplyo v2", "deploy", "status --env nowhere", "logs nothing", '"open quote'])
async def test_what_a_stranger_typed_wrong_tells_them_nothing_of_what_there_is(here: Threshold, text: str) -> None:
    answer = await here.type(OUTSIDER, text)
    assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.UNKNOWN_PERSON)
    assert answer.card is not None
    assert not {"deploy", "production", "staging", "backend"} & set(re.findall(r"\w+", answer.card.model_dump_json()))


async def test_the_choices_of_a_stranger_are_a_refusal_that_says_what_is_missing(here: Threshold) -> None:
    answer = await here.dispatcher.choices(here.inbound(OUTSIDER))
    assert isinstance(answer, Answer)
    assert "is not listed" in said(answer)


async def test_a_person_chooses_from_what_they_may_run(here: Threshold) -> None:
    choices = await here.dispatcher.choices(here.inbound(AUDITOR))
    assert isinstance(choices, tuple)
    commands = {each.name for each in choices}
    assert {"status", "audit", "whoami"} <= commands
    assert not {"deploy", "rollback", "lock", "logs"} & commands


def test_the_program_alone_asks_for_home(here: Threshold) -> None:
    for text in ("", "  "):
        request = here.dispatcher.parse(here.inbound(REQUESTER, text)).request
        assert request is not None
        assert request.spec.name == "home"


async def test_a_form_is_refused_to_who_may_not_and_the_refusal_is_written(here: Threshold) -> None:
    form = await here.dispatcher.form(here.inbound(AUDITOR), OpenForm(command="deploy"))
    assert isinstance(form, Answer)
    assert code(form) is ReasonCode.NOT_PERMITTED
    assert await here.names() == ["permission:denied"]
    assert isinstance(await here.dispatcher.form(here.inbound(REQUESTER), OpenForm(command="deploy")), Form)


async def test_a_release_that_is_named_is_asked_for_like_a_deploy(here: Threshold) -> None:
    assert (await here.type(APPROVER, "rollback")).exit is Exit.OK
    answer = await here.type(APPROVER, "rollback --to v1.1.0")
    assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.NOT_PERMITTED)
    assert "rollout:write" in said(answer)
    assert (await here.type(REQUESTER, "rollback --to v1.1.0")).exit is Exit.OK


async def test_a_mention_of_a_listed_person_is_that_person(here: Threshold) -> None:
    for text in (
        f"audit --person <@{REQUESTER}|somebody>",
        f"audit --person=<@{REQUESTER}>",
        "audit --person requester",
    ):
        assert (await here.type(AUDITOR, text)).exit is Exit.OK
    answer = await here.type(AUDITOR, f"audit --person <@{OUTSIDER}>")
    assert answer.exit is Exit.USAGE


# nobody sees more by leaving --env out


async def test_who_may_look_at_staging_sees_staging_whatever_is_typed(here: Threshold) -> None:
    production = await here.asking("deploy v2.0.0 --env production")
    staging = await here.asking("deploy v2.0.0 --env staging")
    runs = await here.type(STAGER, "runs")
    assert runs.card is not None
    assert [run["id"] for run in runs.card.data["runs"]] == [staging.id]  # type: ignore[attr-defined]
    one = await here.type(STAGER, f"runs {production.id}")
    assert (one.exit, code(one)) == (Exit.DENIED, ReasonCode.NOT_PERMITTED)
    assert (await here.type(STAGER, f"runs {staging.id}")).exit is Exit.OK
    audit = await here.type(STAGER, "audit")
    assert audit.card is not None
    assert {event["environment"] for event in audit.card.data["events"]} == {"staging"}  # type: ignore[attr-defined]
    for text in (f"audit --run {production.id}", "audit --env production", "runs --env production"):
        assert code(await here.type(STAGER, text)) is ReasonCode.NOT_PERMITTED


async def test_who_may_look_everywhere_sees_everything(here: Threshold) -> None:
    await here.asking("deploy v2.0.0 --env production")
    await here.asking("deploy v2.0.0 --env staging")
    await here.type(OUTSIDER, "deploy v2.0.0")
    for account, surface in ((AUDITOR, Surface.SLACK), ("uid:0", Surface.TERMINAL)):
        audit = await (here.type(account, "audit") if surface is Surface.SLACK else here.terminal(account, "audit"))
        assert audit.card is not None
        places = {event["environment"] for event in audit.card.data["events"]}  # type: ignore[attr-defined]
        assert places == {"production", "staging", None}
        assert audit.private


async def test_no_list_shows_the_word_of_a_card(here: Threshold) -> None:
    request = await here.asking()
    here.wait(request, word="VeryRandomWord01")
    for who, text in ((REQUESTER, "runs"), (REQUESTER, f"runs {request.id}"), (AUDITOR, "audit")):
        answer = await here.type(who, text)
        assert answer.card is not None
        assert "VeryRandomWord01" not in answer.card.model_dump_json()
