"""Attacks, each a test: forged, stale and foreign buttons, borrowed environments, shared accounts, and words that want to be markup.

Everything comes in through the real dispatcher with the real book; what reaches the engine is what would have been done.
(A row that carries a pickle: tests/bot/runs/test_pickles.py; deliveries of the real Slack edge: tests/bot/surfaces/slack.)
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.audit import EventName, verify
from bot.boundary.inbound import Exit, Filled, Form, Inbound, Location, Surface
from bot.runs.model import Request
from bot.surfaces.slack.inbound import payloads
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.render import modals
from bot.surfaces.slack.render.button_values import read, written
from commands.kit.card import OpenForm, RunAct, Typed
from commands.kit.registry import load
from commands.kit.spec import Kind
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Lease, Undecided
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster import Cluster
from tests.support.thresholds import (
    APPROVER,
    APPROVERS_PHONE,
    DEPLOYS,
    KIOSK,
    NOON,
    OUTSIDER,
    REQUESTER,
    SECOND,
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
        assert verify(made.audit_log.path) == []


def untouched(here: Threshold, *requests: Request) -> None:
    assert here.engine.started == list(requests)
    assert here.engine.sent == []


# buttons of a run


async def test_a_stale_button_decides_nothing(here: Threshold) -> None:
    request = await here.asking()
    here.wait(request, word="the-new-word")
    for who in (APPROVER, REQUESTER, SECOND):
        for act in ("approve", "deny", "withdraw"):
            answer = await here.click(who, act, request.id, "word", reason="x")
            assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.STALE_BUTTON)
            assert "Use the newest card in the thread" in said(answer)
    untouched(here, request)


async def test_a_button_of_another_run_decides_nothing(here: Threshold) -> None:
    request = await here.asking("deploy v2.0.0 --env production")
    staging = await here.asking("deploy v2.0.0 --env staging")
    here.wait(request, word="word-of-production")
    here.wait(staging, word="word-of-staging")
    assert code(await here.click(APPROVER, "approve", request.id, "word-of-staging")) is ReasonCode.STALE_BUTTON
    here.run(request, word="word-of-the-run")
    assert code(await here.click(APPROVER, "cancel", request.id, "word-of-staging")) is ReasonCode.STALE_BUTTON
    untouched(here, request, staging)


@pytest.mark.parametrize("word", ["", " ", "*", "%", "null", "word\0", "WORD", "\uff57ord", "\ud800", "w" * 1900])
async def test_a_guessed_word_decides_nothing(here: Threshold, word: str) -> None:
    request = await here.asking()
    answer = await here.click(APPROVER, "approve", request.id, word)
    assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.STALE_BUTTON)
    here.run(request)
    assert code(await here.click(REQUESTER, "cancel", request.id, word)) is ReasonCode.STALE_BUTTON
    untouched(here, request)
    assert len(await here.events(EventName.PERMISSION_DENIED)) == 2


async def test_the_right_word_gives_nobody_a_permission(here: Threshold) -> None:
    request = await here.asking()
    for who, reason in (
        (REQUESTER, ReasonCode.OWN_REQUEST),
        (OUTSIDER, ReasonCode.UNKNOWN_PERSON),
        (STAGER, ReasonCode.NOT_PERMITTED),
        (KIOSK, ReasonCode.SHARED_ACCOUNT),
    ):
        assert code(await here.click(who, "approve", request.id, "word")) is reason
    untouched(here, request)


async def test_a_click_that_is_replayed_under_a_new_delivery_id_counts_once(here: Threshold) -> None:
    request = await here.asking()
    here.wait(request, count=2)
    for number in range(5):
        filled = Filled(command="approve", values={"run": request.id}, word="word")
        await here.dispatcher.take(here.inbound(APPROVER, key=f"replayed:{number}", filled=filled))
    await here.click(APPROVERS_PHONE, "approve", request.id, "word")
    assert len(here.engine.sent) == 1
    assert len(await here.events(EventName.APPROVAL_GIVEN)) == 1


async def test_a_click_after_the_request_has_expired_does_not_count(here: Threshold) -> None:
    request = await here.asking()
    here.later(seconds=1800)
    assert code(await here.click(APPROVER, "approve", request.id, "word")) is ReasonCode.EXPIRED
    assert code(await here.type(APPROVER, f"approve {request.id}")) is ReasonCode.EXPIRED
    untouched(here, request)


@pytest.mark.parametrize(
    "reason", ["x” --env staging “y", "x&quot; --env staging &quot;y", "x —env staging", "<b> &lt;c&gt; &amp;amp;"]
)
async def test_a_button_that_says_somebodys_words_again_means_those_words(here: Threshold, reason: str) -> None:
    """No client wrote entities, links or a keyboard's signs into a button's text, so nothing is undone in it."""
    text = f'deploy v2.0.0 --reason "{reason}" --env production'
    await here.dispatcher.take(here.inbound(REQUESTER, text, drawn=True))
    (request,) = here.engine.started
    assert (request.environment, request.reason) == ("production", reason)


# buttons that were made up


@pytest.mark.parametrize("spec", [s for s in load() if not s.on_card], ids=lambda s: s.name)
async def test_a_button_in_the_shape_of_a_runs_that_names_another_command_does_nothing(
    here: Threshold, spec: Any
) -> None:
    request = await here.asking()
    filled = {"version": "v9.9.9", "env": "production", "service": "backend", "reason": "x", "command": "deploy"}
    act = read(written(RunAct(command=spec.name, run=request.id, word="word")))
    assert isinstance(act, RunAct)
    answer = await here.dispatcher.take(payloads.decision(act, Origin(account=REQUESTER, channel=DEPLOYS), filled))
    assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.FOREIGN_BUTTON)
    untouched(here, request)


async def test_a_typed_button_is_typed_by_who_presses_it(here: Threshold) -> None:
    """Whoever drew the button: what counts is who presses."""
    act = read('{"k":"typed","t":"deploy v1.0.0 --env production"}')
    assert isinstance(act, Typed)
    for who, reason in (
        (OUTSIDER, ReasonCode.UNKNOWN_PERSON),
        (APPROVER, ReasonCode.NOT_PERMITTED),
        (STAGER, ReasonCode.NOT_PERMITTED),
    ):
        answer = await here.type(who, act.text)
        assert (answer.exit, code(answer)) == (Exit.DENIED, reason)
    untouched(here)


@pytest.mark.parametrize(
    "value",
    [
        '{"does":"typed","text":"deploy v1 --env production"}',
        '{"k":"typed","t":["deploy"]}',
        '{"k":"run","c":"approve","r":"x"}',
        '{"k":"run","c":"approve","r":1,"w":2}',
        '{"k":"form","c":"deploy","v":[]}',
        '{"k":"form"}',
        '[{"k":"typed","t":"deploy v1"}]',
        '{"k":"typed","t":"deploy v1"',
        "deploy v1.0.0",
        "r|approve|x",
        "r|approve||word",
        "[" * 1999,
        "x" * 5000,
        "",
        None,
        {"k": "typed", "t": "deploy v1"},
    ],
)
def test_a_value_of_another_shape_is_no_button(value: object) -> None:
    assert read(value) is None


async def test_hidden_values_that_are_put_into_a_form_are_not_used(here: Threshold) -> None:
    request = await here.asking()
    filled = {"run": request.id, "word": "word", "dry_run": "yes", "requester": "approver", "approved_by": "approver"}
    form = await here.dispatcher.form(here.inbound(REQUESTER), OpenForm(command="deploy", filled=filled))
    assert isinstance(form, Form)
    assert not {"word", "requester", "approved_by", "run"} & {field.name for field in form.fields}
    values = {"version": "v2.1.0", "env": "production", "requester": "approver", "approved_by": "approver", "id": "x"}
    inbound = payloads.filled("form:1", Origin(account=REQUESTER, channel=DEPLOYS), "deploy", values)
    answer = await here.dispatcher.take(inbound)
    assert answer.exit is Exit.OK
    started = here.engine.started[-1]
    assert started.requester.key == "requester"
    assert started.arguments == {"version": "v2.1.0", "env": "production"}


@pytest.mark.parametrize(
    "values",
    [
        {"version": "v2.0.0 --env production", "env": "staging"},
        {"version": "--env=production", "env": "staging"},
        {"version": "v2.0.0", "env": "staging --dry-run"},
        {"version": "v2.0.0", "env": "production\nstaging"},
        {"version": "-- v2.0.0", "env": "staging"},
    ],
)
async def test_a_forms_value_can_not_pose_as_another_option(here: Threshold, values: dict[str, str]) -> None:
    inbound = payloads.filled("form:1", Origin(account=REQUESTER, channel=TEST_BED), "deploy", values)
    assert (await here.dispatcher.take(inbound)).exit is Exit.USAGE
    untouched(here)


async def test_a_reason_in_a_form_stays_a_reason(here: Threshold) -> None:
    values = {"version": "v2.0.0", "env": "staging", "reason": '--env production" --dry-run'}
    inbound = payloads.filled("form:1", Origin(account=REQUESTER, channel=TEST_BED), "deploy", values)
    await here.dispatcher.take(inbound)
    assert here.engine.started[0].environment == "staging"
    assert here.engine.started[0].reason == '--env production" --dry-run'


def test_metadata_of_a_view_that_is_not_ours_is_no_form() -> None:
    for callback, hidden in (
        ("other", {"c": "deploy", "h": {}}),
        (modals.FORM, {"c": 1, "h": {}}),
        (modals.FORM, {"c": "deploy", "h": []}),
    ):
        view = {"callback_id": callback, "private_metadata": json.dumps(hidden), "state": {"values": {}}}
        assert payloads.read({"type": "view_submission", "user": {"id": REQUESTER}, "view": view}) is None


@pytest.mark.parametrize(
    "text", ["approve {run} --word word", "approve {run} --word=word", "deny {run} --reason x —word word"]
)
async def test_a_hidden_field_can_not_be_typed(here: Threshold, text: str) -> None:
    request = await here.asking()
    answer = await here.type(APPROVER, text.format(run=request.id))
    assert answer.exit is Exit.USAGE
    assert "has no option `--word" in said(answer)
    untouched(here, request)


# runs that are something else


@pytest.mark.parametrize(
    "run",
    [
        "../../etc/passwd",
        "..",
        "production.deploy.%",
        "production.deploy.",
        "' OR 1=1 --",
        "production.deploy.x;DROP TABLE event",
        "a" * 5000,
        "%",
        "production.deploy.0a1b2c3d4e5f6.run",
        "\x00",
        "\ud800",
    ],
)
async def test_a_run_that_is_a_path_or_sql_is_no_run(here: Threshold, run: str) -> None:
    request = await here.asking()
    for command in ("approve", "cancel", "deny", "withdraw"):
        answer = await here.click(APPROVER, command, run, "word", reason="x")
        assert answer.exit in (Exit.USAGE, Exit.DENIED)
        assert code(answer) in (ReasonCode.USAGE, ReasonCode.UNKNOWN_RUN, ReasonCode.NOT_WAITING)
    untouched(here, request)
    assert (await here.events())[0].name == EventName.RUN_REQUESTED


async def test_a_short_id_that_means_two_runs_means_none(here: Threshold) -> None:
    first = await here.asking("deploy v2.0.0 --env production")
    twin = first.model_copy(update={"id": first.id.replace("production", "staging"), "environment": "staging"})
    here.engine.started.append(twin)
    here.wait(twin)
    answer = await here.type(APPROVER, f"approve {first.id.split('.')[2][:4]}")
    assert code(answer) is ReasonCode.UNKNOWN_RUN
    assert "More than one run id begins with" in said(answer)
    assert here.engine.sent == []


# borrowed environments and accounts


async def test_a_permission_in_staging_is_none_in_production_whatever_the_channel(here: Threshold) -> None:
    request = await here.asking("deploy v2.0.0 --env production")
    for place in (Location(channel=TEST_BED), Location(channel=DEPLOYS)):
        for text in (
            "deploy v1.0.0 --env production",
            "rollback --env production",
            "lock --env production",
            f"cancel {request.id}",
        ):
            here.run(request)
            answer = await here.type(STAGER, text, place=place)
            assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.NOT_PERMITTED), text
        here.wait(request)
        for text in (f"approve {request.id}", f"deny {request.id} --reason x"):
            assert code(await here.type(STAGER, text, place=place)) is ReasonCode.NOT_PERMITTED
    untouched(here, request)
    staging = await here.asking("deploy v2.0.0 --env staging")
    assert (await here.click(STAGER, "approve", staging.id, "word")).exit is Exit.OK


async def test_nothing_is_asked_for_or_decided_by_an_account_that_several_share(here: Threshold) -> None:
    request = await here.asking()
    for text in (
        "deploy v2.1.0",
        "rollback",
        "lock",
        f"approve {request.id}",
        f"deny {request.id} --reason x",
        f"cancel {request.id}",
    ):
        assert code(await here.type(KIOSK, text)) is ReasonCode.SHARED_ACCOUNT
        assert code(await here.terminal("uid:0", *text.split())) is ReasonCode.SHARED_ACCOUNT
    assert (await here.type(KIOSK, "whoami")).exit is Exit.OK
    untouched(here, request)


async def test_an_empty_people_table_makes_everybody_a_stranger(tmp_path: Path) -> None:
    async with threshold(tmp_path, lambda raw: raw.update(people={})) as here:
        for who in (REQUESTER, APPROVER, KIOSK, ""):
            for text in ("deploy v2.0.0", "status", "runs", "audit", "lock", "approve 7KQ2", "whoami"):
                answer = await here.type(who, text)
                assert (answer.exit, code(answer)) == (Exit.DENIED, ReasonCode.UNKNOWN_PERSON)
        untouched(here)


async def test_a_permission_that_was_taken_away_counts_at_the_click_not_at_the_card(tmp_path: Path) -> None:
    async with threshold(tmp_path) as before:
        request = await before.asking()
    async with threshold(tmp_path, lambda raw: raw["people"]["approver"].update(roles=[])) as here:
        here.engine.started, here.engine.states = [request], before.engine.states
        answer = await here.click(APPROVER, "approve", request.id, "word")
        assert code(answer) is ReasonCode.NOT_PERMITTED
        untouched(here, request)


async def test_an_outsider_who_floods_neither_fills_the_audit_log_nor_keeps_others_out(here: Threshold) -> None:
    request = await here.asking()
    for number in range(300):
        await here.click(OUTSIDER, "approve", request.id, f"guess-{number}")
    names = await here.names()
    assert (names.count("permission:denied"), names.count("refusals:suppressed")) == (10, 1)
    assert here.accounts.asked == [(REQUESTER, True)]
    assert (await here.click(APPROVER, "approve", request.id, "word")).exit is Exit.OK


# another app, another message


@pytest.mark.parametrize(
    "event",
    [
        {"bot_id": "B9OTHER"},
        {"bot_profile": {"id": "B9OTHER"}},
        {"edited": {"user": REQUESTER, "ts": "1.2"}},
        {"subtype": "bot_message"},
        {"subtype": "message_changed"},
        {"hidden": True},
        {"user": None},
    ],
)
def test_what_another_app_says_or_what_was_edited_runs_nothing(event: dict[str, Any]) -> None:
    said_ = {
        "type": "app_mention",
        "user": REQUESTER,
        "channel": DEPLOYS,
        "text": "<@U0BOT> deploy v2.0.0",
        "ts": "1.1",
    }
    assert isinstance(payloads.read({"type": "event_callback", "event": said_}), payloads.SlackAct)
    assert payloads.read({"type": "event_callback", "event": said_ | event}) is None


# the fleet's record, in the right cluster


def _records_in_default(raw: dict[str, Any]) -> None:
    for environment in raw["environments"].values():
        environment["record_namespace"] = "default"


async def test_leaving_a_failed_run_acts_in_its_own_cluster_with_permission_there(tmp_path: Path) -> None:
    one, two = Cluster(), Cluster()
    async with one.serve(), two.serve():
        clients: dict[str, ClusterClient] = {}
        for name, cluster in (("production", one), ("staging", two)):
            path = tmp_path / f"{name}.kubeconfig"
            path.write_text(cluster.kubeconfig())
            clients[name] = ClusterClient(kubeconfig=str(path), context=None)
        async with clients["production"], clients["staging"], threshold(tmp_path, _records_in_default, clients) as here:
            staging = await here.asking("deploy v2.0.0 --env staging")
            environment, fleet = here.settings.environment("staging"), Fleet(clients["staging"])
            left = Undecided(run=staging.id, title=staging.title, since=NOON.isoformat())
            await fleet.take(environment, Lease(run=staging.id, title="", by="", since=left.since))
            await fleet.end(environment, staging.id, undecided=left)
            denied = await here.type(APPROVER, f"resolve {staging.id} --reason x")
            assert code(denied) is ReasonCode.NOT_PERMITTED
            assert (await fleet.read(environment)).undecided == left
            answer = await here.type(
                STAGER, f"resolve {staging.id.split('.')[2][:6]} --reason 'by hand'".replace("'", '"')
            )
            assert answer.exit is Exit.OK, said(answer)
            assert (await fleet.read(environment)).undecided is None
            (event,) = await here.events(EventName.RUN_RESOLVED)
            assert (event.actor, event.run, event.environment, event.reason) == (
                "stager",
                staging.id,
                "staging",
                "by hand",
            )
            await _locks(here, fleet)


async def _locks(here: Threshold, fleet: Fleet) -> None:
    """A lock is in the audit log before and after; one that is over already is none."""
    environment = here.settings.environment("staging")
    past = await here.type(STAGER, 'lock --env staging --until "2020-01-01 10:00"')
    assert past.exit is Exit.USAGE
    assert (await fleet.read(environment)).freeze is None
    await here.type(STAGER, "lock --env staging --reason '&lt;!channel&gt; x'".replace("'", '"'))
    freeze = (await fleet.read(environment)).freeze
    assert freeze is not None
    assert (freeze.person, freeze.reason) == ("stager", "<!channel> x")
    assert code(await here.type(STAGER, "unlock --env production")) is ReasonCode.NOT_PERMITTED
    await here.type(STAGER, "unlock --env staging")
    for name in (EventName.LOCK_TAKEN, EventName.LOCK_RELEASED):
        (event,) = await here.events(name)
        assert (event.actor, event.environment) == ("stager", "staging")


# words of others


async def test_words_of_others_come_back_from_the_audit_log_as_they_were_said(here: Threshold) -> None:
    nasty = "<!channel> \u202e `x` :fire:"
    answer = await here.terminal("uid:1", "deploy", "v2.0.0", f"--reason={nasty}")
    assert answer.exit is Exit.OK
    (event,) = await here.events(EventName.RUN_REQUESTED)
    assert event.reason == nasty
    assert here.engine.started[0].reason == nasty


async def test_control_signs_in_a_reason_are_refused(here: Threshold) -> None:
    for sign in ("\x1b[2J", "\x00", "\x7f", "\u009b"):
        answer = await here.terminal("uid:1", "deploy", "v2.0.0", f"--reason=x{sign}y")
        assert answer.exit is Exit.USAGE
    untouched(here)


# acts that are chosen by who acts


async def test_a_key_that_was_chosen_to_be_anothers_gives_no_access_to_theirs(here: Threshold) -> None:
    """A terminal's client draws its own keys: the same key under another account is another act."""
    first = await here.terminal("uid:1", "deploy", "v2.0.0", key="terminal:uid:1::k")
    inbound = Inbound(key="terminal:uid:0::k", surface=Surface.TERMINAL, account="uid:0", tokens=("deploy", "v2.0.0"))
    assert code(await here.dispatcher.take(inbound)) is ReasonCode.SHARED_ACCOUNT
    assert [request.id for request in here.engine.started] == [first.run]


def test_every_decision_on_a_run_carries_a_word_or_is_typed() -> None:
    """What a card's button may name: these alone."""
    worded = {spec.name for spec in load() if spec.on_card}
    assert worded == {"approve", "deny", "withdraw", "cancel", "hold", "continue", "go", "no-go"}
    assert all(load().get(name).kind is Kind.DECISION for name in worded)
