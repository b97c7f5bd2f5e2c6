"""The registry: every command, found by looking into the package, so that no module imports another's.

Adding a command is adding a module to one of the groups; `ls commands/*` is the product's menu.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from commands.kit.command import Command, Operation
from commands.kit.spec import CommandSpec, DefinitionError, Kind


class Registry:
    """Commands by name and alias."""

    def __init__(self, commands: Iterable[type[Command]]) -> None:
        by_name: dict[str, type[Command]] = {}
        for command in commands:
            if inspect.isabstract(command):
                missing = ", ".join(sorted(command.__abstractmethods__))
                base = next(each for each in command.__mro__ if each.__module__ == Command.__module__)
                raise DefinitionError(f"{command.__name__}: {base.__name__} needs {missing}")
            for name in (command.spec.name, *command.spec.aliases):
                if name in by_name:
                    raise DefinitionError(f"two commands are called `{name}`")
                by_name[name] = command
        self._by_name = MappingProxyType(by_name)
        self._specs = tuple(sorted({each.spec.name: each.spec for each in by_name.values()}.values(), key=_name))

    def __iter__(self) -> Iterator[CommandSpec]:
        return iter(self._specs)

    def find(self, name: str) -> CommandSpec | None:
        """The command of that name or alias, or None."""
        found = self._by_name.get(name)
        return found.spec if found is not None else None

    def get(self, name: str) -> CommandSpec:
        """The command of that name; KeyError where there is none."""
        return self._by_name[name].spec

    def command(self, name: str) -> type[Command]:
        """The definition of that name; KeyError where there is none."""
        return self._by_name[name]

    def make(self, name: str, arguments: Mapping[str, Any]) -> Command:
        """Return the request for the command of that name with these arguments."""
        return self._by_name[name].make(arguments)

    def operation(self, name: str, arguments: Mapping[str, Any]) -> Operation:
        """Return the same for an operation; nothing else is requested and run."""
        made = self.make(name, arguments)
        assert isinstance(made, Operation), "only operations are requested"
        return made

    def names(self) -> tuple[str, ...]:
        """Every name that may be typed, aliases too."""
        return tuple(self._by_name)

    def of(self, kind: Kind) -> tuple[CommandSpec, ...]:
        """The commands of one kind, by name."""
        return tuple(spec for spec in self._specs if spec.kind is kind)


@cache
def load() -> Registry:
    """Every command of the package `commands`."""
    import commands

    found: list[type[Command]] = []
    for each in pkgutil.walk_packages(commands.__path__, "commands."):
        if each.ispkg or each.name.startswith("commands.kit."):
            continue
        module = importlib.import_module(each.name)
        found += [
            value
            for value in vars(module).values()
            if inspect.isclass(value) and issubclass(value, Command) and value.__module__ == module.__name__
        ]
    return Registry(found)


def _name(spec: CommandSpec) -> str:
    return spec.name
