"""What a definition says: a command's name, arguments, options, permission and texts, known without running it.

`commands.kit.command` has the base classes that make a specification of each definition. A wrong definition is refused when it is
defined, not when somebody types it.
"""

import dataclasses
import inspect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from commands.kit.policy import Risk
from commands.kit.types import ArgumentType, ChoiceType, EnvironmentType

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
    choices: tuple[str, ...] = ()
    asked: str | None = None
    """An option that the command will not do without: what is said where it is missing. Its form requires it too."""
    terminal: bool = False
    """An option that works in a terminal only; forms do not have it."""
    permission: str | None = None
    """What who uses the option needs besides the command's own permission."""

    @property
    def flag(self) -> str:
        """As it is typed: `--dry-run`."""
        return "--" + self.name.replace("_", "-")

    @property
    def usage(self) -> str:
        """As usage lines show it."""
        if self.positional:
            return (self._value if self.required else f"[{self._value}]") + ("…" if self.repeated else "")
        return self.bare if self.asked else f"[{self.bare}]"

    @property
    def bare(self) -> str:
        """As lists of arguments show it: without the brackets that say that it may be left out."""
        if self.positional:
            return self._value + ("…" if self.repeated else "")
        return f"{self.flag} {self._value}" if self.type else self.flag

    @property
    def _value(self) -> str:
        return "|".join(self.choices) if self.choices else (self.type.name.upper() if self.type else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """A command that helps after this one: a button under its answer, filled with what the answer is about."""

    command: str
    label: str = ""
    """Empty: the command's name."""
    trouble: bool = False
    """Only where the answer says that something is wrong, or may be."""
    failed: bool = False
    """Only where the answer says that something has failed."""
    confirm: str = ""
    """What is said before an operation is requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMeta:
    """What a definition says of itself, beside its arguments."""

    permission: str | None
    """What the person needs; None: everybody who is listed may."""
    examples: Sequence[str]
    """Arguments as people type them, without the command's name."""
    name: str | None = None
    """One word or two, as typed; None: made from the class's name."""
    aliases: Sequence[str] = ()
    form_button: str | None = None
    """The button that submits its form; None: what the kind says."""
    next: Sequence[FollowUp] = ()
    """What helps after it, the most helpful first; its answer shows as many as there is room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryMeta(CommandMeta):
    """Of a query."""

    refreshes: bool = False
    """Its answer says when it was read, and has a button that puts a newer one in its place."""

    private: bool = False
    """Only the person who asked sees the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationMeta(CommandMeta):
    """Of an operation."""

    permission: str
    risk: Risk
    next: Sequence[FollowUp] = (FollowUp(command="diagnose", trouble=True),)
    budget_minutes: int | None = None
    """How long it may take: the head message shows the time spent against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMeta(CommandMeta):
    """Of a decision."""

    private: bool = True
    """Only the person who decided sees the answer; otherwise the environment's channel is told too."""
    audit_event: str | None = None
    """The audit event that says what was decided, beside `command:accepted`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDecisionMeta(DecisionMeta):
    """Of a decision about a run."""

    on_card: bool = True
    """The run's card has a button for it, which carries the card's nonce."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """Everything that is known of a command without running it."""

    name: str
    kind: Kind
    permission: str | None
    """None: everybody who is listed may."""
    risk: Risk | None
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    examples: tuple[str, ...]
    group: str
    """The package that it is in."""
    aliases: tuple[str, ...] = ()
    form_button: str | None = None
    on_card: bool = False
    """A run's card has a button for it, which carries the card's nonce."""

    @property
    def usage(self) -> str:
        """`deploy VERSION [--env ENVIRONMENT] …`."""
        return " ".join([self.name, *(p.usage for p in self.parameters)])

    def parameter(self, name: str) -> Parameter | None:
        """By its field name."""
        return next((p for p in self.parameters if p.name == name), None)


_META = "omnicare"


def argument(help: str, *, default: Any = dataclasses.MISSING) -> Any:  # noqa: A002 - it is the help
    """A value by position. With a default it may be left out; `tuple[…]` fields take all that is left."""
    return _field(help, default, positional=True)


def option(
    help: str,  # noqa: A002 - it is the help
    *,
    default: Any = None,
    asked: str | None = None,
    terminal: bool = False,
    permission: str | None = None,
) -> Any:
    """A value by name, `--name VALUE`; a `bool` field is a flag. `asked`: it may not be left out, and this is said where it is. `terminal`: only there.

    `permission`: what its use needs besides the command's own.
    """
    return _field(help, default, asked=asked, terminal=terminal, permission=permission)


def _field(help: str, default: Any, *, positional: bool = False, **more: Any) -> Any:  # noqa: A002 - it is the help
    meta = {_META: {"help": help, "positional": positional, **more}}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


def spec_of(cls: type, kind: Kind, meta: CommandMeta) -> CommandSpec:
    """Return what the definition `cls`, a dataclass by now, says. Raises `DefinitionError`."""
    doc = inspect.getdoc(cls) or ""
    if "__doc__" not in vars(cls) or not doc or doc.startswith(f"{cls.__name__}("):
        raise DefinitionError(f"{cls.__name__}: a command needs a docstring; its first line is what `help` says")
    if not meta.examples:
        raise DefinitionError(f"{cls.__name__}: give an example")
    hints = get_type_hints(cls, include_extras=True)
    own = inspect.get_annotations(cls)
    # its own before those of its kind, and what has a position before what has a name
    fields = sorted(dataclasses.fields(cls), key=lambda field: field.name not in own)
    parameters = sorted((_parameter(cls, field, hints[field.name]) for field in fields), key=lambda p: not p.positional)
    _check_order(cls, parameters)
    summary, _, description = doc.partition("\n")
    return CommandSpec(
        name=meta.name or _dashed(cls.__name__),
        kind=kind,
        permission=meta.permission,
        risk=meta.risk if isinstance(meta, OperationMeta) else None,
        summary=summary.strip().rstrip("."),
        description=inspect.cleandoc(description),
        parameters=tuple(parameters),
        examples=tuple(meta.examples),
        group=cls.__module__.split(".")[-2] if "." in cls.__module__ else "",
        aliases=tuple(meta.aliases),
        form_button=meta.form_button,
        on_card=isinstance(meta, RunDecisionMeta) and meta.on_card,
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


def _check_order(cls: type, parameters: Sequence[Parameter]) -> None:
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
