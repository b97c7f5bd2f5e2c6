"""The registry: every command, found by looking into the package, so that no module imports another's.

Adding a command is adding a module to one of the groups; `ls commands/*` is the product's menu.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from types import MappingProxyType

from commands.kit.spec import CommandSpec, DefinitionError, Kind


class Registry:
    """Commands by name and alias."""

    def __init__(self, specs: list[CommandSpec]) -> None:
        by_name: dict[str, CommandSpec] = {}
        for spec in specs:
            for name in (spec.name, *spec.aliases):
                if name in by_name:
                    raise DefinitionError(f"two commands are called `{name}`")
                by_name[name] = spec
        self._by_name = MappingProxyType(by_name)
        self._specs = tuple(sorted(specs, key=lambda spec: spec.name))

    def __iter__(self) -> Iterator[CommandSpec]:
        return iter(self._specs)

    def find(self, name: str) -> CommandSpec | None:
        """The command of that name or alias, or None."""
        return self._by_name.get(name)

    def get(self, name: str) -> CommandSpec:
        """The command of that name; KeyError where there is none."""
        return self._by_name[name]

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

    specs: list[CommandSpec] = []
    for found in pkgutil.walk_packages(commands.__path__, "commands."):
        if found.ispkg or found.name.startswith("commands.kit."):
            continue
        module = importlib.import_module(found.name)
        for value in vars(module).values():
            spec = getattr(value, "spec", None)
            if isinstance(spec, CommandSpec) and spec.cls is value and value.__module__ == module.__name__:
                specs.append(spec)
    return Registry(specs)
