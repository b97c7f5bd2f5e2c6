"""Whether an older release runs on the schema of a newer one: proved on a scratch database, declared by the newer image, or not known.

A proof is kept in the fleet's record by the digests of both images. A declaration is a label of the newer image, which is bound to its
digest like everything in it: the oldest release that runs on its schema. Nothing here raises because something can't be read.
"""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Literal, TypeVar

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.schema_proofs import SchemaProof, proof_of
from runbooks.kit.answers import read_time
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Image
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.train import Part
from runbooks.kit.versions import TAG, is_older
from runbooks.migrations.settings import OLDEST, ProofSettings
from runbooks.wording import age_since

T = TypeVar("T")
Verdict = Literal["proven", "declared", "unknown", "impossible"]
_RANKS: dict[Verdict, int] = {"impossible": 0, "unknown": 1, "declared": 2, "proven": 3}


class Compatibility(Frozen):
    """Whether the older release runs on the newer one's schema."""

    verdict: Verdict
    evidence: str
    """Why, without a full stop."""


async def compatibility(
    registry: RegistryClient | None,
    fleet: Fleet | None,
    environment: Environment,
    older: Image,
    newer: Image,
    *,
    seconds: float,
) -> Compatibility:
    """Return what is known of it, within that time. What says that it does not run counts more than what says that it does."""
    if older.digest is None or newer.digest is None:
        return Compatibility(verdict="unknown", evidence="an image is known by its tag alone")
    (proofs, unread), (declared, unlabelled) = await asyncio.gather(
        _seen(fleet.schema_proofs(environment) if fleet is not None else None, seconds),
        _seen(_declared(registry, newer) if registry is not None else None, seconds),
    )
    proof = proof_of(proofs or (), older.digest, newer.digest)
    if proof is not None and not proof.runs:
        return Compatibility(verdict="impossible", evidence=_proved(proof))
    runs = runs_by_declaration(older, newer, declared)
    if runs is False:
        said = f"{newer.tag} declares {declared} as the oldest release that runs on its schema"
        return Compatibility(verdict="impossible", evidence=said)
    if proof is not None:
        return Compatibility(verdict="proven", evidence=_proved(proof))
    if runs:
        return Compatibility(verdict="declared", evidence=f"{newer.tag} declares that {declared} and newer run on it")
    why = next(filter(None, (unread, unlabelled)), "there is no proof, and the image declares nothing")
    return Compatibility(verdict="unknown", evidence=why)


def is_enough(found: Compatibility, proof: ProofSettings | None) -> bool:
    """Return whether it is known as well as the configuration requires."""
    required = proof.required if proof is not None else None
    return required is None or _RANKS[found.verdict] >= _RANKS[required]


def before_migrating(
    found: Compatibility, environment: Environment, older: Image, newer: Image, proof: ProofSettings | None
) -> Part:
    """Return what the plan of a migration says of going back. Whether that is good enough, the gate on it says."""
    line = f"prove {newer.tag} --env {environment.name}"
    advice = f"`{line}` tries it on a scratch database." if proof is not None else ""
    match found.verdict:
        case "proven" | "declared":
            said = f"A rollback to {older.tag} works after the migration ({found.verdict}): {found.evidence}."
            return Part(notes=(said,))
        case "impossible":
            said = (
                f"{older.tag} does not run after the migration: {found.evidence}. "
                "A rollback is then refused until the migration is undone, also one that follows a failure by itself. "
                "If the bot can't read what was applied, it goes back with a warning."
            )
            return Part(warnings=(said,))
        case "unknown":
            said = f"Whether {older.tag} still runs after the migration is unknown: {found.evidence}. {advice}".strip()
            return Part(warnings=(said,)) if proof is not None else Part(notes=(said,))


def runs_by_declaration(older: Image, newer: Image, declared: str | None) -> bool | None:
    """Return what the label says of the older release; None where it says nothing that can be compared."""
    if declared is None or older.tag is None or newer.tag is None:
        return None
    if older.tag == declared or is_older(declared, older.tag):
        return True
    return False if is_older(older.tag, declared) else None


async def _declared(registry: RegistryClient, newer: Image) -> str | None:
    """Return the oldest release that all platforms of the image declare; None where they declare none, or different ones."""
    assert newer.digest is not None, "asked only with a digest"
    found = set(await registry.labels(newer.repository, newer.digest, OLDEST))
    said = found.pop() if len(found) == 1 else None
    return said if said is not None and TAG.fullmatch(said) else None


def _proved(proof: SchemaProof) -> str:
    at = read_time(proof.at)
    when = f"{age_since(at)} ago" if isinstance(at, datetime) else "at an unknown time"
    by = f", asked for by {proof.by}" if proof.by else ""
    return f"{proof.evidence} ({when}{by})"


async def _seen(work: Awaitable[T] | None, seconds: float) -> tuple[T | None, str]:
    try:
        async with asyncio.timeout(seconds):
            return (await work if work is not None else None), ""
    except RunbookError as error:
        return None, error.message.rstrip(".")
    except TimeoutError:
        return None, f"no answer within {seconds:g} s"
