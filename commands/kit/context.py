"""What a command is given when it runs: who asks, where, the fleet's clients, and the memories that it may read.

The memories and what a decision may change are Protocols: the bot implements them, and a command never imports the bot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from commands.kit.audit_filter import EVERYTHING, AuditFilter
from commands.kit.card import Card
from commands.kit.follows import Follows
from commands.kit.policy import Policies
from commands.kit.spec import CommandSpec
from runbooks.kit.diagnosis import UsualCause
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse, Results, StepContext, Stop
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.timeouts import RolloutSettings

if TYPE_CHECKING:
    from runbooks.clients.health import HealthClient
    from runbooks.clients.image_registry.registry import RegistryClient
    from runbooks.clients.kubernetes.cluster import ClusterClient
    from runbooks.clients.kubernetes.connection import ClusterOutage
    from runbooks.deployments.places import Place
    from runbooks.fleet.fleet import Fleet

T = TypeVar("T")


class Denied(Exception):
    """Policy says no. Audited; the sentence, which names the way forward, goes to that person only."""

    def __init__(self, message: str, *, code: ReasonCode) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class Actor(Frozen):
    """Who acts: a listed person with the roles that count in this environment now, or an account that nobody is listed for."""

    key: str
    """The person's key in `omnicare.toml`, or the raw account where nobody is listed."""
    name: str
    listed: bool = True
    surface: str = "slack"
    """slack, terminal or bot."""
    account: str = ""
    """The account that acted: a Slack id, `uid:1000`."""
    shared: bool = False
    """Root or an account that several people share: may look, not change or approve."""


class StepRecord(Frozen):
    """One step of a run, as it was recorded."""

    key: str = ""
    """Empty where a version recorded it that knew steps by their titles."""
    title: str
    status: str
    detail: str = ""
    seconds: float | None = None


class RunRecord(Frozen):
    """A request and its run, as lists and `runs ID` show it."""

    id: str
    """The full id, such as `production.deploy.0f3a…`."""
    short: str
    command: str
    environment: str
    title: str
    text: str
    """As it would be typed again."""
    requester: str
    state: str
    """waiting, running, succeeded, failed, cancelled, denied, withdrawn, expired, nothing-to-do, dry-run."""
    reason_code: str | None = None
    ending: str = ""
    """How it ended, in one line, with the cause: its result's title."""
    lines: tuple[str, ...] = ()
    """What was so then, in the result's order."""
    at: datetime
    ended: datetime | None = None
    approved_by: tuple[str, ...] = ()
    digest: str | None = None
    word: str | None = None
    """The random word of its card as it stands now; only the bot's own renderers may see it."""
    steps: tuple[StepRecord, ...] = ()
    card: Card | None = None
    """The newest card of its head message."""
    rolled: bool = False
    """Its plan changes what runs."""
    regions: tuple[str, ...] = ()
    """The regions that its plan is limited to; empty where it is about all of them."""
    moved: tuple[tuple[str, str], ...] = ()
    """The versions that its plan goes from and to, each pair once."""
    untouched: bool = False
    """It ended before any service that its plan replaces was begun."""
    left_undecided: bool = False
    """It ended without success after it had begun to change what runs: somebody has to decide, until somebody does."""
    follows: str | None = None
    """The run that it tries again, or goes back from."""
    held_by: str | None = None
    """While it waits before its next change: whose word it waits for."""
    held_since: datetime | None = None
    waits: str = ""
    """What it does or waits for before anybody can be asked for approval."""
    starts: datetime | None = None
    """While it waits for its time."""
    go_by: str | None = None
    """Who said go to it."""
    link: str | None = None
    """The address of its thread, while that is open."""


class ToDecide(Frozen):
    """A request that waits for somebody's approval."""

    record: RunRecord
    card: Card
    """As it stands in the thread, with its buttons."""


class RunsMemory(Protocol):
    """What runs and ran."""

    async def find(self, run: str) -> RunRecord:
        """By full or short id; `Denied(UNKNOWN_RUN)` where there is none, or more than one that begins so."""
        ...

    async def recent(
        self, *, environment: str | None = None, limit: int = 20, active: bool = False
    ) -> Sequence[RunRecord]:
        """The newest first; `active`: only those that wait or run."""
        ...

    async def to_decide(self, actor: Actor) -> "Sequence[ToDecide]":
        """What this person may approve or deny now, the oldest first."""
        ...


class AuditHistoryEvent(Protocol):
    """One audit event, as a search finds it (`bot.audit.Entry`)."""

    @property
    def seq(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def actor(self) -> str | None: ...
    @property
    def environment(self) -> str | None: ...
    @property
    def command(self) -> str | None: ...
    @property
    def run(self) -> str | None: ...
    @property
    def reason_code(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def details(self) -> Mapping[str, Any]: ...


class AuditHistory(Protocol):
    """The audit log, for reading."""

    async def search(self, wanted: AuditFilter = EVERYTHING) -> Sequence[AuditHistoryEvent]:
        """Events that match, newest first."""
        ...


class Grant(Frozen):
    """One permission of a person in one environment, and what gives it."""

    permission: str
    environment: str
    role: str
    through: str
    """`omnicare.toml`, or the user group that adds the role."""


class Authority(Protocol):
    """Who may do what, and why."""

    async def grants(self, actor: Actor) -> Sequence[Grant]:
        """Everything that this person may do."""
        ...

    async def may(self, actor: Actor, permission: str | None, environment: str | None) -> bool:
        """Whether the person has the permission there."""
        ...

    async def holders(self, permission: str, environment: str) -> Sequence[str]:
        """The keys of the people who have a permission there."""
        ...

    def name(self, key: str) -> str:
        """A person's name for people; the key itself where nobody is listed."""
        ...

    def roles_with(self, permission: str, environment: str) -> Sequence[str]:
        """The roles that give a permission there: whom to ask."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything that a command may use."""

    actor: Actor
    environment: Environment | None
    """Where the request acts; None for commands that have no place."""
    environments: Mapping[str, Environment] = field(default_factory=dict)
    cluster: "ClusterClient"
    registry: "RegistryClient"
    fleet: "Fleet"
    health: "HealthClient"
    patience: RolloutSettings = field(default_factory=RolloutSettings)
    """How long rollouts wait, and when they explain for what."""
    runs: RunsMemory
    audit_log: AuditHistory
    authority: Authority
    policies: Policies
    menu: Sequence[CommandSpec] = ()
    now: datetime
    """In the reader's zone where that is known, else UTC."""
    deadline: float = 20.0
    """Seconds in which a query must be answered."""
    run_id: str | None = None
    """Of the run that asks, where one does."""
    follows: Follows = field(default_factory=Follows)
    """Answers that go on for a while."""
    approved_by: tuple[str, ...] = ()
    """Names of those who approved it."""
    reason: str | None = None
    clients: Mapping[type, object] = field(default_factory=dict)
    """What the configuration gives the environment: clients and settings, each by its class."""
    others: "Callable[[str], Context] | None" = None
    """Gives what a command of that environment is given, for commands that look at several."""
    regions: Mapping[str, Mapping[type, object]] = field(default_factory=dict)
    """Region → the clients that are others there, each by its class; empty where the environment has one cluster."""

    def unanswered(self, region: str) -> "ClusterOutage":
        """Return how long the region's cluster has not answered; empty: the one cluster, or the home region's."""
        place = next((place for place in self.places if place.name == region), None) if region else None
        return (place.cluster if place is not None else self.cluster).unanswered()

    def at(self, environment: str) -> "Context":
        """Return what a command of that environment is given."""
        assert self.others is not None, "the bot gives it to every command"
        return replace(self.others(environment), now=self.now)

    def within(self, region: str | None) -> "Context":
        """Return what a command is given for that region, or for the home region. Raises PermanentError for a region that there is not."""
        from runbooks.deployments.places import named

        if not (region or self.where.home):
            return self
        (place,) = named(self.places, (region or self.where.home,))
        return replace(self, environment=place.environment, cluster=place.cluster)

    def find(self, kind: type[T]) -> T | None:
        """Return the environment's client or settings of that class; None where the configuration has none."""
        return cast("T | None", self.services.get(kind))

    def use(self, kind: type[T], table: str, what: str = "") -> T:
        """Return the environment's client or settings of that class; `what`: their name for people, where it is not the table's.

        Raises PermanentError(NOT_CONFIGURED), which names the missing `[environments.NAME.TABLE]`, where the configuration has none.
        """
        found = self.find(kind)
        if found is None:
            where = self.where.name
            raise PermanentError(
                f"{where} has no {what or table} configured.",
                code=ReasonCode.NOT_CONFIGURED,
                advice=(f"Add `[environments.{where}.{table}]` to `omnicare.toml`.",),
            )
        return found

    @property
    def services(self) -> dict[type, object]:
        """Every client and table of settings, each by its class."""
        from runbooks.fleet.fleet import Fleet

        common = (self.cluster, self.registry, self.health, self.patience)
        return {**{type(each): each for each in common}, Fleet: self.fleet, **self.clients}

    def step(self, pulse: Pulse, results: Results | None = None) -> StepContext:
        """Return what a step of a run is given; clients and settings are found there by their class."""
        return StepContext(
            pulse=pulse,
            environment=self.where,
            asked_by=self.actor.name,
            approved_by=self.approved_by,
            services=self.services,
            results=results or Results(),
            regions=self.regions,
        )

    def without_record(self, left: Mapping[str, str] | None = None) -> "Context":
        """Return the context of a run that goes on without the fleet's record. `left`: the versions that earlier runs went back from, and why."""
        from runbooks.fleet.absent import AbsentRecord

        return replace(self, fleet=AbsentRecord(self.cluster, self.run_id or "", by=self.actor.name, left=left))

    @property
    def places(self) -> tuple["Place", ...]:
        """Each region with its cluster, in the order in which a release reaches them; the one cluster where there are no regions."""
        from runbooks.deployments.places import places_of

        return places_of(self.where, self.cluster, self.regions)

    @property
    def where(self) -> Environment:
        """The environment; for commands that always have one."""
        assert self.environment is not None, "this command has no environment"
        return self.environment


class Outcome(Frozen):
    """How a run ended: stored with the run, so JSON; told as a card by the command's `card`."""

    code: ReasonCode
    title: str
    """One line: "v2.0.0 runs in production"."""
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    """What is now, in the order in which a person needs it."""
    message: str = ""
    """What Kubernetes (or whatever failed) itself said."""
    evidence: tuple[str, ...] = ()
    """Which pod, conditions, events: redacted before they are stored."""
    log: tuple[str, ...] = ()
    """The last lines that the container said; `before_exit`: in the life that ended."""
    before_exit: bool = False
    causes: tuple[UsualCause, ...] = ()
    """What often is behind such a failure, and what to do about each."""
    advice: tuple[str, ...] = ()
    """What to do, in sentences."""
    step: str | None = None
    """The step where it stopped."""
    undone: bool = False
    """It failed before it changed anything, or all that it had changed was undone: nothing is left to decide."""
    untouched: bool = False
    """It ended before any service that its plan replaces was begun: there is no release to roll back."""
    remains: tuple[str, ...] = ()
    """Regions where it could not be done and services that do not run completely, so that somebody has to decide about them."""
    stop: Stop | None = None
    kubectl: tuple[str, ...] = ()
    """The exact lines with which a person goes on by hand."""
    data: dict[str, object] = {}
    run: str = ""
    environment: str = ""

    @property
    def ok(self) -> bool:
        """It did what it was asked to."""
        return self.code in (ReasonCode.SUCCEEDED, ReasonCode.NOTHING_TO_DO, ReasonCode.DRY_RUN)
