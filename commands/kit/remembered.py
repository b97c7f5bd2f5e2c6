"""What a thread is about: the service, environment and region of the commands that were answered in it, for a follow-up that leaves them out."""

from collections.abc import Iterable

from commands.kit.command import Command
from commands.kit.regions import RegionsType
from commands.kit.types import Known, ServiceType, TargetType
from runbooks.kit.targets import Frozen
from runbooks.wording import listed


class Subject(Frozen):
    """A service, an environment and a region; None for what is not known."""

    service: str | None = None
    environment: str | None = None
    region: str | None = None

    def told(self, default_environment: str | None = None) -> str:
        """Return it in words: "backend in staging", with the channel's own environment where that is another one."""
        other = f" (this channel's default is {default_environment})"
        differs = self.environment and default_environment and self.environment != default_environment
        parts = [f"{self.service or ''} in {self.environment}".strip() if self.environment else self.service or ""]
        parts[0] = parts[0].removeprefix("in ") + (other if differs else "")
        parts += [f"region {self.region}"] if self.region else []
        return listed(part for part in parts if part)


NOTHING = Subject()


def subject_of(request: Command, known: Known) -> Subject:
    """Return what a request is about; a pod stands for its service."""
    service, region = None, None
    arguments = request.arguments()
    for parameter in request.spec.parameters:
        value = arguments.get(parameter.name)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if not isinstance(value, str):
            continue
        if isinstance(parameter.type, ServiceType | TargetType):
            service = service or _service(value, known.services)
        elif isinstance(parameter.type, RegionsType) and value in known.regions:
            region = value
    return Subject(service=service, environment=request.environment, region=region)


def together(newest_first: Iterable[Subject]) -> Subject:
    """Return what several answers of one thread are about: the newest first, and nothing of another environment than the newest one's."""
    found = NOTHING
    for each in newest_first:
        if found.environment and each.environment and each.environment != found.environment:
            break
        found = Subject(
            service=found.service or each.service,
            environment=found.environment or each.environment,
            region=found.region or each.region,
        )
    return found


def _service(target: str, services: tuple[str, ...]) -> str | None:
    if target in services:
        return target
    return max((each for each in services if target.startswith(f"{each}-")), key=len, default=None)
