"""The kinds of command as base classes: each names everything that the dispatcher and the runs may ask of a command.

    class Deploy(Operation):
        \"\"\"Deploy a release.\"\"\"

        meta = OperationMeta(permission="rollout:write", risk=Risk.DISRUPTIVE, examples=["v2.0.0 --env production"])

        version: Version = argument("release to deploy, a git tag")

        async def plan(self, context: Context) -> Plan: ...

The class becomes a frozen dataclass, and an instance is one request: a value that can be stored, hashed and shown. A hook is a method or
property of a base class that a command may override; its default stands here. A wrong definition, such as a method that no base class
names, is refused when it is defined, not when somebody types it.
"""

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self, dataclass_transform, final

from commands.kit.card import Card
from commands.kit.context import Context, Outcome
from commands.kit.disclosure import Disclosure
from commands.kit.follows import LiveState
from commands.kit.policy import ApprovalPolicy, Policies, raised
from commands.kit.spec import (
    CommandMeta,
    CommandSpec,
    DecisionMeta,
    DefinitionError,
    Kind,
    OperationMeta,
    Parameter,
    QueryMeta,
    RunDecisionMeta,
    argument,
    environment_parameter,
    option,
    spec_of,
)
from commands.kit.types import RunId, RunType, Ticket, Words
from runbooks.kit.plan import Plan
from runbooks.kit.steps import Results
from runbooks.kit.targets import Environment


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(argument, option))
class Definition:
    """Makes a frozen dataclass of every class below it, and a specification of every command."""

    def __init_subclass__(cls, *, base: bool = False) -> None:
        """`base`: it is a kind of command, not a command."""
        made = dataclass(frozen=True, kw_only=True)(cls)
        if not base:
            assert issubclass(made, Command), "only commands are defined below it"
            _check_hooks(made)
            made.spec = spec_of(made, made.kind, made.meta)


class Command(Definition, ABC, base=True):
    """What the three kinds have in common."""

    kind: ClassVar[Kind]
    meta: ClassVar[CommandMeta]
    spec: ClassVar[CommandSpec]
    """Made from the definition."""

    # hooks

    @property
    def permission(self) -> str | None:
        """The permission that this request needs; by default the definition's."""
        return self.meta.permission

    @property
    def reason(self) -> str | None:
        """The person's reason, for the audit log; commands that take one have an option of this name."""
        return None

    @classmethod
    async def form_intro(cls, context: Context, filled: Mapping[str, str]) -> str:  # noqa: ARG003 - for those that override it
        """The text above its form, from how things are now; by default the summary stands there."""
        return ""

    @classmethod
    def help_lines(cls, context: Context) -> Sequence[str]:  # noqa: ARG003 - for those that override it
        """What `help` says below its description, from the configuration; by default nothing."""
        return ()

    # the same for every command

    @classmethod
    @final
    def make(cls, arguments: Mapping[str, Any]) -> Self:
        """Return the request with these arguments; TypeError where a name is unknown."""
        values = {
            name: tuple(value) if (p := cls.spec.parameter(name)) and p.repeated else value
            for name, value in arguments.items()
        }
        return cls(**values)

    @final
    def arguments(self) -> dict[str, Any]:
        """Return the request as JSON: what is stored, hashed and audited; defaults are left out."""
        found = {p.name: self._value(p) for p in self.spec.parameters}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if not (value is None or value is False or value in ((), ""))  # 0 is a value
        }

    @final
    def used(self) -> tuple[Parameter, ...]:
        """Return the parameters whose value is not the default."""
        return tuple(p for p in self.spec.parameters if self._value(p) != p.default)

    @property
    @final
    def changes(self) -> bool:
        """Whether it changes something; a dry run only shows what it would."""
        return self.kind is not Kind.QUERY and not (isinstance(self, Operation) and self.dry_run)

    @property
    @final
    def environment(self) -> str | None:
        """The environment that the request names; None where it names none."""
        where = environment_parameter(self.spec)
        return (self._value(where) or None) if where is not None else None

    @property
    @final
    def about_run(self) -> str | None:
        """The run that the request names, by its id as it was typed; None where it names none."""
        run = next((p for p in self.spec.parameters if isinstance(p.type, RunType)), None)
        return self._value(run) if run is not None else None

    def _value(self, parameter: Parameter) -> Any:
        return getattr(self, parameter.name)


class Query(Command, base=True):
    """A command that looks and changes nothing."""

    kind = Kind.QUERY
    meta: ClassVar[QueryMeta]

    @abstractmethod
    async def answer(self, context: Context) -> Card:
        """Return what the person is shown."""

    def stream(self, context: Context) -> AsyncGenerator[LiveState] | None:  # noqa: ARG002 - for those that override it
        """Return the states of an answer that goes on for a while; None, the default: `answer` gives it at once."""
        return None

    @property
    def discloses(self) -> bool:
        """Whether the answer is unredacted: then `disclosure` gives it, not `answer`. By default it is not."""
        return False

    async def disclosure(self, context: Context) -> Disclosure:
        """Return what would be shown unredacted, before any of it is read. Asked only where `discloses` is true."""
        raise NotImplementedError


class Observation(Query, base=True):
    """A query of production that a person could make by hand too, in a terminal of their own."""

    tool: ClassVar[str] = "kubectl"
    """The program of most of the lines: the name of the button that shows them. Empty where the answer shows them itself."""

    kubectl: bool = option("only show the commands that do the same in your own terminal", default=False)

    @abstractmethod
    async def by_hand(self, context: Context) -> tuple[str, ...]:
        """Return these lines, quoted for a shell, with context, namespace and region. They change nothing and read no secret."""


class Operation(Command, base=True):
    """A command that changes something: it has a plan, an approval and a run."""

    kind = Kind.OPERATION
    meta: ClassVar[OperationMeta]

    dry_run: bool = option("only show the plan", default=False)
    reason: Words | None = option("why, for the approver and the audit log", default=None)
    ticket: Ticket | None = option("the related ticket", default=None)

    @abstractmethod
    def title(self, environment: str) -> str:
        """Return the request in one line, as an order: "Deploy v2.0.0 to production"."""

    @abstractmethod
    async def plan(self, context: Context) -> Plan:
        """Return what will be changed. It is made twice, before the approval and before the run, and changes nothing."""

    @abstractmethod
    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        """Return how it went, once every step of the plan has finished; `results` is what they returned."""

    @abstractmethod
    def card(self, outcome: Outcome) -> Card:
        """Return the card of its end, with buttons for what a person does next."""

    def approval(self, policies: Policies, plan: Plan) -> ApprovalPolicy | None:
        """Return who has to approve the plan; None: nobody can. By default it goes by the definition's risk, with one more where its options are unusual."""
        return raised(policies.of(self.meta.risk), plan.unusual)

    @property
    def goes_back(self) -> bool:
        """Whether it returns to a release that ran well before: then it comes first and passes a lock. By default it does not."""
        return False

    @property
    def without_record(self) -> bool:
        """Whether it goes back though the record can't be read: it takes no lease, and its end is written once that is possible. By default it does not."""
        return False

    def instead_of_record(self, where: Environment) -> str:  # noqa: ARG002 - for those that override it
        """Return what a person may type instead where the home region's cluster does not answer; by default there is nothing."""
        return ""

    @property
    def beside_runs(self) -> bool:
        """Whether it waits for no run and takes no lease: it changes nothing that another run changes. By default it takes the lease."""
        return False

    def only_reads(self, context: Context) -> bool:  # noqa: ARG002 - for those that override it
        """Whether it changes nothing at all, by the configuration: then no run, no lease and no lock holds it up. By default it changes something."""
        return False

    @property
    def after_rollback(self) -> bool:
        """Whether the lock that a rollback left does not stop it. By default that is what runs beside runs; a person's lock stops both."""
        return self.beside_runs

    @property
    def starts_at(self) -> datetime | None:
        """When it starts; None, the default: once it is approved."""
        return None

    def with_full_times(self, now: datetime) -> Self:  # noqa: ARG002 - for those that override it
        """Return the request with its times of day as full times; by default it has none. Raises `UsageError`."""
        return self

    def without_start_time(self) -> Self:
        """Return the request as one that starts at once: what is tried again is tried now."""
        return self


class Decision(Command, base=True):
    """A command that answers to a run, or changes the fleet's record."""

    kind = Kind.DECISION
    meta: ClassVar[DecisionMeta]


class EnvironmentDecision(Decision, base=True):
    """A decision about an environment: it changes the fleet's record."""

    @abstractmethod
    async def decide(self, context: Context) -> Card:
        """Change the record, and return what the person is told."""


class RunDecision(Decision, base=True):
    """A decision about a run: a definition alone, since what it does is looked up by its name in `bot.dispatch.decision`."""

    meta: ClassVar[RunDecisionMeta]

    run: RunId = argument("the run's id, shown on its card")
    reason: Words | None = option("why", default=None)

    @property
    def then(self) -> str | None:
        """What follows a run that it stops, "stay" or "rollback"; by default nothing was said."""
        return None


def _check_hooks(cls: type[Command]) -> None:
    """Refuse what the dispatcher would never ask for, such as a hook with a letter wrong."""
    own = [each for each in cls.__mro__ if each.__module__ != __name__ and each not in (ABC, object)]
    declared = {
        name for each in cls.__mro__ if each not in own for name in (*vars(each), *inspect.get_annotations(each))
    }
    fields = {field.name for field in dataclasses.fields(cls)}
    for each in own:
        for name in vars(each):
            if not name.startswith("_") and name not in declared | fields:
                raise DefinitionError(
                    f"{each.__name__}.{name}: no base class has a hook of that name; begin the name of what is private with _"
                )
