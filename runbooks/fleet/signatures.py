"""What people signed for a release."""

from typing import Annotated

from pydantic import Field

from runbooks.fleet.bounded_list import BoundedList
from runbooks.fleet.records import Stamp, Stored, Text
from runbooks.kit.targets import Frozen

_MOST = 50


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


SIGNATURES = BoundedList("signatures", Signature, 200)
