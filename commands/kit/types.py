"""Argument types: each is one small class with its own parse, suggestions, name and example.

A type turns what a person typed into a plain value (text, number), or raises `Invalid` with a sentence that says what to
type instead. The value is what is stored in a request, so it is JSON.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, runtime_checkable

from runbooks.clients.aws.cloudfront import checked_path
from runbooks.kit.patterns import PatternRefused, compiled
from runbooks.kit.versions import PATTERN, VersionPattern
from runbooks.wording import cited, counted


class Invalid(ValueError):
    """The text is not a value of the type; the message says what is."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the types may look up when they parse: the names that the configuration has."""

    environments: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    rotations: tuple[str, ...] = ()
    script_arguments: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(environment, script) → the arguments of which one must follow the script's name."""
    terminal: tuple[str, ...] = ()
    """Commands that only a terminal has, for the machine that it stands on."""
    versions: str = PATTERN
    """Which tags are versions, as `bot.versions` says it."""


@runtime_checkable
class ArgumentType(Protocol):
    """One kind of argument."""

    name: str
    example: str

    def parse(self, text: str, known: Known) -> object:
        """The value; raises `Invalid`."""
        ...

    def suggestions(self, known: Known) -> tuple[str, ...]:
        """Values worth offering in a select or a completion."""
        ...


_BEGINNING = 3
"""Letters."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant, or None where nothing is near."""
    listed, typed = list(choices), word.lower()
    found = difflib.get_close_matches(typed, listed, n=1, cutoff=0.6)
    # what is much shorter is near where it is the beginning of one choice alone: `prod`, `dep`
    begun = [each for each in listed if len(typed) >= _BEGINNING and each.startswith(typed)]
    return found[0] if found else begun[0] if len(begun) == 1 else None


def unfinished(word: str, commands: Iterable[str]) -> str | None:
    """For `sync` alone, which begins several commands and is none: a sentence that names them."""
    begun = [f"`{name}`" for name in commands if name.startswith(f"{word.lower()} ")]
    return f"{cited(word)} needs another word: {', '.join(begun)}." if begun else None


def closeness(typed: str, name: str) -> float:
    """0 to 1: how much of a name stands in what was typed."""
    return difflib.SequenceMatcher(None, name, typed.lower()).ratio()


def choose(what: str, text: str, choices: tuple[str, ...]) -> str:
    """Return the text where it is one of the choices; raises `Invalid`, with what was probably meant, where it is none."""
    if text in choices:
        return text
    meant = nearest(text, choices)
    hint = f" Did you mean `{meant}`?" if meant else f" There are: {', '.join(choices)}." if choices else ""
    if not text:  # `@` or `pod/` alone: what stands before a name, and no name
        raise Invalid(f"The {what}'s name is missing.{hint}")
    raise Invalid(f"There is no {what} {cited(text)}.{hint}")


class VersionType:
    """A release's tag, such as `v2.0.0`, as it was typed: whether it has a `v` is looked up where it is looked for."""

    name = "version"
    example = "v2.0.0"

    @staticmethod
    def looks_like(text: str, known: Known) -> bool:
        """Whether it is one."""
        return VersionPattern(known.versions).matches(text)

    def parse(self, text: str, known: Known) -> str:
        if self.looks_like(text, known):
            return text
        if text != (meant := text.lower()) and self.looks_like(meant, known):
            raise Invalid(f"{cited(text)} is not a version. Did you mean {cited(meant)}?")
        if known.versions == PATTERN:
            raise Invalid(f"{cited(text)} is not a version. A version looks like `{self.example}`.")
        raise Invalid(f"{cited(text)} is not a version. Versions here match {cited(known.versions, 100)}.")

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


_POD = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class TargetType:
    """A configured service, or a pod by its name or the end of it, as lists show it."""

    name = "service|pod"
    example = "backend"

    def parse(self, text: str, known: Known) -> str:
        plain = text.lower().removeprefix("pod/")
        if plain in known.services:
            return plain
        # the end of a pod's name has a digit or comes behind a dash; a word without either is a service, mistyped
        meant = nearest(plain, known.services)
        if not _POD.fullmatch(plain) or (meant and "-" not in plain and not any(sign.isdigit() for sign in plain)):
            return choose("service", plain, known.services)
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.services


class EnvironmentType:
    """The name of a configured environment."""

    name = "environment"
    example = "production"

    def parse(self, text: str, known: Known) -> str:
        return choose("environment", text.lower(), known.environments)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.environments


class ServiceType:
    """The name of a configured service."""

    name = "service"
    example = "backend"

    def parse(self, text: str, known: Known) -> str:
        return choose("service", text.lower(), known.services)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.services


@dataclass(frozen=True, slots=True)
class ChoiceType:
    """One of a few words."""

    name: str
    choices: tuple[str, ...]

    @property
    def example(self) -> str:
        """The first of them."""
        return self.choices[0]

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        return choose(self.name, text.lower(), self.choices)

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return self.choices


class CommandNameType:
    """The name of a command."""

    name = "command"
    example = "deploy"

    def parse(self, text: str, known: Known) -> str:
        if text.lower() not in known.commands and (said := unfinished(text, known.commands)):
            raise Invalid(said)
        if text.lower() not in known.commands and nearest(text, known.commands) is None:
            raise Invalid(f"There is no command {cited(text)}. `help` lists all commands.")
        return choose("command", text.lower(), known.commands)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.commands


class PersonType:
    """A person's key or name."""

    name = "person"
    example = "maya"

    def parse(self, text: str, known: Known) -> str:
        return choose("person", text.lstrip("@").lower(), known.people)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.people


class RunType:
    """A run, by its short or its full id."""

    name = "run"
    example = "7KQ2"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = text.strip().lstrip("#")
        if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.-]{2,99}", plain, re.ASCII):
            raise Invalid(f"{cited(text)} is not a run's id. `runs` lists them.")
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


class QueryType:
    """A counted statement: the beginning of its id as lists show it, or the server's own number of it (`queryid`)."""

    name = "query"
    example = "q3f9ac1d2"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = text.strip().lower()
        if re.fullmatch(r"q[0-9a-f]{6,16}", plain, re.ASCII):
            return plain
        if re.fullmatch(r"-?[0-9]{1,19}", plain, re.ASCII) and -(1 << 63) <= int(plain) < 1 << 63:
            return f"q{int(plain) & (1 << 64) - 1:016x}"
        raise Invalid(f"{cited(text)} is not a query's id. `slow-queries` shows the ids, such as `{self.example}`.")

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class DurationType:
    """A length of time, such as `90s`, `15m`, `1h30m` or `2d`; the value is in seconds."""

    name = "duration"
    example = "15m"

    def parse(self, text: str, known: Known) -> int:  # noqa: ARG002
        plain = text.lower().replace(" ", "")
        parts = re.findall(r"(\d{1,7})([smhd])", plain, re.ASCII)
        if not parts or "".join(number + unit for number, unit in parts) != plain:
            raise Invalid(f"{cited(text)} is not a duration. Use a form such as `15m`, `90s`, `2h` or `1d`.")
        seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
        if not 0 < seconds <= 30 * 86400:
            raise Invalid("A duration must be between one second and 30 days.")
        return seconds

    def typed(self, seconds: int) -> str:
        """As a person would type it: `1h`, `90s`."""
        unit = next(unit for unit in reversed(_UNITS) if seconds % _UNITS[unit] == 0)
        return f"{seconds // _UNITS[unit]}{unit}"

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ("5m", "15m", "1h", "6h", "1d")


class UntilType:
    """A point in time ahead, or behind for searches: `18:00`, `2026-11-24 18:00`, or a length of time such as `2h`.

    A time of day alone is kept as it was typed: whose clock it means is known only where the person is.
    """

    name = "time"
    example = "18:00"

    def parse(self, text: str, known: Known) -> str:
        plain = text.strip().replace("T", " ")
        if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", plain, re.ASCII):
            return plain
        # a year at either end of the calendar would fall off it in another zone
        if re.fullmatch(r"2\d{3}-\d\d-\d\d( ([01]?\d|2[0-3]):[0-5]\d)?", plain, re.ASCII):
            try:
                datetime.fromisoformat(plain if " " not in plain else f"{plain[:10]} {plain[11:].zfill(5)}")
            except ValueError:
                raise Invalid(f"{cited(text)} is not a valid date.") from None
            return plain
        try:
            DurationType().parse(plain, known)
        except Invalid:
            raise Invalid(
                f"{cited(text)} is not a time. Use a form such as `18:00`, `2026-11-24 18:00` or `2h`."
            ) from None
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ("1h", "12:00", "18:00")


def moment(text: str, *, now: datetime, ahead: bool) -> datetime:
    """The point in time that an `UntilType` value means, in `now`'s zone.

    A time of day is the next one where `ahead`, else the last one; a length of time counts from now in that direction.
    """
    if ":" in text and "-" not in text:
        hour, minute = (int(part) for part in text.split(":"))
        at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if ahead and at <= now:
            return at + timedelta(days=1)
        return at - timedelta(days=1) if not ahead and at > now else at
    if "-" in text:
        date, _, time = text.partition(" ")
        return datetime.fromisoformat(f"{date} {time.zfill(5) if time else '00:00'}").replace(tzinfo=now.tzinfo or UTC)
    seconds = DurationType().parse(text, Known())
    # by the world's clock: the person's own may be put forward or back meanwhile
    return (now.astimezone(UTC) + timedelta(seconds=seconds if ahead else -seconds)).astimezone(now.tzinfo)


class StartType:
    """When something is to start: `02:00` (the next one) or `2026-11-27T02:00`, in the person's own zone, or with a zone of its own."""

    name = "time"
    example = "02:00"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = text.strip().replace(" ", "T")
        if re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", plain, re.ASCII):
            return plain
        clock = r"([01]\d|2[0-3]):[0-5]\d"
        if re.fullmatch(rf"2\d{{3}}-\d\d-\d\dT{clock}(:[0-5]\d)?(Z|[+-]{clock})?", plain, re.ASCII):
            try:
                datetime.fromisoformat(plain)
            except ValueError:
                raise Invalid(f"{cited(text)} is not a valid date.") from None
            return plain
        raise Invalid(f"{cited(text)} is not a time. Use a form such as `02:00` or `2026-11-27T02:00`.")

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


def start(text: str, *, now: datetime) -> datetime:
    """The point in time that a `StartType` value means, in `now`'s zone where it has none of its own.

    Raises `Invalid` for one that the clock there leaves out when it is put forward.
    """
    if "-" not in text:
        at = moment(text, now=now, ahead=True)
    else:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=now.tzinfo or UTC)
    if at.astimezone(UTC).astimezone(at.tzinfo).replace(tzinfo=None) != at.replace(tzinfo=None):
        raise Invalid(f"{at:%H:%M} does not exist that night, because the clocks go forward. Choose another time.")
    return at


class CdnPathType:
    """A path that the CDN caches, such as `/index.html` or `/assets/*`."""

    name = "path"
    example = "/index.html"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        try:
            return checked_path(text)
        except ValueError as error:
            raise Invalid(f"{cited(text)} is not a CDN path: {error}.") from None

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ("/*",)


class SnapshotType:
    """The name of a snapshot in RDS, as `backups` lists it; automated ones begin with `rds:`."""

    name = "snapshot"
    example = "omnicare-prod-2026-11-24"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = text.strip().lower()
        if len(plain) > 255 or not re.fullmatch(r"(rds:)?[a-z](-?[a-z0-9])*", plain, re.ASCII):  # noqa: PLR2004 - RDS's bound
            raise Invalid(f"{cited(text)} is not a snapshot name. `backups` lists the snapshots.")
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


@dataclass(frozen=True, slots=True)
class KeyType:
    """A name in lower case that the configuration, or the cluster, gives to something; `where` says where such names are listed."""

    name: str
    example: str
    where: str
    pattern: str = r"[a-z][a-z0-9-]{0,62}"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = text.strip().lower()
        if not re.fullmatch(self.pattern, plain, re.ASCII):
            raise Invalid(f"{cited(text)} is not the name of a {self.name}. {self.where}")
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


class RegexType:
    """A pattern of google-re2: linear time, so no pattern can hang the bot."""

    name = "pattern"
    example = "timeout|refused"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        try:
            compiled(text)
        except PatternRefused as error:
            raise Invalid(str(error)) from None
        return text

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


@dataclass(frozen=True, slots=True)
class NumberType:
    """A whole number within bounds."""

    low: int
    high: int
    name: str = "number"
    example: str = "100"

    def parse(self, text: str, known: Known) -> int:  # noqa: ARG002
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not self.low <= int(text) <= self.high:
            raise Invalid(f"{cited(text)} is not a number from {self.low} to {self.high}.")
        return int(text)

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


@dataclass(frozen=True, slots=True)
class TextType:
    """Free words: a reason, a ticket."""

    longest: int = 500
    name: str = "text"
    example: str = "why it is needed"

    def parse(self, text: str, known: Known) -> str:  # noqa: ARG002
        plain = " ".join(text.split())
        if not plain:
            raise Invalid("The text is empty.")
        if len(plain) > self.longest:
            raise Invalid(f"The text is too long: the maximum is {counted(self.longest, 'character')}.")
        if any(unicodedata.category(sign) == "Cc" for sign in plain):
            raise Invalid("The text contains control characters.")
        return plain

    def suggestions(self, known: Known) -> tuple[str, ...]:  # noqa: ARG002
        return ()


Version = Annotated[str, VersionType()]
EnvironmentName = Annotated[str, EnvironmentType()]
ServiceName = Annotated[str, ServiceType()]
CommandName = Annotated[str, CommandNameType()]
PersonKey = Annotated[str, PersonType()]
Target = Annotated[str, TargetType()]
QueryId = Annotated[str, QueryType()]
RunId = Annotated[str, RunType()]
Duration = Annotated[int, DurationType()]
Until = Annotated[str, UntilType()]
Start = Annotated[str, StartType()]
SignatureName = Annotated[
    str, KeyType("signature", "api-documentation", "The plan of a deploy names the signatures that it needs.")
]
GateNames = Annotated[str, TextType(name="gates", example="time,sync")]
SnapshotName = Annotated[str, SnapshotType()]
NodeName = Annotated[str, KeyType("node", "node-1", "`nodes` lists them.", r"[a-z0-9][a-z0-9.-]{0,252}")]
CdnPath = Annotated[str, CdnPathType()]
MetricName = Annotated[str, KeyType("metric", "error-rate", "`metrics` lists them.")]
Regex = Annotated[str, RegexType()]
Words = Annotated[str, TextType()]
Ticket = Annotated[str, TextType(longest=60, name="ticket", example="OPS-1234")]
