"""What a command needs and was not told, where the values are few: the person chooses one instead of typing the command again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commands.kit.regions import RegionsType
from commands.kit.rotation_type import RotationType
from commands.kit.script_type import ScriptArgumentType, ScriptType
from commands.kit.spec import CommandSpec, Parameter, environment_parameter
from commands.kit.typed_again import typed_words
from commands.kit.types import ChoiceType, EnvironmentType, Known, ServiceType, TargetType, VersionType

_FEW = ServiceType | TargetType | EnvironmentType | ChoiceType | RegionsType | RotationType | ScriptType | VersionType
"""Types with few values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A parameter without a value, and what is known of the others."""

    spec: CommandSpec
    parameter: Parameter
    values: tuple[str, ...]
    """All that there are; empty where they have to be looked up, such as versions."""
    found: Mapping[str, Any]

    @property
    def environment(self) -> str | None:
        """The environment that the rest names."""
        where = environment_parameter(self.spec)
        return self.found.get(where.name) if where is not None else None

    def answered(self, value: str) -> str:
        """Return the command with that value, as it would be typed."""
        return typed_words(self.spec, {**self.found, self.parameter.name: value})


def question_for(spec: CommandSpec, missing: Parameter, found: Mapping[str, Any], known: Known) -> Question | None:
    """Return the question; None where the values are without end, or nobody knows them."""
    match missing.type:
        case ScriptArgumentType():
            values = missing.type.needed(found, known)
        case kind if isinstance(kind, _FEW):
            values = kind.suggestions(known)
        case _:
            return None
    return Question(spec=spec, parameter=missing, values=values, found=dict(found))
