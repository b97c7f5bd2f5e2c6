"""Hostile payloads at the real listeners and the real dispatcher: good ones, spoiled by chance, thousands of them, always the same ones.

Whatever arrives: nobody reads of a bug, nothing starts that the account could not have started by typing it, and what is not acknowledged
is in the log in one line.
"""

import asyncio
import copy
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from pydantic import SecretStr

from bot.audit import EventName, verify
from bot.config.sections import SlackSettings
from bot.process.supervision import Supervisor
from bot.surfaces.slack.inbound.home_tab import HomeSettings
from bot.surfaces.slack.json_path import text_at
from bot.surfaces.slack.render import button_values
from bot.surfaces.slack.render.modals import CHOICE, FORM, INPUT
from bot.surfaces.slack.surface import SlackSurface
from bot.surfaces.slack.transport.socket_connection import Handle, SocketConnection
from commands.kit.card import OpenForm, RunAct, Typed
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from sandbox.cluster import Cluster
from sandbox.slack.server import SlackServer
from tests.bot.surfaces.slack.conftest import PATIENT, Names, seeded
from tests.support.thresholds import DEPLOYS, REQUESTER, Threshold, threshold

PAYLOADS = 5_000
_UNREAD = "a delivery could not be read"
_FORESEEN = (
    _UNREAD,
    "Slack does not take a message: foreign_address",  # a forged response URL
    "an answer could not be shown in any way",  # to an account that Slack does not have
)
_DEEP: Any = json.loads("[" * 200 + "]" * 200)
_HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**400, "", " ", "\0", "\ud800", "x\udfffy", "\u202e\u2066", "٣",
    "x" * 70_000, "<!channel> & <@U2APPROVER>", "*?[", "' OR 1=1 --", "\x1b[2J", [], {}, [[]], [None], {"id": None}, {"": ""}, _DEEP,
    {"id": {"id": "U1REQUESTER"}}, ["U1REQUESTER"], "U1REQUESTER", "U3OUTSIDER", "USLACKBOT", "E0ENTERPRISE", "C9ABSENT", "D1",
    "https://evil.example/", "http://[", "block_actions", "view_submission", "event_callback", "url_verification", "hello",
)  # fmt: skip


def _hidden(command: str, **kept: str) -> str:
    place = {"ch": DEPLOYS, "th": None, "in": False, "d": False, "u": "https://hooks.slack.com/1"}
    return button_values.compact({"c": command, "h": kept, "p": place})


def _view(callback: str, metadata: str, **values: Any) -> dict[str, Any]:
    blocks = [{"type": "input", "block_id": name, "element": {"action_id": INPUT}} for name in values]
    state = {"values": {name: {INPUT: value} for name, value in values.items()}}
    return {"id": "V1", "type": "modal", "callback_id": callback, "private_metadata": metadata, "hash": "1.a",
            "previous_view_id": "V0", "state": state, "blocks": blocks, "root_view_id": "V1", "team_id": "T1", "bot_id": "B1"}  # fmt: skip


def _text(value: str) -> dict[str, Any]:
    return {"type": "plain_text_input", "value": value}


def _event(**event: Any) -> dict[str, Any]:
    envelope = {
        "type": "event_callback",
        "team_id": "T1",
        "api_app_id": "A1",
        "event_id": "Ev1",
        "event_time": 1,
        "is_ext_shared_channel": False,
    }
    return {**envelope, "authorizations": [{"enterprise_id": None, "team_id": "T1", "user_id": "U0OMNICARE", "is_bot": True}], "event": event}  # fmt: skip


def good(run: str) -> list[tuple[str, dict[str, Any]]]:
    """One of each kind of payload that Slack sends, with the type of its envelope."""
    user = {"id": REQUESTER, "username": "requester", "name": "requester", "team_id": "T1"}
    common = {"team": {"id": "T1", "domain": "omnicare"}, "enterprise": None, "is_enterprise_install": False,
              "user": user, "api_app_id": "A1", "token": "t", "trigger_id": "1.2.3"}  # fmt: skip
    container = {
        "type": "message",
        "message_ts": "1.000001",
        "channel_id": DEPLOYS,
        "is_ephemeral": False,
        "thread_ts": "1.000000",
    }
    click = {**common, "type": "block_actions", "container": container, "channel": {"id": DEPLOYS, "name": "deploys"},
             "message": {"ts": "1.000001", "text": "x", "bot_id": "B1"}, "response_url": "https://hooks.slack.com/1",
             "state": {"values": {}}}  # fmt: skip

    def action(value: str | None, kind: str = "button", **more: Any) -> dict[str, Any]:
        made = {"type": kind, "action_id": "a", "block_id": "b", "value": value, "action_ts": "1.1", **more}
        return {**click, "actions": [made]}

    def chosen(value: str, kind: str) -> dict[str, Any]:
        return action(None, kind, selected_option={"text": {"type": "plain_text", "text": "x"}, "value": value})

    message = {**common, "type": "message_action", "channel": {"id": DEPLOYS, "name": "deploys"}, "message_ts": "1.000001",
               "response_url": "https://hooks.slack.com/1", "message": {"type": "message", "ts": "1.000001", "thread_ts": "1.000000",
               "bot_id": "B0OMNICARE", "metadata": {"event_type": "omnicare_run", "event_payload": {"run": run, "slot": "head"}}}}  # fmt: skip
    said = {"user": REQUESTER, "channel": DEPLOYS, "ts": "1.2", "event_ts": "1.2", "client_msg_id": "m1", "team": "T1"}
    home = {"type": "view", "view_id": "V1"}
    approve = RunAct(command="approve", run=run, word="word")
    interactive = [
        action(button_values.written(approve)),
        action(button_values.written(RunAct(command="deny", run=run, word="word", form=True))),
        action(button_values.written(Typed(text="status", replaces=True))),
        action(button_values.written(Typed(text="deploy v2.0.0", expires=2**31))),
        action(button_values.written(OpenForm(command="deploy", filled={"version": "v2.0.0"}))),
        {**action(button_values.written(Typed(text="home", replaces=True))), "container": home, "view": {"id": "V1", "type": "home"}},
        chosen(button_values.as_option(Typed(text="pods")) or "", "overflow"),
        chosen(button_values.as_option(Typed(text="status", expires=2**31)) or "", "static_select"),
        {**common, "type": "view_submission", "view": _view(
            FORM, _hidden("deploy"), version=_text("v2.0.0"), reason=_text("x"),
            env={"type": "static_select", "selected_option": {"value": "staging"}},
            dry_run={"type": "checkboxes", "selected_options": [{"value": "yes"}]},
        )},
        {**common, "type": "view_submission", "view": _view(FORM, _hidden("deny", run=run, word="word"), reason=_text("no"))},
        {**common, "type": "view_submission", "view": _view(
            CHOICE, _hidden(""), command={"type": "static_select", "selected_option": {"value": "deploy"}},
            place={"type": "conversations_select", "selected_conversation": DEPLOYS},
        )},
        {**common, "type": "block_suggestion", "action_id": INPUT, "block_id": "version", "value": "v2", "container": home,
         "view": _view(FORM, _hidden("deploy"), env={"type": "static_select", "selected_option": {"value": "staging"}})},
        {**common, "type": "shortcut", "callback_id": "omnicare_menu", "action_ts": "1.3"},
        {**message, "callback_id": "omnicare_run"},
        {**message, "callback_id": "omnicare_thread"},
        {**message, "callback_id": "omnicare_diagnose"},
    ]  # fmt: skip
    command = {"command": "/omnicare", "text": "deploy v2.0.0 --env staging", "user_id": REQUESTER, "channel_id": DEPLOYS, "team_id": "T1",
               "trigger_id": "1.2.4", "response_url": "https://hooks.slack.com/2", "enterprise_id": "E1"}  # fmt: skip
    events = [
        _event(type="app_mention", text="<@U0OMNICARE> deploy v2.0.0", thread_ts="1.1", **said),
        _event(type="message", channel_type="im", text="status", **{**said, "channel": "D1"}),
        _event(type="message", channel_type="im", subtype="file_share", text="x", files=[{"id": "F1"}], **said),
        _event(type="app_home_opened", tab="home", user=REQUESTER, channel="D1", view={"id": "V1"}),
        _event(type="subteam_members_changed", subteam_id="S0ONCALL", added_users=["U1REQUESTER"]),
        _event(type="subteam_updated", subteam={"id": "S0ONCALL"}),
    ]
    return [
        ("slash_commands", command),
        *(("interactive", each) for each in interactive),
        *(("events_api", each) for each in events),
    ]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of everything inside."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from _places(value[key], (*path, key))


def _forged(chance: random.Random, text: str) -> Any:
    """Return a text that carries JSON of ours with something else in it; or any text, with something in it."""
    try:
        inside = json.loads(text)
    except ValueError:
        inside = None
    if not isinstance(inside, dict):
        at = chance.randrange(len(text) + 1)
        return (
            text[:at]
            + chance.choice(["\0", "\ud800", "|", "'", "\n", " --env production", "\u2066", "<@U2APPROVER>"])
            + text[at:]
        )
    _spoil(chance, inside)
    return json.dumps(inside)


def _spoil(chance: random.Random, payload: Any) -> None:
    """Change one thing in the payload."""
    places = [*_places(payload)]
    if not places:
        return
    *path, key = chance.choice(places)
    holder = payload
    for each in path:
        holder = holder[each]
    match chance.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder[key], str):
            holder[key] = _forged(chance, holder[key])
        case 2:
            twice = copy.deepcopy(holder[key])
            holder[key] = [twice, copy.deepcopy(twice)]
        case _:
            holder[key] = copy.deepcopy(chance.choice(_HOSTILE)) if holder[key] is not _DEEP else None


class Wire(SocketConnection):
    """A connection that nothing is at the other end of: what would be acknowledged is remembered."""

    def __init__(self, handle: Handle) -> None:
        self.acknowledged: list[str] = []

        async def nowhere(_message: str = "") -> bool:
            return False

        session = cast("aiohttp.ClientSession", None)
        super().__init__(session, lambda: asyncio.sleep(0, ""), proxy=None, ping=60.0, handle=handle, elsewhere=nowhere)

    async def send_message(self, message: str) -> None:
        self.acknowledged.append(str(json.loads(message)["envelope_id"]))

    async def bring(self, raw: str) -> None:
        """Handle one message to its end, as if it had come over the WebSocket."""
        await self.enqueue_message(raw)
        await self.process_message()
        await asyncio.gather(*self._reading)


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Threshold]:
    cluster, path = Cluster(), tmp_path / "kubeconfig"
    async with cluster.serve(), RegistryClient({"ghcr.io": "127.0.0.1:1"}, plain_http=True, deadline=0.1) as registry:
        path.write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(path), context=None) as client:
            behind = {"production": client, "staging": client}
            async with threshold(tmp_path, clients=behind, images=registry) as made:
                yield made
        assert verify(made.audit_log.path) == []


@pytest.fixture
async def surface(here: Threshold) -> AsyncIterator[SlackSurface]:
    """The Slack surface with the real dispatcher, and a Slack that takes whatever is answered."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(SlackServer(seeded(PATIENT)))
        settings = SlackSettings(
            api_url=server.api_url, bot_token=SecretStr(server.bot_token), app_token=SecretStr(server.app_token)
        )
        supervisor = Supervisor()
        stack.push_async_callback(supervisor.close)
        made = SlackSurface(settings, names=Names(), redact=lambda text: text, supervisor=supervisor)
        made.open(here.dispatcher, suggest=here.dispatcher.suggestions, home=HomeSettings())
        stack.push_async_callback(made.close, drain=60.0)
        yield made


@pytest.mark.parametrize("seed", range(5))
async def test_no_payload_ends_by_a_bug_or_starts_what_its_account_may_not(
    here: Threshold, surface: SlackSurface, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    request = await here.asking()
    assert surface.connections is not None
    assert surface._background is not None
    wire = Wire(surface.connections.handle)
    chance, models = random.Random(seed), good(request.id)
    heard = 0
    for number in range(PAYLOADS // 5):
        kind, payload = copy.deepcopy(chance.choice(models))
        for _ in range(chance.choice((0, 1, 1, 1, 2, 4, 8))):
            _spoil(chance, payload)
        payload = _renumbered(payload, f"{seed}.{number}")
        raw = json.dumps({"type": kind, "envelope_id": str(number), "payload": payload}, allow_nan=False)
        started = len(here.engine.started)
        caplog.clear()
        await wire.bring(raw)
        await surface._background.ended()
        wrong = [each.getMessage() for each in _errors(caplog)]
        assert not [each for each in wrong if not each.startswith(_FORESEEN)], raw
        if wire.acknowledged[heard:] == []:
            assert len([each for each in wrong if each.startswith(_UNREAD)]) == 1, raw
        heard = len(wire.acknowledged)
        if len(here.engine.started) > started:
            new = here.engine.started[-1]
            assert new.requester.account == REQUESTER == (text_at(payload, "user_id") or _who(payload)), raw
    assert heard > PAYLOADS // 5 // 2, "most are answered in some way"
    assert here.engine.sent == [], "the requester decides nothing on a request of their own"
    assert not await here.events(EventName.APPROVAL_GIVEN)


def _errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the bot logged; its Slack and its cluster are in this process too."""
    return [each for each in caplog.records if each.levelno >= logging.ERROR and each.name.startswith("bot.")]


def _who(payload: dict[str, Any]) -> str | None:
    return text_at(payload, "user", "id") or text_at(payload, "event", "user")


@pytest.mark.parametrize(
    "raw",
    [
        "", "ok", "[]", "null", "{", "{" * 100_000, '{"x":' * 100_000, "[" * 100_000, '{"envelope_id":NaN}', '{"type":1e999}',
        '{"type":"interactive","envelope_id":"1","payload":null}',
        '{"type":"interactive","envelope_id":"1","payload":[]}',
        '{"type":"interactive","envelope_id":"1"}',
        '{"type":"interactive","envelope_id":"1","payload":{"team":5}}',
        '{"type":"events_api","envelope_id":"1","payload":{"type":"event_callback","authorizations":["secret of a patient"]}}',
    ],
    ids=lambda raw: raw[:40],
)  # fmt: skip
async def test_what_is_no_envelope_is_one_line_in_the_log_and_the_next_one_is_heard(
    surface: SlackSurface, caplog: pytest.LogCaptureFixture, raw: str
) -> None:
    assert surface.connections is not None
    wire = Wire(surface.connections.handle)
    await wire.bring(raw)
    (line,) = _errors(caplog)
    assert "not acknowledged" in line.getMessage()
    assert line.exc_info is None
    assert "patient" not in line.getMessage()
    await wire.bring(
        '{"type":"events_api","envelope_id":"2","payload":{"type":"event_callback","event":{"type":"tokens_revoked"}}}'
    )
    assert wire.acknowledged == ["2"]


def _renumbered(payload: dict[str, Any], number: str) -> dict[str, Any]:
    """Give the payload marks of its own where it has any, so that it is no second delivery."""
    for name in ("trigger_id", "event_id"):
        if isinstance(payload.get(name), str) and payload[name] in ("1.2.3", "1.2.4", "Ev1"):
            payload[name] = number
    return payload
