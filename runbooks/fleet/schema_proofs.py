"""What was proved of schemas: whether an older release runs on the schema of a newer one, as tried on a scratch database."""

from runbooks.fleet.bounded_list import BoundedList
from runbooks.fleet.records import Stamp, Stored, Text


class SchemaProof(Stored):
    """The tests of an older release ran on the schema that a newer one makes."""

    older: Text
    """The version whose tests ran."""
    older_digest: Text
    newer: Text
    """The version whose migrations made the schema."""
    newer_digest: Text
    runs: bool
    """Whether the older release runs on it."""
    evidence: Text
    """What was seen, without a full stop."""
    at: Stamp
    by: Text = ""
    """Who asked for it."""
    run: Text = ""


SCHEMA_PROOFS = BoundedList("schema-proofs", SchemaProof, 100)


def proof_of(proofs: tuple[SchemaProof, ...], older_digest: str, newer_digest: str) -> SchemaProof | None:
    """Return the newest one of these two images."""
    return next((p for p in proofs if (p.older_digest, p.newer_digest) == (older_digest, newer_digest)), None)
