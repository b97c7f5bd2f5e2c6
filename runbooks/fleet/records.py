"""The values of the fleet's record, and how they stand in ConfigMaps: as JSON that a person can read with `kubectl`.

`fleet` reads and writes them.
"""

import operator
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from runbooks.kit.answers import read_json, read_stamp
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen
from runbooks.redaction.redactor import RedactionFailed, default_redactor
from runbooks.wording import by_count, counted

KEPT_RELEASES = 50
KEPT_HEADS = 200
LONGEST_TEXT = 500
_LARGEST = 900_000  # a ConfigMap holds 1 MiB, its metadata included
_KEPT_UNREADABLE = 100_000
_LONGEST_SAID = 20_000
_MOST = 1 << 31
_LONGEST_ROLLOUT = 7 * 86400.0
_SHOWN = 3
UNREADABLE_RELEASES = "releases-unreadable"
"""Where the text of a list that can't be read is kept, once a run writes a new one."""


def _stamp(value: object, info: ValidationInfo) -> str:
    found = read_stamp(value)
    if value and not found:
        _told(info, f"`{info.field_name}` is not a valid time")
    return found


def _end(value: object, info: ValidationInfo) -> str | None:
    """What is no time ends nothing: it holds until somebody takes it away."""
    return _stamp(value, info) or None if value is not None else None


def _text(value: object) -> object:
    if not isinstance(value, str) or len(value) <= LONGEST_TEXT:
        return value
    return f"{value[: LONGEST_TEXT - 1]}…"


def _said(value: object) -> object:
    """Return a text redacted, then cut; where it can't be redacted, nothing of it."""
    if not isinstance(value, str):
        return value
    try:
        return _text(default_redactor().text(value[:_LONGEST_SAID]))
    except RedactionFailed:
        return "withheld"


def _count(value: object, info: ValidationInfo) -> int:
    if type(value) is int and 0 <= value < _MOST:
        return value
    _told(info, f"`{info.field_name}` is not a count")
    return 0


def _seconds(value: object, info: ValidationInfo) -> float | None:
    if value is None or (type(value) in (int, float) and 0 <= float(str(value)) <= _LONGEST_ROLLOUT):
        return value  # type: ignore[return-value] # one of the two
    _told(info, f"`{info.field_name}` is not a duration")
    return None


def _told(info: ValidationInfo, trouble: str) -> None:
    if isinstance(info.context, list):
        info.context.append(trouble)


Stamp = Annotated[str, BeforeValidator(_stamp)]
"""ISO 8601, UTC; empty where what stands in the record is no time."""
End = Annotated[str | None, BeforeValidator(_end)]
Text = Annotated[str, BeforeValidator(_text)]
"""Anybody may write it, so it is no longer than what the bot itself would write."""
Said = Annotated[str, BeforeValidator(_said)]
"""The same, for people: redacted, since it is kept with runs that wait for it or go on from it."""
Count = Annotated[int, BeforeValidator(_count)]
Seconds = Annotated[float | None, BeforeValidator(_seconds)]


class Stored(Frozen):
    """An entry of the record. Another version of the bot may have written it, so fields that this one does not know are left out.

    No approval and no hash covers an entry. A field that an older bot leaves out when it writes the entry again is unknown to the newer one from
    then on, so each new field has a default that says so, and is written only where it says something (`exclude_if`): what has no such field is
    read by a version before this one, too, which refused what it did not know.
    """

    model_config = ConfigDict(extra="ignore")


class Freeze(Stored):
    """Somebody locked the environment."""

    person: Text
    """The person's key."""
    name: Said
    """For people."""
    reason: Said
    since: Stamp
    until: End = None
    """ISO 8601, UTC; None until somebody unlocks it."""
    run: Text = Field(default="", exclude_if=operator.not_)
    """The rollback that locked it; empty where a person did."""

    def holds(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return self.until is None or datetime.fromisoformat(self.until) > now

    def stops(self, *, after_rollback: bool) -> bool:
        """Return whether it stops a run while it holds; `after_rollback`: one that the lock that a rollback left does not stop."""
        return not (after_rollback and self.run)


class Lease(Stored):
    """The run that may change the environment now."""

    run: Text
    title: Said
    by: Said
    """Who asked for it, for people."""
    since: Stamp


class Undecided(Stored):
    """A run ended without success, and nobody has said yet what to do: retry, go back, leave."""

    run: Text
    title: Said
    since: Stamp


Part = Literal["freeze", "run", "undecided"]


class EnvironmentRecord(Frozen):
    """What is known of one environment."""

    freeze: Freeze | None = None
    run: Lease | None = None
    undecided: Undecided | None = None
    unreadable: tuple[Part, ...] = ()
    """What stands in the record and can't be read: whether it is locked, say, is unknown, and not a no."""
    troubles: tuple[str, ...] = ()
    """What else could not be read, in words."""

    def having(self, changed: Mapping[Part, Freeze | Lease | Undecided | None]) -> "EnvironmentRecord":
        """Return the record with other parts, which are readable from then on."""
        left = tuple(part for part in self.unreadable if part not in changed)
        return self.model_copy(update={"unreadable": left, **{str(part): value for part, value in changed.items()}})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know before they rely on it."""
        said = [f"Part of the fleet's record can't be read: {_PARTS[part]} is unknown." for part in self.unreadable]
        return (*said, *(f"In the fleet's record, {trouble}, so it is unknown." for trouble in self.troubles))


_PARTS: dict[Part, str] = {
    "freeze": "who locked it",
    "run": "which run is changing it",
    "undecided": "which run left it undecided",
}


class LeaseAttempt(Frozen):
    """Whether a run got the environment, and who stands in the way if not."""

    taken: bool
    holder: Lease | None = None
    freeze: Freeze | None = None


class ReleasedService(Stored):
    service: str
    image: Image
    revision: Count = 0


class ReleasedConfiguration(Stored):
    """The ConfigMaps that were applied with a release."""

    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Of the repository that they were read from."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of their content, under which the record may keep it."""


def _configuration(
    value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> ReleasedConfiguration | None:
    try:
        return cast("ReleasedConfiguration | None", handler(value))
    except ValidationError:
        _told(info, f"`{info.field_name}` is not a commit with a SHA-256")
        return None


KnownConfiguration = Annotated[ReleasedConfiguration | None, WrapValidator(_configuration)]
"""None where it is not known, or where what stands in the record is none: its commit goes into lines that people paste into a shell."""


class Release(Stored):
    """What was rolled out completely, once."""

    version: Text
    services: tuple[ReleasedService, ...]
    run: Text
    by: Text
    approved_by: tuple[Text, ...] = ()
    at: Stamp
    verdict: Literal["good", "bad", "unproven"] = "good"
    """unproven: it runs because somebody went back to a revision that no record knew."""
    why: Text = ""
    seconds: Seconds = None
    verification: Literal["passed", "failed", "inconclusive"] | None = None
    """How its verification ended. None: none was made, or a version recorded it that did not keep this."""
    regions: tuple[Text, ...] = Field(default=(), exclude_if=operator.not_)
    """The regions that it was released to, where that was not all of them."""

    def reached(self, region: str) -> bool:
        """Whether it was released to that region."""
        return not self.regions or region in self.regions

    unusual: tuple[Text, ...] = Field(default=(), exclude_if=operator.not_)
    """The options that made its deploy riskier than usual: `--only backend`."""
    configuration: KnownConfiguration = Field(default=None, exclude_if=operator.not_)
    """None: it is not known which it had."""

    def image(self, service: str) -> Image | None:
        return next((s.image for s in self.services if s.service == service), None)

    def is_of(self, version: str, services: Collection[str]) -> bool:
        """Whether it is that version's, or one of several versions in which these services run that one."""
        tags = {image.tag if (image := self.image(service)) is not None else None for service in services}
        return self.version == version or tags == {version}


class ProvenRestore(Stored):
    """A restore that was tried, and how it went."""

    snapshot: str = Field(max_length=LONGEST_TEXT)
    at: AwareDatetime
    minutes: float = Field(ge=0, le=7 * 1440, allow_inf_nan=False)
    """How long it took until the restored instance was available."""
    run: str = Field(default="", max_length=LONGEST_TEXT)
    by: str = Field(default="", max_length=LONGEST_TEXT)
    checked: bool = False
    """Its tables were read and have rows. False: the instance became available, and no more is proved."""
    evidence: str = Field(default="", max_length=LONGEST_TEXT)


class Measured(Stored):
    """What was measured before a deploy changed anything, for the retries that follow it."""

    version: Text
    """The release that was deployed then."""
    at: AwareDatetime
    values: dict[str, JsonValue]


class KnownReleases(Frozen):
    """What is recorded, newest first, and what of it could not be read."""

    releases: tuple[Release, ...] = ()
    unreadable: int = 0
    """So many entries; of a list that is none at all, one."""
    troubles: tuple[str, ...] = ()
    absent: bool = False
    """Nothing could be read, since the home region's cluster does not answer."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What people should know before they rely on it."""
        many = by_count(self.unreadable, "entry", "entries")
        said = [f"{self.unreadable} {many} of the release record can't be read, and can't be rolled back to."]
        return (*(said if self.unreadable else ()), *self.troubles)


class KeptHead(Frozen):
    """The newest event of an audit log, so that a cut tail shows."""

    book: str
    number: int
    hash: str
    at: str


P = TypeVar("P", bound=BaseModel)

_HEADS: TypeAdapter[tuple[KeptHead, ...]] = TypeAdapter(Annotated[tuple[KeptHead, ...], Field(min_length=1)])
_RELEASES: TypeAdapter[tuple[Release, ...]] = TypeAdapter(tuple[Release, ...])


def utc_now() -> str:
    """Now, as it stands in records: to the second, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def heads_key(book: str) -> str:
    """Under which a log's heads stand."""
    return re.sub(r"[^-._a-zA-Z0-9]", "_", book)


def heads_from(key: str, text: str) -> tuple[KeptHead, ...]:
    """Oldest first; one by itself is what the version before kept. What is no head is not written over: it may be somebody's trace."""
    try:
        if text.lstrip().startswith("{"):
            heads: tuple[KeptHead, ...] = (KeptHead.model_validate_json(text),)
        else:
            heads = _HEADS.validate_json(text)
    except ValidationError as error:
        raise _unreadable(key, error) from error
    numbers = [head.number for head in heads]
    if any(heads_key(head.book) != key for head in heads) or numbers != sorted({*numbers}):
        raise _unreadable(key)
    return heads


def heads_text(heads: Iterable[KeptHead]) -> str:
    """The newest, a line each."""
    lines = [head.model_dump_json() for head in heads][-KEPT_HEADS:]
    return "[\n" + ",\n".join(lines) + "\n]"


def environment_from(data: Mapping[str, str]) -> EnvironmentRecord:
    """Return what can be read of it; what can't is named, and never taken for nothing."""
    troubles: list[str] = []
    unreadable: list[Part] = []
    freeze = _part(Freeze, "freeze", data, unreadable, troubles)
    run = _part(Lease, "run", data, unreadable, troubles)
    undecided = _part(Undecided, "undecided", data, unreadable, troubles)
    return EnvironmentRecord(
        freeze=freeze, run=run, undecided=undecided, unreadable=tuple(unreadable), troubles=tuple(troubles)
    )


def _part(kind: type[P], key: Part, data: Mapping[str, str], unreadable: list[Part], troubles: list[str]) -> P | None:
    if not data.get(key):
        return None
    found: list[str] = []
    try:
        value = kind.model_validate_json(data[key], context=found)
    except ValidationError:
        unreadable.append(key)
        return None
    troubles += [f"{trouble} (in `{key}`)" for trouble in found]
    return value


def environment_data(record: EnvironmentRecord, before: Mapping[str, str]) -> dict[str, str]:
    """Return the record as it is written; what could not be read stays as it stood."""
    fields = {"freeze": record.freeze, "run": record.run, "undecided": record.undecided}
    written = {key: value.model_dump_json(indent=2) for key, value in fields.items() if value is not None}
    return {**{part: before[part] for part in record.unreadable if part in before}, **written}


def unknown_holder(record: EnvironmentRecord) -> PermanentError | None:
    """Return why nobody but a rollback may take the environment, where it can't be read whether it is free."""
    closed = [part for part in record.unreadable if part != "undecided"]
    return _unreadable(closed[0]) if closed else None


def restore_from(data: Mapping[str, str]) -> ProvenRestore | None:
    """Return the last restore that was tried; None where there is none. PermanentError where it can't be read."""
    if (text := data.get("last")) is None:
        return None
    try:
        return ProvenRestore.model_validate(read_json(text, lambda: _unreadable("restores")))
    except ValidationError as error:
        raise _unreadable("restores", error) from None


def measured_from(data: Mapping[str, str]) -> Measured | None:
    """Return what was measured last; None where there is nothing, or nothing that can be read: it is only compared with."""
    try:
        return Measured.model_validate(read_json(data.get("last", ""), lambda: _unreadable("measured")))
    except (PermanentError, ValidationError, RecursionError):
        return None


def releases_from(data: Mapping[str, str]) -> KnownReleases:
    """Return the releases that can be read: one entry that somebody wrote wrong hides no other."""
    text = data.get("releases")
    if not text:
        return KnownReleases()
    try:
        listed = read_json(text, lambda: _unreadable("releases"))
    except PermanentError:
        listed = None
    if not isinstance(listed, list):
        return KnownReleases(
            unreadable=1, troubles=("The release record can't be read: it is not a list of releases.",)
        )
    kept, troubles, unreadable = [], [], 0
    for entry in listed:
        found: list[str] = []
        try:
            release = Release.model_validate(entry, context=found)
        except (ValidationError, RecursionError):
            unreadable += 1
            continue
        kept.append(release)
        troubles += [
            f"In the release record of {release.version or 'no version'}, {each}, so it is unknown." for each in found
        ]
    more = len(troubles) - _SHOWN
    said = (
        *troubles[:_SHOWN],
        *((f"{counted(more, 'more value')} of the release record can't be read.",) if more > 0 else ()),
    )
    return KnownReleases(releases=tuple(kept), unreadable=unreadable, troubles=said)


def releases_data(releases: Iterable[Release], before: Mapping[str, str], *, unreadable: int) -> dict[str, str]:
    """Return the list as it is written; the text of one that could not be read is kept beside it, since it may be somebody's trace."""
    kept = {key: text for key, text in before.items() if key == UNREADABLE_RELEASES}
    if unreadable:
        kept[UNREADABLE_RELEASES] = before["releases"].encode()[:_KEPT_UNREADABLE].decode(errors="ignore")
    return {"releases": releases_text(releases), **kept}


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
        f"The fleet's record can't be read: `{key}` was changed by hand or by a newer bot.",
        code=ReasonCode.RECORD_UNREADABLE,
        evidence=(f"{counted(error.error_count(), 'error')}, first: {error.errors()[0]['msg']}",)
        if error is not None
        else (),
        advice=(
            "`kubectl get configmap -o yaml` in the bot's namespace shows it.",
            *(("`unlock` removes the lock.",) if key == "freeze" else ()),
            *(("`rollback` takes over the environment, whoever holds it.",) if key == "run" else ()),
        ),
    )
