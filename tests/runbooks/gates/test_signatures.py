"""What people sign: in the record, bounded and read with distrust, and the gate that waits for it."""

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.signatures import SIGNATURES, Signature
from runbooks.gates.looking import look_at
from runbooks.gates.settings import SignatureSettings
from runbooks.gates.signatures import Signed, Signers
from sandbox.cluster import Cluster, seed_omnicare
from tests.support.gates import MakesSubject, changes, environment

SETTINGS = SignatureSettings(
    name="api-documentation", text="API documentation updated", max_age_hours=24, role="on-call"
)
DIGESTS = {each.service: each.after.digest or "" for each in changes()}
GATE = Signed(key=SETTINGS.key, name=SETTINGS.text, settings=SETTINGS)


def signature(
    version: str = "v2.0.0",
    name: str = "api-documentation",
    person: str = "ines",
    digests: dict[str, str] = DIGESTS,
    **since: float,
) -> Signature:
    at = (datetime.now(UTC) - timedelta(**since)).isoformat(timespec="seconds")
    return Signature(version=version, name=name, person=person, by="Ines", at=at, digests=digests)


async def _roles(key: str, environment: str) -> Collection[str]:
    assert environment == "production"
    return {"ines": {"on-call"}, "maya": {"requester"}}.get(key, set())


@pytest.mark.parametrize(
    ("signed", "state", "evidence"),
    [
        ([], "waiting", "not signed for v2.0.0"),
        ([signature("v1.2.0"), signature(name="other")], "waiting", "not signed for v2.0.0"),
        ([signature(hours=23)], "passed", "signed by Ines"),
        ([signature(hours=25)], "waiting", "Ines signed 25 h ago, but a signature is valid for 24 h"),
        ([signature(hours=25), signature()], "passed", "signed by Ines"),
        ([signature(hours=-2)], "unknown", "Ines's signature has an invalid time"),
        ([signature(person="maya")], "waiting", "signed, but may no longer sign"),
        ([signature(person="left")], "waiting", "signed, but may no longer sign"),
        ([signature(digests={})], "waiting", "for unknown images"),
        ([signature(digests={**DIGESTS, "backend": "sha256:" + "e" * 64})], "waiting", "a different image of backend"),
    ],
)
async def test_the_gate_waits_for_a_signature_that_counts(
    signed: list[Signature], state: str, evidence: str, tmp_path: Path, subject: MakesSubject
) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig())
        async with ClusterClient(kubeconfig=str(tmp_path / "kubeconfig")) as client:
            fleet = Fleet(client)
            for each in signed:
                await fleet.sign(environment(), each)
            (found,) = await look_at([GATE], subject(fleet, Signers(_roles)), 5.0)
    assert (found.state, evidence in found.evidence) == (state, True), found
    if state != "passed":
        assert found.button == ("Sign: API documentation updated", "sign v2.0.0 api-documentation --env production")
        assert (
            found.advice
            == "Somebody with the role on-call must sign: `sign v2.0.0 api-documentation --env production`."
        )


def test_entries_that_can_not_be_read_hide_no_other_and_are_kept_aside() -> None:
    good = signature().model_dump(mode="json")
    text = json.dumps([good, {**good, "name": 1}, 7, {**good, "at": "yesterday"}])
    known, unreadable = SIGNATURES.read({"signatures": text})
    assert (len(known), unreadable) == (2, 2)
    assert known[1].at == ""
    written = SIGNATURES.written(known, {"signatures": text}, unreadable=unreadable)
    assert written["signatures-unreadable"] == text
    assert SIGNATURES.read(written)[1] == 0
    assert SIGNATURES.read({"signatures": "{"}) == ((), 1)


def test_only_the_newest_are_kept() -> None:
    many = [signature(f"v{number}.0.0") for number in range(205)]
    found, _ = SIGNATURES.read(SIGNATURES.written(many, {}, unreadable=0))
    assert (len(found), found[0].version) == (200, "v0.0.0")
