"""Each gate against the sandbox's servers: what passes, what fails, and what to do about it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.fleet.fleet import Fleet, Release, ReleasedService
from runbooks.gates.clinical_work import SyncBacklog
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.gates.images import ImagesExist
from runbooks.gates.looking import look_at
from runbooks.gates.promotion import Promoted, PromotedFrom
from runbooks.gates.settings import BacklogSettings
from runbooks.sync.queue import SyncQueue, SyncScripts
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.outside.registry import Registry
from sandbox.sync_queue import SyncQueue as World
from tests.support.gates import MakesSubject, environment, image

STAGING = environment("staging")
START = 1e9
"""On the clock of the sync queue."""


async def look(gate: Gate, subject: GateSubject) -> GateResult:
    (found,) = await look_at([gate], subject, 8.0)
    return found


async def test_images_pass_while_each_tag_stands_for_the_planned_digest(subject: MakesSubject) -> None:
    registry = Registry()
    async with registry.serve() as url, RegistryClient({"ghcr.io": url}, plain_http=True) as client:
        assert (await look(ImagesExist(), subject(client))).state == "passed"
        registry.move("backend", "v2.0.0", to="v1.1.0")
        registry.forget("frontend", "v2.0.0")
        found = await look(ImagesExist(), subject(client))
    assert found.state == "failed"
    assert "backend v2.0.0 pointed to" in found.evidence
    assert "no longer has frontend v2.0.0" in found.evidence


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[tuple[ClusterClient, World]]:
    made, world = Cluster(), World()
    made.add_scripts(world.scripts())
    seed_omnicare(made)
    async with made.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(made.kubeconfig())
        async with ClusterClient(kubeconfig=str(written)) as client:
            yield client, world


def released(version: str = "v2.0.0", *, of: str = "v2.0.0", verdict: str = "good", **more: str) -> Release:
    services = tuple(ReleasedService(service=each, image=image(each, of)) for each in ("backend", "frontend"))
    fields = {
        "run": f"staging.deploy.{of}",
        "by": "Maya",
        "at": "2026-05-03T20:00:00+00:00",
        "verdict": verdict,
        **more,
    }
    return Release.model_validate({"version": version, "services": services, **fields})


@pytest.mark.parametrize(
    ("recorded", "state", "evidence"),
    [
        ([released()], "passed", "the same digests are good in staging"),
        ([released("v1.2.0", of="v1.2.0"), released()], "passed", "the same digests"),
        ([], "failed", "v2.0.0 has no record in staging"),
        ([released(verdict="bad")], "failed", "recorded as bad in staging"),
        ([released(verdict="unproven")], "failed", "recorded as unproven in staging"),
        ([released(verification="passed")], "passed", "verified there"),
        ([released(verification="failed")], "failed", "the verification of v2.0.0 in staging failed"),
        ([released(verification="inconclusive")], "unknown", "was inconclusive"),
        ([released(run="two"), released(verification="passed")], "passed", "verified there"),
        ([released(run="two"), released(verification="passed", of="v1.2.0")], "passed", "not verified there"),
        ([released(of="v1.2.0")], "failed", "staging ran v2.0.0 with a different image of backend and frontend"),
    ],
)
async def test_promotion(
    recorded: list[Release], state: str, evidence: str, cluster: tuple[ClusterClient, World], subject: MakesSubject
) -> None:
    fleet = Fleet(cluster[0])
    for each in reversed(recorded):
        await fleet.record_release(STAGING, each)
    found = await look(Promoted(), subject(PromotedFrom(environment=STAGING, fleet=fleet)))
    assert found.state == state
    assert evidence in found.evidence
    assert found.state == "passed" or "deploy v2.0.0 --env staging" in found.advice


async def test_another_reason_of_a_bad_release_is_another_finding(
    cluster: tuple[ClusterClient, World], subject: MakesSubject
) -> None:
    fleet = Fleet(cluster[0])
    findings = set()
    for why in ("test 18 failed", "test 20 failed"):
        await fleet.record_release(STAGING, released(verdict="bad", why=why, run=f"staging.deploy.{why[5:7]}"))
        found = await look(Promoted(), subject(PromotedFrom(environment=STAGING, fleet=fleet)))
        assert why in found.evidence
        findings.add(found.finding)
    assert len(findings) == 2


@pytest.mark.parametrize(
    ("verifies", "unverified", "state"),
    [(False, "warn", "passed"), (False, "refuse", "unknown"), (True, "warn", "unknown")],
)
async def test_what_was_never_verified_is_promoted_only_where_nothing_is_verified_and_a_setting_says_so(
    verifies: bool,
    unverified: Literal["warn", "refuse"],
    state: str,
    cluster: tuple[ClusterClient, World],
    subject: MakesSubject,
) -> None:
    fleet = Fleet(cluster[0])
    await fleet.record_release(STAGING, released())
    source = PromotedFrom(environment=STAGING, fleet=fleet, verifies=verifies)
    found = await look(Promoted(unverified=unverified), subject(source))
    assert (found.state, "not verified there" in found.evidence) == (state, True)
    assert bool(found.warning) is (state == "passed")


@pytest.mark.parametrize(
    ("how", "large", "state", "evidence"),
    [
        ("", 100, "passed", "pending sync item"),
        ("", 1, "passed", "their number is not growing"),
        ("stuck", 100, "failed", "more than 0.4 s ago"),
        ("missing", 100, "unknown", "has no script for this"),
    ],
)
async def test_a_backlog(
    how: str, large: int, state: str, evidence: str, cluster: tuple[ClusterClient, World], subject: MakesSubject
) -> None:
    client, world = cluster
    world.clock = lambda: START
    world.reset()
    if how:
        world.break_it(how)
    if how == "stuck":  # each look finds it a minute later

        def later(count: int) -> None:
            world.clock = lambda: START + 60 * count

        world.on_status = later
    queue = SyncQueue(client, environment(), SyncScripts())
    found = await look(SyncBacklog(settings=BacklogSettings(large=large, seconds=0.4)), subject(queue))
    assert (found.state, evidence in found.evidence) == (state, True), found
    assert bool(found.warning) == (state == "passed" and large == 1)
