"""ElastiCache's own view, from the sandbox's AWS through the real SDK: read, judged, and found by `diagnose`."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from runbooks.cache import groups
from runbooks.cache.caches import Cache
from runbooks.clients.aws.elasticache import (
    CacheGroup,
    ElastiCacheGroups,
    ElastiCacheSettings,
    GroupEvent,
    GroupNode,
    ServiceUpdate,
)
from runbooks.troubleshooting.asking import Diagnosed, diagnose
from runbooks.troubleshooting.caches import Caches
from runbooks.troubleshooting.findings import Confidence, Trouble
from sandbox.aws import Aws
from sandbox.cache import CacheCluster
from sandbox.elasticache import ARN, GROUP, ElastiCache
from tests.support.caches import cache
from tests.support.cases import case
from tests.support.refusing_aws import SECRET, refusing

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
async def served() -> AsyncIterator[tuple[ElastiCache, str]]:
    aws, there = Aws(), ElastiCache()
    aws.services.append(there)
    async with aws.serve() as url:
        await _client(url).look()  # the first visitor waits until moto is imported
        yield there, url


def _client(url: str, arn: str = ARN) -> ElastiCacheGroups:
    return ElastiCacheGroups(ElastiCacheSettings(groups=(arn,), endpoint=url), throw_away=True, read_seconds=60.0)


async def _said(client: ElastiCacheGroups | None = None) -> Diagnosed:
    async with CacheCluster().serve() as nodes:
        known: dict[type, object] = {Cache: cache(nodes.addresses[0])}
        if client is not None:
            known[ElastiCacheGroups] = client
        async with case(known) as asked:
            return await diagnose(asked, (Caches(),))


async def test_what_elasticache_tells_is_read_and_a_failover_is_a_cause_that_names_the_nodes(
    served: tuple[ElastiCache, str],
):
    there, url = served
    client = _client(url)
    (group,) = await client.look()
    assert group.unknown == ()
    assert groups.in_short(group, datetime.now(UTC)) == (
        "available, 6 nodes in 2 zones, redis 7.1.0, automatic failover enabled, newest snapshot 9 h ago"
    )
    assert not (await _said(client)).findings
    there.want(broken=True)
    (first,) = (await _said(client)).findings
    assert first.cause == f"ElastiCache is making {GROUP}-0001-002 the primary of {GROUP}"
    assert (first.kind, first.confidence) == (Trouble.CACHE_SERVICE, Confidence.CERTAIN)
    assert "Writes fail until it is done" in first.to_do[0].text
    assert f"ElastiCache says: Failover from master node {GROUP}-0001-001" in first.to_do[0].text
    assert first.evidence == (
        f"ElastiCache reports the status of node {GROUP}-0001-001 in us-east-1a as rebooting cluster nodes.",
    )
    there.want(broken=False)
    there.snapshot_age, there.updates = timedelta(days=4), ["redis-20261101"]
    late = (await _said(client)).findings
    assert [each.ahead for each in late] == [True, True]
    assert {each.cause.partition(" of ")[0] for each in late} == {"1 update", "The newest snapshot"}


async def test_what_aws_refuses_is_told_with_the_permission_and_the_rest_is_there(served: tuple[ElastiCache, str]):
    there, url = served
    there.refused = {"DescribeEvents"}
    (group,) = await _client(url).look()
    assert len(group.nodes) == 6
    (why,) = group.unknown
    assert "elasticache:DescribeEvents" in why
    (gone,) = await _client(url, ARN.replace(GROUP, "other")).look()
    assert gone.why.startswith("ElastiCache can't show the status of other: there is no such replication group")
    async with refusing(403, "AccessDenied") as refuses:
        said = await _said(_client(refuses))
    assert not said.findings
    (rule, told), *_ = said.unknown
    assert rule == "cache"
    assert "elasticache:DescribeReplicationGroups" in told
    assert SECRET not in told
    assert (await _said()).well, "nothing changes without the table"


def _group(**told: object) -> CacheGroup:
    return CacheGroup.model_validate({"name": "g", "aws_region": "eu-west-1", "status": "available", **told})


@pytest.mark.parametrize(
    ("told", "says", "grave"),
    [
        ({}, "", False),
        ({"status": "modifying", "shards": {"0001": "modifying"}}, "", False),
        ({"status": "unknown", "nodes": [GroupNode(id="g-1")]}, "", False),
        ({"why": "no permission"}, "", False),
        ({"status": "deleting"}, "ElastiCache reports the status of g as deleting", True),
        ({"resharding": 40.0}, "ElastiCache is moving slots of g to other shards (40 % done)", False),
        ({"nodes": [GroupNode(id="g-1", role="replica", status="creating")]}, "ElastiCache reports the status of replica g-1 as creating", False),
        ({"nodes": [GroupNode(id="g-1", role="primary", status="rebooting")]}, "ElastiCache reports the status of primary g-1 as rebooting", True),
        ({"events": [GroupEvent(at=NOW - timedelta(minutes=9), text="Failover to g-2 completed")]}, "ElastiCache reported a failover in g 9 min ago", False),
        ({"events": [GroupEvent(at=NOW - timedelta(minutes=40), text="Failover to g-2 completed")]}, "", False),
        ({"updates": [ServiceUpdate(name="u", severity="low", status="not-applied", apply_by=NOW + timedelta(days=1))]}, "", False),
        ({"updates": [ServiceUpdate(name="u", severity="low", status="in-progress")]}, "ElastiCache is updating g (u)", False),
        ({"retention": 7, "snapshot_at": NOW - timedelta(hours=30)}, "", False),
        ({"retention": 0, "snapshot_at": NOW - timedelta(days=30)}, "", False),
    ],
)  # fmt: skip
def test_what_is_on_its_way_or_planned_is_no_trouble_and_what_stops_writes_is_grave(
    told: dict[str, object], says: str, grave: bool
):
    found = groups.troubles([_group(**told)], NOW)
    assert [(each.says, each.grave) for each in found] == ([(says, grave)] if says else [])


OLD, NEW = GroupNode(id="g-1", shard="1", status="rebooting"), GroupNode(id="g-2", shard="1", status="available")
BEGUN = GroupEvent(at=NOW - timedelta(minutes=2), text="Failover from master node g-1 to replica node g-2 has begun")


@pytest.mark.parametrize(
    ("told", "evidence", "others"),
    [
        ({"promoted": "g-2", "nodes": [OLD, NEW]}, ["node g-1 as rebooting"], []),
        ({"events": [BEGUN], "nodes": [OLD, NEW]}, ["node g-1 as rebooting"], []),
        ({"events": [BEGUN], "nodes": [OLD.model_copy(update={"shard": ""})]}, ["node g-1 as rebooting"], []),
        ({"promoted": "g-2", "nodes": [OLD, NEW, GroupNode(id="g-12", shard="2", status="creating")]}, ["node g-1 as rebooting"], ["node g-12 as creating"]),
        ({"promoted": "g-2", "nodes": [NEW, GroupNode(id="g-3", shard="1", status="incompatible-network")]}, [], ["node g-3 as incompatible-network"]),
        ({"events": [BEGUN.model_copy(update={"at": NOW - timedelta(hours=1)})], "nodes": [OLD, NEW]}, None, ["node g-1 as rebooting"]),
    ],
)  # fmt: skip
def test_nodes_that_are_on_their_way_because_of_a_failover_are_its_evidence_and_others_a_cause_of_their_own(
    told: dict[str, object], evidence: list[str] | None, others: list[str]
):
    """None: there is no failover."""
    found = groups.troubles([_group(**told)], NOW)
    failover = [each for each in found if "is making" in each.says or "failover" in each.says]
    says = "ElastiCache reports the status of "
    assert [each.evidence for each in failover] == (
        [tuple(f"{says}{each}" for each in evidence)] if evidence is not None else []
    )
    assert {each.says for each in found if each not in failover} == {f"{says}{each}" for each in others}


def test_maintenance_that_waits_is_told_with_its_window():
    group = _group(
        pending=("engine version 7.1",),
        window="sun:05:00-sun:06:00",
        updates=[ServiceUpdate(name="u", severity="low", status="scheduled", apply_by=NOW)],
    )
    assert groups.in_short(group, NOW) == (
        "available, 0 nodes, no automatic snapshots, engine version 7.1 waits for sun:05:00-sun:06:00 UTC, "
        "1 service update waits, apply by 2026-11-29"
    )
