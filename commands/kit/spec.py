"""One command, one definition: the decorators, and what they make of a class.

    @operation(permission="rollout:write", risk=Risk.DISRUPTIVE, examples=["v2.0.0 --env production"])
    class Deploy:
        \"\"\"Deploy a release.\"\"\"

        version: Version = argument("release to deploy, a git tag")

`@query` looks and changes nothing; `@operation` changes something: it has a plan, an approval and a run; `@decision` answers to
a run or to the fleet's record. The class becomes a frozen dataclass, and an instance is one request: a value that can be stored,
hashed and shown. A wrong definition is refused when it is registered, not when somebody types it.
"""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

from commands.kit.policy import Risk
from commands.kit.types import ArgumentType, ChoiceType, EnvironmentType, TextType

C = TypeVar("C")

CHANNEL_DEFAULT = ""
"""Stands for "the environment that this channel (or the terminal's configuration) means"; filled in when parsed."""


class Kind(StrEnum):
    """What a command does to the world."""

    QUERY = "query"
    OPERATION = "operation"
    DECISION = "decision"


class DefinitionError(TypeError):
    """A command's definition breaks a rule of the kit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument (by position) or an option (`--name`) of a command."""

    name: str
    help: str
    type: ArgumentType | None
    """None for a flag."""
    positional: bool
    required: bool
    default: Any
    repeated: bool = False
    hidden: bool = False
    """Carried by buttons only; never parsed from text, never shown."""
    choices: tuple[str, ...] = ()
    asked: bool = False
    """An option that the command will not do without: required in its form."""
    terminal: bool = False
    """An option that works in a terminal only; forms do not have it."""
    permission: str | None = None
    """What who uses the option needs besides the command's own permission."""

    @property
    def flag(self) -> str:
        """As it is typed: `--dry-run`. A query has a method `run`, so its field for a run is called `run_id`: people type `--run`."""
        return "--" + self.name.removesuffix("_id").replace("_", "-")

    @property
    def usage(self) -> str:
        """As usage lines show it."""
        if self.positional:
            return (self._value if self.required else f"[{self._value}]") + ("…" if self.repeated else "")
        return f"[{self.bare}]"

    @property
    def bare(self) -> str:
        """As lists of arguments show it: without the brackets that say that it may be left out."""
        if self.positional:
            return self._value + ("…" if self.repeated else "")
        return f"{self.flag} {self._value}" if self.type else self.flag

    @property
    def _value(self) -> str:
        return "|".join(self.choices) if self.choices else (self.type.name.upper() if self.type else "")


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """Everything that is known of a command without running it."""

    name: str
    kind: Kind
    cls: type[Any]
    permission: str | None
    """None: everybody who is listed may."""
    risk: Risk | None
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    examples: tuple[str, ...]
    group: str
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """`deploy VERSION [--env ENVIRONMENT] …`."""
        return " ".join([self.name, *(p.usage for p in self.parameters if not p.hidden)])

    def parameter(self, name: str) -> Parameter | None:
        """By its field name."""
        return next((p for p in self.parameters if p.name == name), None)

    def used(self, request: object) -> tuple[Parameter, ...]:
        """The parameters that say something else in this request than they would by themselves."""
        return tuple(p for p in self.parameters if getattr(request, p.name) != p.default)

    def arguments(self, request: object) -> dict[str, Any]:
        """A request as JSON: what is stored, hashed and audited; defaults left out."""
        found = {p.name: getattr(request, p.name) for p in self.parameters}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if not (value is None or value is False or value in ((), ""))  # 0 is a value
        }

    def make(self, arguments: dict[str, Any]) -> Any:
        """The request that `arguments` gave; TypeError where a name is unknown."""
        values = {
            name: tuple(value) if (p := self.parameter(name)) and p.repeated else value
            for name, value in arguments.items()
        }
        return self.cls(**values)


_OPERATION_OPTIONS = ("dry_run", "reason", "ticket")
_META = "omnicare"


def argument(help: str, *, default: Any = dataclasses.MISSING) -> Any:  # noqa: A002 - it is the help
    """A value by position. With a default it may be left out; `tuple[…]` fields take all that is left."""
    return _field(help, default, positional=True)


def option(
    help: str,  # noqa: A002 - it is the help
    *,
    default: Any = None,
    hidden: bool = False,
    asked: bool = False,
    terminal: bool = False,
    permission: str | None = None,
) -> Any:
    """A value by name, `--name VALUE`; a `bool` field is a flag. `asked`: its form requires it. `terminal`: only there.

    `permission`: what its use needs besides the command's own.
    """
    return _field(help, default, hidden=hidden, asked=asked, terminal=terminal, permission=permission)


def _field(help: str, default: Any, *, positional: bool = False, **more: Any) -> Any:  # noqa: A002 - it is the help
    meta = {_META: {"help": help, "positional": positional, **more}}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(argument, option))
def query(
    *,
    permission: str | None,
    examples: Sequence[str],
    group: str = "look",
    name: str | None = None,
    aliases: Sequence[str] = (),
) -> Callable[[type[C]], type[C]]:
    """A read-only command: `async def run(self, context) -> Card`."""
    return _declare(Kind.QUERY, permission, None, examples, group, name, aliases)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(argument, option))
def operation(
    *,
    permission: str,
    risk: Risk,
    examples: Sequence[str],
    group: str = "act",
    name: str | None = None,
    aliases: Sequence[str] = (),
) -> Callable[[type[C]], type[C]]:
    """A command that changes something: `approval`, `plan`, `run`, `card`; gets --dry-run, --reason, --ticket."""
    return _declare(Kind.OPERATION, permission, risk, examples, group, name, aliases)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(argument, option))
def decision(
    *,
    permission: str | None,
    examples: Sequence[str],
    group: str = "decide",
    name: str | None = None,
    aliases: Sequence[str] = (),
) -> Callable[[type[C]], type[C]]:
    """A command that answers to a run or the fleet's record: `async def decide(self, context) -> Card`."""
    return _declare(Kind.DECISION, permission, None, examples, group, name, aliases)


_METHODS = {
    Kind.QUERY: ("run",),
    Kind.OPERATION: ("approval", "plan", "run", "card"),
    Kind.DECISION: ("decide",),
}


def _declare(
    kind: Kind,
    permission: str | None,
    risk: Risk | None,
    examples: Sequence[str],
    group: str,
    name: str | None,
    aliases: Sequence[str],
) -> Callable[[type[C]], type[C]]:
    def wrap(cls: type[C]) -> type[C]:
        if kind is Kind.OPERATION:
            _add_operation_options(cls)
        made = dataclass(frozen=True, kw_only=True)(cls)
        made.spec = _spec(made, kind, permission, risk, tuple(examples), group, name, tuple(aliases))  # type: ignore[attr-defined]
        return made

    return wrap


def _add_operation_options(cls: type) -> None:
    texts = {
        "dry_run": (bool, option("only show the plan", default=False)),
        "reason": (Annotated[str | None, TextType()], option("why, for the approver and the audit trail")),
        "ticket": (
            Annotated[str | None, TextType(longest=60, name="ticket", example="OPS-1234")],
            option("the ticket it belongs to"),
        ),
    }
    for field, (annotation, default) in texts.items():
        if field in inspect.get_annotations(cls):
            raise DefinitionError(f"{cls.__name__}.{field}: every operation has it already")
        cls.__annotations__[field] = annotation
        setattr(cls, field, default)


def _spec(
    cls: type,
    kind: Kind,
    permission: str | None,
    risk: Risk | None,
    examples: tuple[str, ...],
    group: str,
    name: str | None,
    aliases: tuple[str, ...],
) -> CommandSpec:
    doc = inspect.getdoc(cls) or ""
    if not doc or doc.startswith(f"{cls.__name__}("):
        raise DefinitionError(f"{cls.__name__}: a command needs a docstring; its first line is the menu's text")
    missing = [method for method in _METHODS[kind] if not callable(getattr(cls, method, None))]
    if missing:
        raise DefinitionError(f"{cls.__name__}: a {kind} has {', '.join(missing)}")
    if kind is not Kind.OPERATION and hasattr(cls, "approval"):
        raise DefinitionError(f"{cls.__name__}: only an operation has an approval")
    if not examples:
        raise DefinitionError(f"{cls.__name__}: give an example")
    hints = get_type_hints(cls, include_extras=True)
    parameters = tuple(
        _parameter(cls, field, hints[field.name])
        for field in dataclasses.fields(cls)
        if get_origin(hints[field.name]) is not ClassVar
    )
    _check_order(cls, parameters)
    summary, _, description = doc.partition("\n")
    return CommandSpec(
        name=name or _dashed(cls.__name__),
        kind=kind,
        cls=cls,
        permission=permission,
        risk=risk,
        summary=summary.strip().rstrip("."),
        description=inspect.cleandoc(description),
        parameters=parameters,
        examples=examples,
        group=group,
        aliases=aliases,
    )


def _parameter(cls: type, field: "dataclasses.Field[Any]", hint: Any) -> Parameter:
    meta = field.metadata.get(_META)
    if meta is None:
        raise DefinitionError(f"{cls.__name__}.{field.name}: declare it with argument() or option()")
    default = None if field.default is dataclasses.MISSING else field.default
    required = field.default is dataclasses.MISSING
    repeated = get_origin(hint) is tuple
    kind, choices = (None, ()) if hint is bool else _type_of(get_args(hint)[0] if repeated else hint)
    if kind is None and hint is not bool and not choices:
        raise DefinitionError(f"{cls.__name__}.{field.name}: {hint} has no argument type; see commands.kit.types")
    return Parameter(
        name=field.name,
        help=meta["help"],
        type=kind,
        required=required,
        default=default,
        repeated=repeated,
        choices=choices,
        **{key: value for key, value in meta.items() if key != "help"},
    )


def _type_of(hint: Any) -> tuple[ArgumentType | None, tuple[str, ...]]:
    """The argument type in an annotation: in `Annotated[…]`, or in the one member of `X | None` that has it."""
    if get_origin(hint) is Annotated:
        found = next((extra for extra in get_args(hint)[1:] if isinstance(extra, ArgumentType)), None)
        return found, found.choices if isinstance(found, ChoiceType) else ()
    for member in get_args(hint):
        found, choices = _type_of(member)
        if found is not None:
            return found, choices
    return None, ()


def _check_order(cls: type, parameters: tuple[Parameter, ...]) -> None:
    positional = [p for p in parameters if p.positional]
    for earlier, later in itertools.pairwise(positional):
        if later.required and not earlier.required:
            raise DefinitionError(f"{cls.__name__}.{later.name}: a required argument after one that may be left out")
        if earlier.repeated:
            raise DefinitionError(f"{cls.__name__}.{earlier.name}: only the last argument takes all that is left")
    if any(p.required and not p.positional for p in parameters):
        raise DefinitionError(f"{cls.__name__}: an option has a default")


def _dashed(name: str) -> str:
    return "".join(f"-{sign.lower()}" if sign.isupper() and place else sign.lower() for place, sign in enumerate(name))


def environment_parameter(spec: CommandSpec) -> Parameter | None:
    """The parameter that says where, if the command has one."""
    return next((p for p in spec.parameters if isinstance(p.type, EnvironmentType)), None)
