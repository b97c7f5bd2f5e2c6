"""What a thread is about: the service, environment and region of the commands that were answered in it, for a follow-up that leaves them out."""

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType

from commands.kit.command import Command
from commands.kit.regions import RegionsType
from commands.kit.spec import CHANNEL_DEFAULT, CommandSpec, Kind, Parameter, environment_parameter
from commands.kit.types import EnvironmentType, Known, ServiceType, TargetType
from runbooks.kit.targets import Frozen
from runbooks.wording import listed


class Subject(Frozen):
    """A service, an environment and a region; None for what is not known."""

    service: str | None = None
    environment: str | None = None
    region: str | None = None
    found: str | None = None
    """The service that an answer names and nobody typed, where it is newer than `service`: only a query takes it."""

    unsure: str = ""
    """Why nothing that changes something may go by it, as a sentence without its end; empty: it may."""

    to_another: bool = False
    """The newest answer was to another person than who types now: the same is not meant without saying so."""

    def told(self, default_environment: str | None = None) -> str:
        """Return it in words: "backend in staging", with the channel's own environment where that is another one; empty: nothing is known."""
        if not any((self.service, self.environment, self.region)):
            return ""
        other = f" (this channel's default is {default_environment})"
        differs = self.environment and default_environment and self.environment != default_environment
        parts = [f"{self.service or ''} in {self.environment}".strip() if self.environment else self.service or ""]
        parts[0] = parts[0].removeprefix("in ") + (other if differs else "")
        parts += [f"region {self.region}"] if self.region else []
        return listed(part for part in parts if part)


NOTHING = Subject()
UNREAD = Subject(unsure="The bot could not read this thread")


def subject_of(request: Command, known: Known, found: str = "") -> Subject:
    """Return what a request is about; a pod stands for its service. `found`: the service that its answer is about."""
    service, region = None, None
    for parameter, value in single_values(request):
        if isinstance(parameter.type, ServiceType | TargetType):
            service = service or _service(value, known.services)
        elif isinstance(parameter.type, RegionsType) and value in known.regions:
            region = value
    return Subject(
        service=service, environment=request.environment, region=region, found=None if service else found or None
    )


def single_values(request: Command) -> Iterator[tuple[Parameter, str]]:
    """Yield each parameter of which the request names one value, with that value."""
    arguments = request.arguments()
    for parameter in request.spec.parameters:
        value = arguments.get(parameter.name)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(value, str):
            yield parameter, value


def together(newest_first: Iterable[Subject]) -> Subject:
    """Return what several answers of one thread are about: the newest first, and nothing of another environment than the newest one's."""
    found, subjects = NOTHING, list(newest_first)
    named = sorted({each.environment for each in subjects if each.environment})
    for each in subjects:
        if found.environment and each.environment and each.environment != found.environment:
            break
        found = Subject(
            service=found.service or each.service,
            environment=found.environment or each.environment,
            region=found.region or each.region,
            found=found.found or (None if found.service else each.found),
        )
    return found.model_copy(update={"unsure": f"This thread is about {listed(named)}" if len(named) > 1 else ""})


def recalled(
    spec: CommandSpec, found: Mapping[str, object], known: Known, about: Subject
) -> tuple[dict[str, object], Subject]:
    """Return the values that were not typed and the thread tells, and the same as a subject. What is typed (`found`) wins.

    A query takes all of it, and the service that an answer found. An operation takes the environment and a service that it needs; it is never limited to a part by memory.
    """
    query, values = spec.kind is Kind.QUERY, dict[str, object]()

    def take(kind: type | UnionType, value: str | None, names: tuple[str, ...], *, needed: bool = False) -> str | None:
        parameter = next((p for p in spec.parameters if isinstance(p.type, kind)), None)
        if parameter is None or value not in names or parameter.name in found or (needed and not parameter.required):
            return None
        values[parameter.name] = (value,) if parameter.repeated else value
        return value

    where = environment_parameter(spec)
    local = where is not None and where.default == CHANNEL_DEFAULT
    environment = take(EnvironmentType, about.environment, known.environments) if local else None
    meant = (query and about.found) or about.service
    service = take(ServiceType | TargetType, meant, known.services, needed=not query)
    there = environment is not None or where is None or found.get(where.name) == about.environment
    region = take(RegionsType, about.region, known.regions) if query and there else None
    return values, Subject(service=service, environment=environment, region=region)


def _service(target: str, services: tuple[str, ...]) -> str | None:
    if target in services:
        return target
    return max((each for each in services if target.startswith(f"{each}-")), key=len, default=None)
