"""The values of the fleet's record, and how they stand in ConfigMaps: as JSON that a person can read with `kubectl`.

`fleet` reads and writes them.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

KEPT_RELEASES = 50
KEPT_HEADS = 200
LONGEST_TEXT = 500
_LARGEST = 900_000  # a ConfigMap holds 1 MiB, its metadata included


class Freeze(Frozen):
    """Somebody locked the environment."""

    person: str
    """The person's key."""
    name: str
    """For people."""
    reason: str
    since: str
    until: str | None = None
    """ISO 8601, UTC; None until somebody unlocks it."""

    @field_validator("until")
    @classmethod
    def _is_a_time(cls, until: str | None) -> str | None:
        """Somebody may write it with `kubectl edit`: what has no zone is UTC, what is no time is refused as the record is read."""
        if until is None:
            return None
        at = datetime.fromisoformat(until)
        return until if at.tzinfo is not None else at.replace(tzinfo=UTC).isoformat()

    def holds(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return self.until is None or datetime.fromisoformat(self.until) > now


class RunPlace(Frozen):
    """The run that may change the environment now."""

    run: str
    title: str
    by: str
    """Who asked for it, for people."""
    since: str


class Undecided(Frozen):
    """A run ended without success, and nobody has said yet what to do: retry, go back, leave."""

    run: str
    title: str
    since: str


class EnvironmentRecord(Frozen):
    """What is known of one environment."""

    freeze: Freeze | None = None
    run: RunPlace | None = None
    undecided: Undecided | None = None


class Place(Frozen):
    """Whether a run got the environment, and who stands in the way if not."""

    taken: bool
    holder: RunPlace | None = None
    freeze: Freeze | None = None


class ReleasedService(Frozen):
    service: str
    image: Image
    revision: int = 0


class Release(Frozen):
    """What was rolled out completely, once."""

    version: str
    services: tuple[ReleasedService, ...]
    run: str
    by: str
    approved_by: tuple[str, ...] = ()
    at: str
    """ISO 8601, UTC."""
    verdict: Literal["good", "bad"] = "good"
    why: str = ""
    seconds: float | None = None

    def image(self, service: str) -> Image | None:
        return next((s.image for s in self.services if s.service == service), None)


class Head(Frozen):
    """The newest event of a book, so that a cut tail shows."""

    book: str
    number: int
    hash: str
    at: str


_HEADS: TypeAdapter[tuple[Head, ...]] = TypeAdapter(Annotated[tuple[Head, ...], Field(min_length=1)])
_RELEASES: TypeAdapter[tuple[Release, ...]] = TypeAdapter(tuple[Release, ...])


def utc_now() -> str:
    """Now, as it stands in records: to the second, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def heads_key(book: str) -> str:
    """Under which a log's heads stand."""
    return re.sub(r"[^-._a-zA-Z0-9]", "_", book)


def heads_from(key: str, text: str) -> tuple[Head, ...]:
    """Oldest first; one by itself is what the version before kept. What is no head is not written over: it may be somebody's trace."""
    try:
        if text.lstrip().startswith("{"):
            heads: tuple[Head, ...] = (Head.model_validate_json(text),)
        else:
            heads = _HEADS.validate_json(text)
    except ValidationError as error:
        raise _unreadable(key, error) from error
    numbers = [head.number for head in heads]
    if any(heads_key(head.book) != key for head in heads) or numbers != sorted({*numbers}):
        raise _unreadable(key)
    return heads


def heads_text(heads: Iterable[Head]) -> str:
    """The newest, a line each."""
    lines = [head.model_dump_json() for head in heads][-KEPT_HEADS:]
    return "[\n" + ",\n".join(lines) + "\n]"


def environment_from(data: Mapping[str, str]) -> EnvironmentRecord:
    def field(kind: type[Freeze] | type[RunPlace] | type[Undecided], key: str) -> object:
        try:
            return kind.model_validate_json(data[key]) if data.get(key) else None
        except ValidationError as error:
            raise _unreadable(key, error) from error

    return EnvironmentRecord.model_validate(
        {"freeze": field(Freeze, "freeze"), "run": field(RunPlace, "run"), "undecided": field(Undecided, "undecided")}
    )


def environment_data(record: EnvironmentRecord) -> dict[str, str]:
    fields = {"freeze": record.freeze, "run": record.run, "undecided": record.undecided}
    return {key: value.model_dump_json(indent=2) for key, value in fields.items() if value is not None}


def releases_from(data: Mapping[str, str]) -> tuple[Release, ...]:
    try:
        return _RELEASES.validate_json(data["releases"]) if data.get("releases") else ()
    except ValidationError as error:
        raise _unreadable("releases", error) from error


def releases_text(releases: Iterable[Release]) -> str:
    """The newest that fit; the newest good one is kept whatever came after it, since it is what people go back to."""
    known = list(releases)
    kept = known[:KEPT_RELEASES]
    good = next((r for r in known if r.verdict == "good"), None)
    if good is not None and good not in kept:
        kept[-1] = good
    while len(kept) > 1 and len(_RELEASES.dump_json(tuple(kept), indent=1)) > _LARGEST:
        kept.pop()
    return _RELEASES.dump_json(tuple(kept), indent=1).decode()


def _unreadable(key: str, error: ValidationError | None = None) -> PermanentError:
    return PermanentError(
        f"The fleet's record can't be read: `{key}` was changed by hand, or by a newer bot.",
        code=ReasonCode.RECORD_UNREADABLE,
        evidence=(f"{error.error_count()} errors, first: {error.errors()[0]['msg']}",) if error else (),
        advice=("`kubectl get configmap -o yaml` in the bot's namespace shows it.",),
    )
