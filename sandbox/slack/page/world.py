"""What the World popover shows and does. The sandbox's composition root implements `World` over its cluster."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """One pod: `version` is its image's tag, `phase` Kubernetes' word (Pending, Running, Failed …)."""

    environment: str
    deployment: str
    name: str
    version: str
    phase: str
    ready: bool

    @property
    def state(self) -> str:
        """How its square is drawn."""
        if self.ready:
            return "ready"
        return "failed" if self.phase not in {"Pending", "Running", "ContainerCreating", "Terminating"} else "waiting"


@dataclass(frozen=True, slots=True)
class Breakage:
    """Something that a visitor may break: `kind` is what the world knows it by."""

    kind: str
    label: str
    command: str = ""
    """What shows it, where one has to type something; the page puts it into the message box."""


class Night(Protocol):
    """A scenario to choose: what is broken, and what to type then."""

    @property
    def name(self) -> str: ...

    @property
    def sentence(self) -> str: ...

    @property
    def command(self) -> str: ...


class World(Protocol):
    """What surrounds the workspace: the cluster, and what may be broken in it."""

    @property
    def breakages(self) -> Sequence[Breakage]: ...

    @property
    def scenario_groups(self) -> Sequence[tuple[str, Sequence[Night]]]:
        """The scenarios to choose from, each group with its title."""

    @property
    def played(self) -> Sequence[Night]:
        """Those of them that are on."""

    @property
    def kubeconfig_path(self) -> Path: ...

    def pods(self) -> Sequence[Pod]:
        """Every pod that is there now."""

    def changes(self) -> AsyncIterator[None]:
        """Yields whenever `pods` or `played` may answer something else."""

    async def break_something(self, kind: str) -> str:
        """Break it, and say in a sentence what is broken now."""

    async def switch(self, name: str, *, on: bool) -> str:
        """Switch a scenario on or off, and say in a sentence what is so now."""

    async def reset(self) -> None:
        """Put everything back to what it was at first."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Deployment's row: the versions that its pods run, and the pods."""

    name: str
    versions: tuple[str, ...]
    pods: tuple[Pod, ...]


def by_environment(pods: Sequence[Pod]) -> list[tuple[str, list[Service]]]:
    """Environments in the order of their names, each with its services."""
    answer = []
    for environment, of_it in groupby(sorted(pods), key=lambda pod: pod.environment):
        services = []
        for name, own in groupby(of_it, key=lambda pod: pod.deployment):
            each = tuple(own)
            services.append(Service(name, tuple(dict.fromkeys(pod.version for pod in each)), each))
        answer.append((environment, services))
    return answer
