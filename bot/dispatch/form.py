"""A command's form, generated from its definition: the same parameters, help texts and choices as typed ones."""

from bot.inbound import Filled, Form, FormField
from commands.kit.parsing import UsageError
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind, Parameter
from commands.kit.types import ChoiceType, EnvironmentType, Known, RunType, TextType, VersionType
from runbooks.wording import cited

_SELECT_FROM = 2
"""Choices below which a select is no help."""


def form_for(spec: CommandSpec, filled: dict[str, str], known: Known, *, default_environment: str | None) -> Form:
    """The form; `filled` is what is known already."""
    hidden = {name: value for name, value in filled.items() if spec.parameter(name) is None}
    fields = tuple(
        _field(parameter, filled.get(parameter.name, ""), known, default_environment)
        for parameter in spec.parameters
        if not parameter.terminal
    )
    usual = {Kind.QUERY: "Show", Kind.OPERATION: "Ask for it", Kind.DECISION: spec.name.capitalize()}[spec.kind]
    return Form(
        command=spec.name,
        title=spec.name.capitalize(),
        intro=f"{spec.summary}.",
        fields=fields,
        submit=spec.form_button or usual,
        hidden=dict(hidden),
    )


def tokens_of(filled: Filled, registry: Registry) -> list[str]:
    """A form's or a button's values, as if typed: one parser for all ways in. Raises UsageError for a command that is gone."""
    spec = registry.find(filled.command)
    if spec is None:
        raise UsageError(f"There is no {cited(filled.command)} any more.")
    tokens = spec.name.split()
    positional: list[str] = []
    for parameter in spec.parameters:
        value = filled.values.get(parameter.name, "")
        if not value.strip():
            continue
        if parameter.positional:
            positional += value.split() if parameter.repeated else [value.strip()]
        elif parameter.type is None:
            tokens += [parameter.flag] if value == "yes" else []
        else:
            tokens.append(f"{parameter.flag}={value.strip()}")
    return [*tokens, "--", *positional]


def _field(parameter: Parameter, filled: str, known: Known, default_environment: str | None) -> FormField:
    kind = parameter.type
    options = kind.suggestions(known) if kind else ()
    if isinstance(kind, ChoiceType) and not filled:
        filled = kind.example
    if isinstance(kind, EnvironmentType) and parameter.default is not None and not filled:
        filled = default_environment or (options[0] if len(options) == 1 else "")
    return FormField(
        name=parameter.name,
        label="Environment" if isinstance(kind, EnvironmentType) else parameter.name.replace("_", " ").capitalize(),
        hint=parameter.help[0].upper() + parameter.help[1:],
        required=parameter.required
        or parameter.asked is not None
        or isinstance(kind, ChoiceType)
        or (isinstance(kind, EnvironmentType) and parameter.default is not None),
        flag=kind is None,
        options=options if len(options) >= _SELECT_FROM else (),
        suggested=isinstance(kind, VersionType | RunType),
        filled=filled,
        long=isinstance(kind, TextType) and kind.longest > 100,  # noqa: PLR2004 - a line's length
    )
