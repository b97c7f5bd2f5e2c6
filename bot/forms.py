"""A command's form, generated from its definition: the same parameters, help texts and choices as typed ones."""

from bot.delivery import Form, FormField
from commands.kit.spec import CommandSpec, Kind, Parameter
from commands.kit.types import ChoiceType, EnvironmentType, Known, RunType, TextType, VersionType

_SELECT_FROM = 2
"""Choices below which a select is no help."""


def form_for(spec: CommandSpec, filled: dict[str, str], known: Known, *, default_environment: str | None) -> Form:
    """The form; `filled` is what is known already."""
    hidden = {name: value for name, value in filled.items() if (p := spec.parameter(name)) is None or p.hidden}
    fields = tuple(
        _field(parameter, filled.get(parameter.name, ""), known, default_environment)
        for parameter in spec.parameters
        if not parameter.hidden
    )
    usual = {Kind.QUERY: "Show", Kind.OPERATION: "Ask for it", Kind.DECISION: spec.name.capitalize()}[spec.kind]
    submit = getattr(spec.cls, "submit", usual)
    return Form(
        command=spec.name,
        title=spec.name.capitalize(),
        intro=f"{spec.summary}.",
        fields=fields,
        submit=submit,
        hidden=dict(hidden),
    )


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
        or parameter.asked
        or isinstance(kind, ChoiceType)
        or (isinstance(kind, EnvironmentType) and parameter.default is not None),
        flag=kind is None,
        options=options if len(options) >= _SELECT_FROM else (),
        suggested=isinstance(kind, VersionType | RunType),
        filled=filled,
        long=isinstance(kind, TextType) and kind.longest > 100,  # noqa: PLR2004 - a line's length
    )
