"""A command's form, generated from its definition: the same parameters, help texts and choices as typed ones."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from bot.boundary.inbound import Filled, Form, FormField
from bot.dispatch.act import Act
from commands.kit.command import Command
from commands.kit.parsing import UsageError
from commands.kit.regions import RegionsType
from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Kind, Parameter
from commands.kit.types import ChoiceType, EnvironmentType, Known, RunType, TextType, VersionType
from runbooks.kit.errors import RunbookError
from runbooks.wording import cited, headed

_SELECT_FROM = 2
"""Choices below which a select is no help."""

_SUGGESTING = 2.0
"""Seconds: Slack waits three for what a select offers."""


async def opened(act: Act, command: type[Command], filled: dict[str, str], known: Known) -> Form:
    """Return the form for this person, with what the command says of how things are now."""
    default = act.services.settings.channels.get(act.inbound.place.channel or "")
    made = form_for(command.spec, filled, known, default_environment=default)
    intro = await _intro(act, command, filled)
    return replace(made, intro=intro) if intro else made


async def _intro(act: Act, command: type[Command], filled: Mapping[str, str]) -> str:
    """Return the command's own introduction; empty where making it takes too long for Slack."""
    where = act.environment_of(filled.get("run", ""))
    if where is None or not await act.services.permissions.may(act.actor, "fleet:read", where):
        return ""
    try:
        async with asyncio.timeout(act.services.settings.times.form_deadline):
            return await command.form_intro(act.context(where), filled)
    except TimeoutError:
        return ""


async def suggestions(act: Act, field: str, values: Mapping[str, str], typed: str) -> tuple[str, ...]:
    """Return values to offer while somebody types: versions that exist, runs that are open."""
    settings = act.services.settings
    default = settings.channels.get(act.inbound.place.channel or "") or next(iter(settings.environments))
    where = values.get("env") or default
    if where not in settings.environments or not await act.services.permissions.may(act.actor, "fleet:read", where):
        return ()
    context = act.context(where)
    try:
        async with asyncio.timeout(_SUGGESTING):
            if field in ("run", "after"):
                found = [each.short for each in await context.runs.recent(environment=where, limit=25)]
            else:
                repository = settings.environment(where).services[0].repository
                found = [each.tag for each in await context.registry.newest(repository, 50)]
    except (RunbookError, TimeoutError):
        return ()
    return tuple(each for each in found if typed.lower() in each.lower())[:25]


def form_for(spec: CommandSpec, filled: dict[str, str], known: Known, *, default_environment: str | None) -> Form:
    """Return the form; `filled` is what is known already."""
    hidden = {name: value for name, value in filled.items() if spec.parameter(name) is None}
    fields = tuple(
        _field(parameter, filled.get(parameter.name, ""), known, default_environment)
        for parameter in spec.parameters
        if not parameter.terminal and not (isinstance(parameter.type, RegionsType) and not known.regions)
    )
    usual = {Kind.QUERY: "Show", Kind.OPERATION: "Request", Kind.DECISION: headed(spec.name)}[spec.kind]
    return Form(
        command=spec.name,
        title=headed(spec.name),
        intro=f"{spec.summary}.",
        fields=fields,
        submit=spec.form_button or usual,
        hidden=dict(hidden),
    )


def tokens_of(filled: Filled, registry: Registry) -> list[str]:
    """Return a form's or a button's values as typed words, for the one parser of all surfaces. Raises UsageError for a command that is gone."""
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
        label="Environment" if isinstance(kind, EnvironmentType) else headed(parameter.name.replace("_", " ")),
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
