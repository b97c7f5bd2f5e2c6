"""What an operation is made of: steps, what one is given when it is done, and how it speaks and listens.

A plan is a list of steps (`runbooks.kit.plan`). Each is a frozen value that is stored with the plan, approved with it and read
back into its own class by its `kind`: a new kind is a class here or in any module of `runbooks`, and nothing else has to know it.

A killed step runs again, so `apply` is idempotent: it looks at what is there before it changes something. What it returns is JSON of
the type that it declares, made from JSON on the first pass too. It fails by raising a `RunbookError`; a `TemporaryError` is tried
again after its `retry_after`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from pydantic import JsonValue, SerializeAsAny, TypeAdapter, WrapValidator

from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen

S = TypeVar("S", bound="Step")
T = TypeVar("T")
P = ParamSpec("P")


class Stop(Frozen):
    """Somebody asked the run to stop: a person (cancel), or a rollback that takes its place."""

    kind: Literal["cancelled", "overtaken"]
    by: str
    """A person's name, or the run that takes over."""
    reason: str = ""


class Stopped(Exception):
    """A step saw the request to stop and ended early, leaving what it changed as it is."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(f"{stop.kind} by {stop.by}")
        self.stop = stop


class Pulse(Protocol):
    """A running step's way to speak and to listen."""

    @property
    def run(self) -> str:
        """The run's id, which is stamped on what the step changes."""
        ...

    def say(self, detail: str) -> None:
        """Progress for people, such as "2/3 new pods ready". May be dropped; never waits."""
        ...

    async def stop(self) -> Stop:
        """Returns when somebody has asked the run to stop; until then it waits."""
        ...


UNDO = "revert:"
"""Before the key of a step: its being undone, as a step of its own."""


class StepName(Frozen):
    """What a step is known by, how people read it, and what it changes."""

    key: str
    """Stable: `rollout:backend`. What a run did and what is left of it goes by keys and targets, never by titles."""
    title: str
    targets: tuple[str, ...] = ()
    """Names of the services whose pods it replaces."""


# how a step is shown in the plan


class Cell(Frozen):
    """One cell of a plan's table."""

    text: str = ""
    strong: bool = False
    url: str | None = None
    """Where the text leads to (https, or http in the sandbox)."""
    since: str | None = None
    """A time (ISO 8601) that stands after the text, with its age."""
    at: str | None = None
    """A time (ISO 8601) that stands before the text, with its age."""
    seconds: float | None = None
    """A duration, instead of a text."""


class Shown(Frozen):
    """Rows of a plan's table; steps that follow each other and have the same columns share one."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    label: str = ""
    summary: str = ""
    """Said before the rows, under that label: what they come to."""
    settled: "Shown | None" = None
    """Rows that need nobody's eyes before the decision: small print."""


class Brief(Frozen):
    """A step in a few words, for the one line in the channel: `backend` and `v1.2.0 → v2.0.0`; `restart of`, `backend` and `on v1.2.0`."""

    subject: str
    change: str = ""
    act: str = ""
    """Said before the subject."""


class Undo(Frozen):
    """How a person undoes a step: the exact lines, and where they lead in words (`v1.2.0`)."""

    leads_to: str
    lines: tuple[str, ...]


# results


class BestEffort(Frozen):
    """What a step returns that is not worth ending a run: a failure is told by it instead of being raised. `deploy` and `rollback` tell all of them."""

    problem: str = ""
    """What was not done and why, in a sentence; empty where it was done."""
    to_do: tuple[str, ...] = ()
    """What a person can do about that, in sentences."""


class Results:
    """What the finished steps of a run returned, as JSON."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Step, JsonValue]] = {}

    def keep(self, step: "Step", value: JsonValue) -> None:
        """Adds what a step returned."""
        self._kept[step.key] = (step, value)

    def value(self, key: str) -> JsonValue:
        """Return what the step with that key returned, as JSON; None where it has not finished."""
        return self._kept[key][1] if key in self._kept else None

    def each(self, kind: type[S], result: type[T]) -> list[tuple[S, T]]:
        """Return the finished steps of one class with their results, in order."""
        adapter: TypeAdapter[T] = TypeAdapter(result)
        return [(step, adapter.validate_python(value)) for step, value in self._kept.values() if isinstance(step, kind)]

    def only(self, kind: "type[Step]", result: type[T]) -> T:
        """Return the result of the one finished step of that class; `PermanentError` where there is none."""
        found = self.each(kind, result)
        if not found:
            raise PermanentError(f"The step {kind.__name__} has not finished.", code=ReasonCode.BUG)
        return found[0][1]

    def problems(self) -> list[BestEffort]:
        """Return what the finished steps tried and could not do, in order."""
        found = []
        for step, value in self._kept.values():
            declared = get_type_hints(step.apply)["return"]
            if isinstance(declared, type) and issubclass(declared, BestEffort):
                result = declared.model_validate(value)
                found += [result] if result.problem else []
        return found

    def stored(self) -> dict[str, JsonValue]:
        """Return all of them by their steps' keys."""
        return {key: value for key, (_, value) in self._kept.items()}

    @classmethod
    def read(cls, steps: "Iterable[Step]", stored: Mapping[str, JsonValue]) -> "Results":
        """Return what `stored` was made of."""
        made = cls()
        for step in steps:
            if step.key in stored:
                made.keep(step, stored[step.key])
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What a step is given when it is done or undone."""

    pulse: Pulse
    environment: Environment
    asked_by: str = ""
    """The requester's name."""
    approved_by: tuple[str, ...] = ()
    services: Mapping[type, object] = field(default_factory=dict)
    """Clients and settings, each by its class."""
    results: Results = field(default_factory=Results)
    """Of the steps before."""
    regions: Mapping[str, Mapping[type, object]] = field(default_factory=dict)
    """Region → the clients that are others there, each by its class."""

    def within(self, region: str) -> "StepContext":
        """Return what a step of that region is given; this very context where the environment has none."""
        if not region:
            return self
        if region not in self.regions:
            raise PermanentError(
                f"The configuration of {self.environment.name} has no region {region}.", code=ReasonCode.NOT_CONFIGURED
            )
        services = {**self.services, **self.regions[region]}
        return replace(self, environment=self.environment.within(region), services=services)

    @property
    def run(self) -> str:
        """The run's id."""
        return self.pulse.run

    def use(self, kind: type[T]) -> T:
        """Return the client or the settings of that class; `PermanentError` where the configuration has none."""
        if kind not in self.services:
            raise PermanentError(
                f"The configuration of {self.environment.name} has no {kind.__name__}.", code=ReasonCode.NOT_CONFIGURED
            )
        return cast("T", self.services[kind])


# steps

_KINDS: dict[str, type["Step"]] = {}
"""Each class of steps under its kind, as soon as its module is imported."""


class Step(Frozen):
    """One thing that a run does. A subclass has a `kind` of its own, a `key`, a `title`, and `apply`."""

    kind: str
    beside: bool = False
    """At the same time as the step before it."""
    region: str = ""
    """Where it is done; empty where the environment has one cluster, and for what is done once, in the home region."""
    later: bool = False
    """Not done by the run but at its end, once the home region's cluster answers: the run goes on without the record."""

    hidden: ClassVar[bool] = False
    """Left out of the progress message: in the audit log only."""
    decides: ClassVar[bool] = True
    """Where a run with such a step fails or is stopped, the environment is undecided until somebody decides."""
    settles: ClassVar[bool] = True
    """Where a run with such a step succeeds, what was undecided before is decided: by it runs what people wanted."""
    remembered: ClassVar[bool] = False
    """Once done it is left out of a retry. False: the planner looks itself at what is left."""
    carried: ClassVar[bool] = True
    """An approval of it may count for a retry too."""
    finishes: ClassVar[bool] = False
    """Where it fails, all else is done: the end of the run goes on trying it, and nothing is undecided once that succeeds."""

    comes_first: ClassVar[bool] = False
    """It only looks, before anything is changed: where it fails nothing is undecided, and no rollback follows."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if not isinstance(kind, str):
            return  # a base of other kinds
        other = _KINDS.setdefault(kind, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two kinds of step are called {kind}: {other.__qualname__} and {cls.__qualname__}")
        if missing := [name for name in ("title", "apply") if getattr(cls, name) is getattr(Step, name)]:
            raise TypeError(f"{cls.__qualname__}: a step needs {' and '.join(missing)}")

    @property
    def key(self) -> str:
        """What the step is known by, the same in each plan for the same thing: `rollout:backend`."""
        name = f"{self.kind}:{self.target}" if self.target else self.kind
        return f"{name}@{self.region}" if self.region else name

    @property
    def place(self) -> str:
        """` in us`, for its title; empty where the environment has one cluster."""
        return f" in {self.region}" if self.region else ""

    @property
    def target(self) -> str:
        """What it is about: a service, a queue, a database."""
        return ""

    @property
    def title(self) -> str:
        """For people: `Backend rollout`."""
        raise NotImplementedError

    @property
    def word(self) -> str:
        """In the order of the steps: `backend`, `a check`."""
        return self.title[:1].lower() + self.title[1:]

    def changes(self) -> dict[str, JsonValue]:
        """Return what it will change, which an approval is bound to; nothing where it only looks."""
        return {}

    def shown(self) -> Shown | None:
        """Return its rows in the plan's table."""
        return None

    def in_short(self) -> tuple[Brief, ...]:
        """Return what it changes in a few words."""
        return (Brief(subject=self.title),) if self.changes() else ()

    def by_hand(self) -> tuple[str, ...]:
        """Return the exact lines by which a person does it."""
        return ()

    def undo_by_hand(self) -> Undo | None:
        """Return the exact lines by which a person undoes it."""
        return None

    def replaces(self) -> dict[str, str | None]:
        """Return the services whose pods it replaces, each with the version that it had before."""
        return {}

    def goes_on(self) -> tuple[str, ...]:
        """Return what happens by itself though the run was stopped in the middle of it, in sentences."""
        return ()

    def done_late(self) -> str:
        """Return what is so once it was done after its run had ended, without a full stop."""
        return f"{self.title} is done now"

    def completes(self, approved: "Step") -> bool:
        """Whether it does only what is left of the same step of a plan that was approved."""
        return self.changes() == approved.changes()

    @property
    def may_do_nothing(self) -> bool:
        """Whether it was planned without knowing that there is anything to do: a later plan may be without it."""
        return False

    @property
    def left_out(self) -> str:
        """How a person does it afterwards, as a sentence, where it is left out rather than asked for again; empty where it is asked for."""
        return ""

    def ends_as(self, confirmed: "Step") -> bool:
        """Whether a yes to the same step of another plan covers it: it changes the same, or a subclass can tell that more leads just there."""
        return self.changes() == confirmed.changes()

    def resumed(self, before: "Step", done: Collection[str]) -> "Step":  # noqa: ARG002 - a subclass rests on what was done
        """Return it as a retry does it. `before`: the same step in the plan of the run before, which has done the steps with these keys."""
        return self

    async def apply(self, context: StepContext) -> object:
        """Do it; the subclass declares what is returned."""
        raise NotImplementedError

    async def revert(self, context: StepContext) -> None:
        """Undo it, whether or not all of it was done. Where it can't be undone the subclass leaves this out."""
        raise NotImplementedError

    @property
    def label(self) -> StepName:
        """Its key and title, and what it replaces."""
        return StepName(key=self.key, title=self.title, targets=tuple(self.replaces()))

    @property
    def reversible(self) -> bool:
        """Whether it can be undone."""
        return type(self).revert is not Step.revert

    @property
    def temporary(self) -> bool:
        """Whether it changes something only for a while."""
        return type(self).put_back is not Step.put_back

    async def put_back(self, context: StepContext) -> str:  # noqa: ARG002 - what a subclass changed
        """Take back what it changed only for a while, or tell others that the run is over, however its run ended. The lease waits for it, so it takes a few seconds at most.

        Return what is left, and what people can do about it, in sentences; empty where nothing is.
        """
        return ""


def kinds() -> frozenset[str]:
    """Return the kinds of all steps whose modules are imported."""
    return frozenset(_KINDS)


class UnknownStep(Step):
    """A step of a kind that this version does not know: shown, never done."""

    stored: dict[str, JsonValue] = {}
    """As it was read."""

    @property
    def title(self) -> str:
        return f"Unknown step ({self.kind})"

    def changes(self) -> dict[str, JsonValue]:
        return {"kind": self.kind, "stored": self.stored}

    async def apply(self, context: StepContext) -> None:  # noqa: ARG002 - whatever it is
        raise PermanentError(
            f"This version of the bot does not know steps of the kind {self.kind}. Request it again.",
            code=ReasonCode.CHANGED_MEANWHILE,
        )


def _read(value: object, handler: Callable[[object], Step]) -> Step:
    if isinstance(value, Step) or not isinstance(value, dict):
        return handler(value)
    kind = str(value.get("kind"))
    if kind in _KINDS:
        return _KINDS[kind].model_validate(value)
    return UnknownStep(kind=kind, stored=value.get("stored", value))


StoredStep = Annotated[SerializeAsAny[Step], WrapValidator(_read)]
"""A step as a field: read back into the class of its kind."""


async def applied(step: Step, context: StepContext) -> JsonValue:
    """Do a step where it belongs and return its result as JSON, which is kept in `context.results` by whoever asks."""
    result = await step.apply(context.within(step.region))
    return cast("JsonValue", result_adapter(step.apply).dump_python(result, mode="json"))


# for tests and scripts


class PlainPulse:
    """A pulse that remembers what was said, for tests and scripts."""

    def __init__(self, run: str) -> None:
        self._run = run
        self.said: list[str] = []
        self._stop: asyncio.Future[Stop] | None = None
        self._asked: Stop | None = None

    @property
    def run(self) -> str:
        return self._run

    def say(self, detail: str) -> None:
        self.said.append(detail)

    def ask_to_stop(self, stop: Stop) -> None:
        """What a person's *Cancel* does in the bot."""
        self._asked = stop
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(stop)

    async def stop(self) -> Stop:
        if self._asked is not None:
            return self._asked
        if self._stop is None:
            self._stop = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._stop)


async def done(steps: "Iterable[Step]", context: StepContext) -> Results:
    """Do the steps one after the other, plainly, and return their results."""
    for step in steps:
        context.results.keep(step, await applied(step, context))
    return context.results


def result_adapter(function: Callable[..., Awaitable[T]]) -> TypeAdapter[T]:
    """Reads and writes what a step returns, by its declared return type."""
    return TypeAdapter(get_type_hints(function)["return"])
