"""The Slack surface against the sandbox's Slack: real Bolt over a real WebSocket, and a dispatcher that remembers what came in.

Every payload that leaves in these tests is held against Slack's own schemas at the end, where they are there.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import SecretStr

from bot.boundary.inbound import Answer, CommandChoice, Exit, Form, FormField, Inbound, ParsedInbound
from bot.config.sections import SlackSettings
from bot.process.supervision import Supervisor
from bot.surfaces.slack.inbound.home_tab import HomeSettings
from bot.surfaces.slack.surface import SlackSurface
from commands.kit.card import Card, OpenForm, words
from commands.kit.spec import Kind
from sandbox.slack.server import SlackServer
from sandbox.slack.settings import SlackApp
from sandbox.slack.settings import SlackSettings as SandboxSettings
from sandbox.slack.workspace import Channel, Group, Person, Workspace

SCHEMAS = os.environ.get("SLACK_SCHEMA_DIR", "")
SHORT = SandboxSettings(
    acknowledge_within=0.6,
    ping_every=0.2,
    warn_before_refresh=1.0,
    event_retry_after=(0.05, 0.1, 0.1),
    rate_limits=False,
)
"""For what Slack does when an acknowledgement does not come."""
PATIENT = replace(SHORT, acknowledge_within=60.0)
"""For everything else: a busy machine acknowledges late, too."""
SECRET = "hunter2"  # what the tests' redactor hides


class Names:
    """A directory of three people."""

    people = {"requester": "U1REQUESTER", "approver": "U2APPROVER", "outsider": "U3OUTSIDER"}

    def by_slack(self, account: str) -> str | None:
        return next((key for key, value in self.people.items() if value == account), None)

    def slack_id(self, key: str) -> str | None:
        return self.people.get(key)

    def name(self, key: str) -> str:
        return key.capitalize() if key in self.people else key


def card(text: str, **more: Any) -> Card:
    return Card(title=words(text), summary=text, **more)


def hide(text: str) -> str:
    return text.replace(SECRET, "[secret]")


@dataclass
class FakeDispatcher:
    """Remembers deliveries, answers what the test says; `gate` holds it open or shut."""

    taken: list[Inbound] = field(default_factory=list)
    forms: list[tuple[Inbound, OpenForm]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    form_answer: Form | Answer | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def parse(self, inbound: Inbound) -> ParsedInbound:
        return ParsedInbound(inbound=inbound, kind=self._kind(self._word(inbound)))

    @staticmethod
    def _kind(word: str) -> Kind | None:
        if word in {"deploy", "rollback"}:
            return Kind.OPERATION
        if word in {"approve", "deny"}:
            return Kind.DECISION
        return Kind.QUERY if word in {"status", "logs", "whoami", "runs", "home"} else None

    async def take(self, came: Inbound | ParsedInbound) -> Answer:
        inbound = came.inbound if isinstance(came, ParsedInbound) else came
        self.taken.append(inbound)
        self.arrived.set()
        await self.gate.wait()
        if inbound.filled is None and not (inbound.text or "").strip():
            return Answer(card=card("What you may run"))
        return self.answers.get(self._word(inbound), Answer(card=card(f"answer to {self._word(inbound)}")))

    async def form(self, inbound: Inbound, asked: OpenForm) -> Form | Answer:
        self.forms.append((inbound, asked))
        return self.form_answer or deploy_form(asked.filled)

    async def choices(self, inbound: Inbound) -> tuple[CommandChoice, ...] | Answer:
        if inbound.account == "U3OUTSIDER":
            return Answer(card=card("Your account is not listed"), exit=Exit.DENIED)
        return (
            CommandChoice(name="status", summary="Show what runs", group="Look"),
            CommandChoice(name="deploy", summary="Deploy a release", group="Act"),
        )

    @staticmethod
    def _word(inbound: Inbound) -> str:
        if inbound.filled is not None:
            return inbound.filled.command
        return (inbound.text or "").split(" ")[0]


def deploy_form(filled: dict[str, str]) -> Form:
    return Form(
        command="deploy",
        title="Deploy",
        intro="Deploy a release.",
        submit="Request",
        fields=(
            FormField(
                name="version",
                label="Version",
                hint="a git tag",
                required=True,
                suggested=True,
                filled=filled.get("version", ""),
            ),
            FormField(
                name="env",
                label="Environment",
                hint="where to",
                required=True,
                options=("production", "staging"),
                filled="staging",
            ),
            FormField(name="dry_run", label="Dry run", hint="only show the plan", required=False, flag=True),
            FormField(name="reason", label="Reason", hint="why", required=False, long=True),
        ),
    )


@dataclass
class Slack:
    """The sandbox's Slack, the surface under test, and the dispatcher behind it."""

    server: SlackServer
    surface: SlackSurface
    dispatcher: FakeDispatcher
    supervisor: Supervisor

    @property
    def workspace(self) -> Workspace:
        return self.server.workspace

    def sent(self, method: str) -> list[dict[str, Any]]:
        return [one.body for one in self.server.record if one.method == method]

    def whispers(self, person: str = "requester") -> list[str]:
        return [message.text for message in self.workspace.ephemerals(person)]

    async def until(self, true: Callable[[], bool], *, person: str = "requester") -> None:
        """Until it holds; looked at whenever the workspace changes."""
        async with asyncio.timeout(60), self.workspace.subscribe(person) as events:
            while not true():
                with suppress(TimeoutError):  # not everything that is waited for is an event of the workspace
                    await asyncio.wait_for(events.queue.get(), 0.05)


Start = Callable[..., Awaitable[Slack]]


def seeded(settings: SandboxSettings) -> Workspace:
    workspace = Workspace(
        settings=settings,
        app=SlackApp(
            events=frozenset({"app_home_opened", "app_mention", "message.im", "subteam_members_changed"}),
            shortcuts={"omnicare_menu": "Run a command"},
            message_shortcuts={
                "omnicare_run": "Show this run",
                "omnicare_thread": "Run a command here",
                "omnicare_diagnose": "Diagnose from here",
            },
        ),
    )
    workspace.add_person(Person("U1REQUESTER", "requester", "Requester", "Release manager"))
    workspace.add_person(Person("U2APPROVER", "approver", "Approver", tz="Europe/Zurich"))
    workspace.add_person(Person("U3OUTSIDER", "outsider", "Outsider"))
    bot = workspace.app.user_id
    everybody = {"U1REQUESTER", "U2APPROVER", "U3OUTSIDER"}
    workspace.add_channel(Channel("C1DEPLOYS", "deploys", members={*everybody, bot}))
    workspace.add_channel(Channel("C2ELSEWHERE", "elsewhere", members=set(everybody)))
    workspace.add_channel(Channel("C3CLOSED", "closed", is_private=True, members=set(everybody)))
    workspace.add_group(Group("S0APPROVERS", "release-approvers", "Release approvers", frozenset({"U2APPROVER"})))
    return workspace


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts the world, with other settings where a test needs them."""
    async with AsyncExitStack() as stack:
        servers: list[SlackServer] = []

        async def started(
            *,
            sandbox: SandboxSettings = PATIENT,
            connect: bool = True,
            redact: Callable[[str], str] = hide,
            **settings: Any,
        ) -> Slack:
            server = await stack.enter_async_context(SlackServer(seeded(sandbox)))
            servers.append(server)
            made = SlackSettings(
                api_url=server.api_url,
                bot_token=SecretStr(server.bot_token),
                **{
                    "app_token": SecretStr(server.app_token),
                    "connections": 1,
                    "progress_seconds": 0.05,
                    "edits_per_minute": 6000,
                    "stale_seconds": 20.0,
                }
                | settings,
            )
            supervisor = Supervisor(first_pause=0.05, longest_pause=0.2, dead_after=0.3)
            stack.push_async_callback(supervisor.close)
            surface, dispatcher = (
                SlackSurface(made, names=Names(), redact=redact, supervisor=supervisor),
                FakeDispatcher(),
            )
            surface.open(dispatcher, suggest=_suggest, home=HomeSettings(every=0.1, apart=0.02, each=0.02))
            stack.push_async_callback(surface.close, drain=0.5)
            if connect:
                await surface.start()
                await server.socket.wait_connected(made.connections)
            return Slack(server, surface, dispatcher, supervisor)

        yield started
        for server in servers:
            hold_against_schemas(server)


async def _suggest(inbound: Inbound, name: str, values: object, typed: str) -> Sequence[str]:
    return [each for each in ("v2.0.0", "v1.2.0") if typed in each] if name == "version" else []


@pytest.fixture
async def slack(start: Start) -> Slack:
    return await start()


@cache
def schema(name: str) -> Any:
    return json.loads((Path(SCHEMAS) / name).read_text())


@cache
def validator(name: str) -> Any:
    return jsonschema.Draft7Validator(schema(name))


def hold_against_schemas(server: SlackServer) -> None:
    """Everything that left."""
    for one in server.record:
        if SCHEMAS and one.body.get("blocks"):
            validator("message.schema.json").validate(
                {"text": one.body.get("text", ""), "blocks": _json(one.body["blocks"])}
            )
        if SCHEMAS and one.body.get("view"):
            validator("view.schema.json").validate(_json(one.body["view"]))
        assert SECRET not in json.dumps(one.body), f"{one.method} carried the secret"


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
