"""What people signed for a release, as it stands in a ConfigMap: bounded, and each entry read with distrust."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from runbooks.fleet.records import Stamp, Stored, Text
from runbooks.kit.answers import read_json
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Frozen

KEPT_SIGNATURES = 200
_LARGEST = 100_000
_MOST = 50
_KEY, UNREADABLE = "signatures", "signatures-unreadable"


class Signature(Stored):
    """A person said of a version that something was done."""

    version: Text
    name: Text
    """What was signed: `api-documentation`."""
    person: Text
    """The person's key."""
    by: Text
    """For people."""
    at: Stamp
    digests: Annotated[dict[Text, Text], Field(max_length=_MOST)] = {}
    """Service → digest of the image that it was signed for; nothing where the version before recorded it."""


class KnownSignatures(Frozen):
    """What is recorded, newest first, and how much of it can't be read."""

    signatures: tuple[Signature, ...] = ()
    unreadable: int = 0

    def of(self, version: str, name: str) -> Signature | None:
        """Return the newest one for that version."""
        return next((each for each in self.signatures if (each.version, each.name) == (version, name)), None)


_SIGNATURES: TypeAdapter[tuple[Signature, ...]] = TypeAdapter(tuple[Signature, ...])


def signatures_from(data: Mapping[str, str]) -> KnownSignatures:
    """Return those that can be read: one entry that somebody wrote wrong hides no other."""
    if not data.get(_KEY):
        return KnownSignatures()
    try:
        listed = read_json(data[_KEY], _unreadable)
    except PermanentError:
        listed = None
    if not isinstance(listed, list):
        return KnownSignatures(unreadable=1)
    kept, unreadable = [], 0
    for entry in listed[:KEPT_SIGNATURES]:
        try:
            kept.append(Signature.model_validate(entry))
        except (ValidationError, RecursionError):
            unreadable += 1
    return KnownSignatures(signatures=tuple(kept), unreadable=unreadable)


def signatures_data(signatures: Iterable[Signature], before: Mapping[str, str], *, unreadable: int) -> dict[str, str]:
    """Return the newest as they are written; the text of a list that could not be read is kept beside it."""
    kept = {UNREADABLE: before[UNREADABLE]} if UNREADABLE in before else {}
    if unreadable:
        kept[UNREADABLE] = before[_KEY].encode()[:_LARGEST].decode(errors="ignore")
    newest = tuple(signatures)[:KEPT_SIGNATURES]
    return {_KEY: _SIGNATURES.dump_json(newest, indent=1).decode(), **kept}


def _unreadable() -> PermanentError:
    return PermanentError("The signatures can't be read.", code=ReasonCode.RECORD_UNREADABLE)
