"""Requests as they would be typed: quoted where that is needed, so that `split` and `parse` read the same."""

import re
from collections.abc import Mapping
from typing import Any

from commands.kit.command import Command
from commands.kit.spec import CommandSpec
from commands.kit.types import DurationType

_BARE = re.compile(r"(?!-)[\w.,:/+@-]+", re.ASCII)


def quoted(value: str) -> str:
    """The value as it would be typed: `split` reads it back as one word. There is no sign that escapes a `"`, so it becomes `'`."""
    plain = value.replace('"', "'")
    return plain if _BARE.fullmatch(plain) else f'"{plain}"'


def typed_again(request: Command) -> str:
    """The request as it would be typed again: it parses into the same, but for a `"` in words, which becomes `'`."""
    return typed_words(request.spec, request.arguments())


def typed_words(spec: CommandSpec, values: Mapping[str, Any]) -> str:
    """A command with these values, as it would be typed."""
    options: list[str] = []
    positional: list[str] = []
    for parameter in spec.parameters:
        value = values.get(parameter.name)
        if value is None:
            continue
        if parameter.positional:
            positional += [quoted(each) for each in value] if isinstance(value, list | tuple) else [quoted(str(value))]
        elif parameter.type is None:
            options.append(parameter.flag)
        else:
            text = parameter.type.typed(value) if isinstance(parameter.type, DurationType) else quoted(str(value))
            # a value that begins like an option is read as one, unless it is tied to its own
            options += [f"{parameter.flag}={text}"] if str(value).startswith("--") else [parameter.flag, text]
    return " ".join([spec.name, *positional, *options])
