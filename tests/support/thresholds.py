"""The real dispatcher with the real book, permissions, people and registry, before an engine and a Slack that only remember.

Used by the tests of the dispatcher, of permissions and of attacks: what reaches the engine is a list that they look at.
"""

# ruff: noqa: ARG002 - the signatures of what stands behind the dispatcher

import pwd
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

from bot.app import Contexts
from bot.audit import AuditLog, Entry, EventName
from bot.boundary.accounts import AccountState
from bot.boundary.inbound import Answer, Filled, Inbound, Location, Surface
from bot.clients import clients_of
from bot.composition import durable_runs, make_dispatcher
from bot.config import Settings, validate
from bot.policy.approvals import PendingApproval
from bot.policy.people import People
from bot.policy.permissions import Permissions
from bot.process.metrics import ProcessMetrics
from bot.runs.engine import Engine, WorkflowView
from bot.runs.model import Request, RequestState
from commands.kit import registry
from commands.kit.audit_filter import AuditFilter
from commands.kit.follows import Follows
from runbooks.clients.health import HealthClient
from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.redaction.redactor import default_redactor

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAEMON = pwd.getpwuid(1).pw_name
"""An operating-system user that every machine has; its account in a terminal is `uid:1`."""

REQUESTER, APPROVER, OUTSIDER = "U1REQUESTER", "U2APPROVER", "U3OUTSIDER"
SECOND, STAGER, AUDITOR, KIOSK, GUEST = "U4SECOND", "U5STAGER", "U6AUDITOR", "U7KIOSK", "U8GUEST"
APPROVERS_PHONE = "U2PHONE"
DEPLOYS, TEST_BED, GENERAL = "C1DEPLOYS", "C2STAGING", "C3GENERAL"

_HERE = Location(channel=DEPLOYS)

_EVERYWHERE = {
    "fleet:read": ["asks", "approves", "audits"],
    "logs:read": ["asks", "approves"],
    "rollout:write": ["asks"],
    "rollout:approve": ["approves"],
    "rollout:back": ["asks", "approves"],
    "rollout:go": ["approves"],
    "run:cancel": ["approves"],
    "lock:write": ["asks"],
    "database:read": ["asks", "approves"],
    "database:restore": ["asks"],
    "sync:read": ["asks", "approves"],
    "sync:write": ["asks"],
    "data:approve": ["approves"],
    "audit:read": ["audits"],
}


def configuration() -> dict[str, Any]:
    """As `omnicare.toml` would say it: two environments, one person who is somebody in staging only."""

    def environment(name: str, permissions: dict[str, list[str]]) -> dict[str, Any]:
        return {
            "namespace": f"omnicare-{name}",
            "channel": DEPLOYS if name == "production" else TEST_BED,
            "services": [
                {"name": "backend", "repository": "ghcr.io/omnicare/backend"},
                {"name": "frontend", "repository": "ghcr.io/omnicare/frontend"},
            ],
            "permissions": permissions,
            "approval": {"disruptive": {"count": 1, "permission": "rollout:approve"}},
            "going_back": {"count": 1, "permission": "rollout:back", "own": True},
        }

    return {
        "bot": {"default_environment": "production"},
        "people": {
            "requester": {"name": "Requester", "slack": REQUESTER, "user": DAEMON, "roles": ["asks"]},
            "approver": {
                "name": "Approver",
                "slack": APPROVER,
                "others": [APPROVERS_PHONE],
                "roles": ["approves"],
            },
            "second": {"name": "Second", "slack": SECOND, "roles": ["approves"]},
            "stager": {"name": "Stager", "slack": STAGER, "roles": ["stages"]},
            "auditor": {"name": "Auditor", "slack": AUDITOR, "roles": ["audits"]},
            "kiosk": {"name": "Kiosk", "slack": KIOSK, "shared": True, "roles": ["asks", "approves", "audits"]},
            "guest": {"name": "Guest", "slack": GUEST, "roles": ["asks", "approves"]},
        },
        "roles": {
            "asks": {"about": "asks"},
            "approves": {"about": "approves"},
            "audits": {"about": "looks"},
            "stages": {"about": "all of staging"},
            "on-call": {"about": "is on call today", "group": "S0ONCALL"},
        },
        "channels": {DEPLOYS: "production", TEST_BED: "staging"},
        "environments": {
            "production": environment("production", {name: [*roles] for name, roles in _EVERYWHERE.items()}),
            "staging": environment("staging", {name: [*roles, "stages"] for name, roles in _EVERYWHERE.items()}),
        },
    }


class Accounts:
    """What Slack would say of accounts and groups; it counts how often it is asked."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self.silent = False
        self.groups: dict[str, frozenset[str]] = {}
        self.asked: list[tuple[str, bool]] = []

    async def standing(self, account: str, *, fresh: bool) -> AccountState:
        self.asked.append((account, fresh))
        if self.silent:
            return AccountState(ok=False, known=False, why="Slack did not say")
        why = self.refused.get(account)
        return AccountState(ok=why is None, why=why or "")

    async def group(self, group: str) -> frozenset[str]:
        return frozenset() if self.silent else self.groups.get(group, frozenset())


@dataclass
class Remembering:
    """An engine that starts nothing: it remembers what it was to start and to tell, and says where requests stand."""

    started: list[Request] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    states: dict[str, RequestState] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    looks: Callable[[], object] = lambda: None
    """Called at each start, to see what was there before it."""
    broken: bool = False

    def register(self, workflows: object) -> None:
        """Runs none of them."""

    async def start(self, name: str, id: str, input: Any) -> None:  # noqa: A002
        assert name == "request"
        self.looks()
        if self.broken:
            raise OSError("the engine's disk is full of hunter2")
        if id not in {each.id for each in self.started}:
            self.started.append(Request.model_validate(input))

    async def send(self, id: str, message: Any, *, topic: str = "inbox", key: str | None = None) -> None:  # noqa: A002
        if key is None or key not in self.keys:
            self.sent.append((id, message))
        self.keys |= {key} if key else set()

    async def event(self, id: str, key: str, *, timeout: float = 0.0) -> Any:  # noqa: A002, ASYNC109
        state = self.states.get(id)
        return state.model_dump(mode="json") if key == "state" and state else None

    async def view(self, id: str) -> WorkflowView | None:  # noqa: A002
        return next((self._view(each) for each in self.started if each.id == id), None)

    async def list(
        self, *, name: str, prefix: str | list[str] | None = None, limit: int | None = None, active: bool = False
    ) -> list[WorkflowView]:
        prefixes = [prefix] if isinstance(prefix, str) else prefix
        found = [each for each in self.started if prefixes is None or any(map(each.id.startswith, prefixes))]
        views = [self._view(each) for each in reversed(found)]
        return [view for view in views if view.active or not active][:limit]

    def _view(self, request: Request) -> WorkflowView:
        active = request.id not in self.ended
        at = request.at
        return WorkflowView(
            id=request.id,
            input=request.model_dump(mode="json"),
            active=active,
            failed=False,
            at=at,
            updated=at,
            version="1",
        )


class Threshold:
    """The dispatcher, and everything around it that a test looks at."""

    def __init__(
        self,
        settings: Settings,
        audit_log: AuditLog,
        clients: dict[str, ClusterClient] | None,
        images: RegistryClient | None,
    ) -> None:
        self.settings = settings
        self.audit_log = audit_log
        self.accounts = Accounts()
        self.engine = Remembering()
        self.now = NOON
        self.people = People(settings)
        self.permissions = Permissions(settings, self.people, self.accounts)
        behind = clients or dict.fromkeys(settings.environments, cast("ClusterClient", None))
        menu, metrics = registry.load(), ProcessMetrics()
        context = partial(
            Contexts,
            settings,
            clients_of(settings, behind, cast("RegistryClient", images), cast("HealthClient", None)),
            self.permissions,
            audit_log,
            Follows(),
        )
        self.durable = durable_runs(
            settings=settings,
            registry=menu,
            permissions=self.permissions,
            audit_log=audit_log,
            messenger=None,
            engine=cast("Engine", self.engine),
            context=context,
            clock=lambda: self.now,
            redact=default_redactor().text,
            metrics=metrics,
        )
        self.runs = self.durable.decisions
        self.pending = self.durable.pending
        self.dispatcher = make_dispatcher(
            self.durable,
            settings=settings,
            registry=menu,
            people=self.people,
            permissions=self.permissions,
            audit_log=audit_log,
            identity=self.accounts,
            metrics=metrics,
            redact=default_redactor().text,
            clock=lambda: self.now,
        )
        self._acts = 0

    def inbound(self, account: str, text: str | None = None, *, key: str = "", **more: Any) -> Inbound:
        """An act with a key of its own."""
        self._acts += 1
        made = {"surface": Surface.SLACK, "place": _HERE} | more
        return Inbound(key=key or f"act:{self._acts}", account=account, text=text, **made)

    async def type(self, account: str, text: str, **more: Any) -> Answer:
        return await self.dispatcher.take(self.inbound(account, text, **more))

    async def terminal(self, account: str, *tokens: str, **more: Any) -> Answer:
        made = {"surface": Surface.TERMINAL, "tokens": tokens, "place": Location()} | more
        return await self.dispatcher.take(self.inbound(account, **made))

    async def click(self, account: str, command: str, run: str, word: str | None, **values: str) -> Answer:
        """A button of a run's card, or something that looks like one; each click is a delivery of its own."""
        filled = Filled(command=command, values={"run": run, **values}, word=word)
        return await self.dispatcher.take(
            self.inbound(account, key=f"{run}:{command}:{account}:{word}", text=None, filled=filled)
        )

    async def asking(self, text: str = "deploy v2.0.0", account: str = REQUESTER, **more: Any) -> Request:
        """A request that waits for approval; its card's word is `word`."""
        answer = await self.type(account, text, **more)
        assert answer.run is not None, answer
        request = self.engine.started[-1]
        self.wait(request)
        return request

    def wait(self, request: Request, *, word: str = "word", count: int = 1) -> None:
        """The request's workflow says that it asks."""
        policy = self.settings.environments[request.environment].approval
        pending = PendingApproval(
            policy=next(iter(policy.values())).model_copy(update={"count": count}),
            requester=request.requester.key,
            requester_name=request.requester.name,
            digest="d" * 64,
            word=word,
            asked=self.now,
            approvers=("approver", "second"),
        )
        self.engine.states[request.id] = RequestState(phase="asking", word=word, pending=pending, digest="d" * 64)

    def run(self, request: Request, *, word: str = "word") -> None:
        """The request's workflow says that its run goes on."""
        self.engine.states[request.id] = RequestState(phase="running", word=word)

    def later(self, **more: float) -> None:
        self.now += timedelta(**more)

    async def events(self, name: EventName | None = None, **more: Any) -> Sequence[Entry]:
        """Oldest first."""
        found = await self.audit_log.search(AuditFilter(name=name, limit=1000, **more))
        return list(reversed(found))

    async def names(self) -> list[str]:
        return [str(event.name) for event in await self.events()]


@asynccontextmanager
async def threshold(
    folder: Path,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    clients: dict[str, ClusterClient] | None = None,
    images: RegistryClient | None = None,
) -> AsyncIterator[Threshold]:
    raw = configuration()
    change(raw)
    async with AuditLog.open(folder / "audit.sqlite", name="omnicare-0", redactor=default_redactor()) as audit_log:
        yield Threshold(validate(raw), audit_log, clients, images)


def said(answer: Answer) -> str:
    """The words of an answer."""
    assert answer.card is not None, answer
    return answer.card.summary


def code(answer: Answer) -> object:
    """The reason code of an answer."""
    assert answer.card is not None, answer
    return answer.card.data.get("reason_code")
