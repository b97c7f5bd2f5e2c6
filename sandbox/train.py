"""The servers and the tables of `omnicare.toml` for the release train: gates, migrations, CDN, verification.

`omnicare sandbox` has all of them; a test's world has those that it names, so that what is about a rollout alone stays short. A new part
is a function that starts what it needs and returns each environment's tables, and a line in `PARTS`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sandbox import gates
from sandbox.aws_services import (
    BACKUPS,
    DISTRIBUTIONS,
    INSTANCES,
    REGION,
    SIGNING_SECRET,
    CloudFront,
    Rds,
    SecretsManager,
)
from sandbox.cache import CacheCluster
from sandbox.cluster.programs import Execution
from sandbox.cluster.seed import BOT_NAMESPACE, NAMESPACES
from sandbox.configuration import JWT
from sandbox.elasticache import ARN, ElastiCache
from sandbox.load_balancer import ARNS, TargetGroups
from sandbox.outside.alertmanager import AlertmanagerServer
from sandbox.outside.certificates import HOSTS, TLS_SECRET, TlsHosts, seed_secret
from sandbox.outside.github import CONFIG
from sandbox.outside.prometheus import PrometheusServer
from sandbox.postgres.schema import DRILL_TABLES

if TYPE_CHECKING:
    from sandbox.world import SandboxWorld

Tables = Mapping[str, Mapping[str, object]]
"""Environment → table or setting → what stands in it: `{"production": {"cdn": {"distribution": "E2EXAMPLE"}}}`."""
ServesPart = Callable[["SandboxWorld", AsyncExitStack], Awaitable[Tables]]


async def _cdn(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's AWS
    world.aws.services.append(CloudFront(seconds=1.0))
    return {
        name: {"cdn": {"distribution": distribution, "endpoint": world.aws.url, "look_seconds": 0.2}}
        for name, distribution in DISTRIBUTIONS.items()
    }


async def _verification(world: SandboxWorld, stack: AsyncExitStack) -> Tables:
    """Staging has no Prometheus: it is verified by its health, its database and its sync queue. Each region away from home has its own servers."""
    world.prometheus = PrometheusServer(world.cluster)
    world.alertmanager = AlertmanagerServer(world.cluster)
    world.cluster.add_scripts(world.smoke.scripts())
    url = await stack.enter_async_context(world.prometheus.serve())
    alerts = await stack.enter_async_context(world.alertmanager.serve())
    regions: dict[str, object] = {}
    for name, region in world.regions.items():
        own, firing = PrometheusServer(region.cluster), AlertmanagerServer(region.cluster)
        world.monitoring[name] = (own, firing)
        regions[name] = {
            "prometheus": {"url": await stack.enter_async_context(own.serve())},
            "alertmanager": {"url": await stack.enter_async_context(firing.serve())},
        }
    times = {"bake_seconds": 1.0, "deadline_seconds": 3.0}
    return {
        "production": {
            "verification": {
                **times,
                "smoke": {"seconds": 60},
                "benchmark": {"seconds": 60},
                "prometheus": {"url": url},
                "alertmanager": {
                    "url": alerts,
                    "receivers": ["pagerduty", "slack"],
                    "matchers": ['severity="critical"', 'namespace="omnicare-prod"'],
                },
                **({"regions": regions} if regions else {}),
            }
        },
        "staging": {"verification": times},
    }


async def _backups(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's AWS
    place = world.database.primary.address if world.database is not None else ""
    world.aws.services.append(Rds(seconds=1.0, place=place))
    if world.offers_scenarios:
        world.after_seed.append(lambda: _prove_restores(world))
        _prove_restores(world)
    where = {"region": REGION, "endpoint": world.aws.url, "bucket": BACKUPS, "prefix": "config/", "look_seconds": 0.2}
    tables: dict[str, dict[str, object]] = {
        name: {"backups": {"instance": instance, **where}} for name, instance in INSTANCES.items()
    }
    if world.database is not None:
        tables["production"]["backups"] = {"instance": INSTANCES["production"], **where, "drill_tables": DRILL_TABLES}
    return tables


async def _pool(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's cluster
    async def status(execution: Execution) -> int:
        full = world.database is not None and world.database.limited
        told = {"max": 4, "total": 4, "active": 4 if full else 1, "idle": 0 if full else 3, "waiting": 9 if full else 0}
        await execution.out(json.dumps(told).encode() + b"\n")
        return 0

    world.cluster.add_scripts({"db:pool:status": status})
    return {"production": {"pool": {"service": "backend"}}}


async def _certificates(world: SandboxWorld, stack: AsyncExitStack) -> Tables:
    hosts = world.tls = TlsHosts()
    port = await stack.enter_async_context(hosts.serve())
    authorities = world.folder / "authority.pem"
    authorities.write_bytes(hosts.authority.pem)
    namespaces = NAMESPACES if world.offers_scenarios else ()

    def add() -> None:
        hosts.renew()
        for namespace in namespaces:
            for cluster in (world.cluster, *(region.cluster for region in world.regions.values())):
                seed_secret(cluster, hosts, namespace)

    world.after_seed.append(add)
    add()
    asked = [{"host": host, "port": port, "connect": "127.0.0.1"} for host in HOSTS]
    table = {"certificates": {"hosts": asked, "secrets": [TLS_SECRET], "authorities": str(authorities)}}
    return {"production": table}


async def _cache(world: SandboxWorld, stack: AsyncExitStack) -> Tables:
    world.cache = await stack.enter_async_context(CacheCluster().serve())
    nodes = world.cache.addresses[::2]
    return {"production": {"cache": {"nodes": nodes, "tls": "disable", "sample_seconds": 0.5}}}


async def _elasticache(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's AWS
    service = world.elasticache = ElastiCache()
    world.aws.services.append(service)
    world.after_seed.append(lambda: service.want(broken=False))
    return {"production": {"elasticache": {"groups": [ARN], "endpoint": world.aws.url}}}


async def _load_balancer(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's AWS
    world.target_groups = TargetGroups()
    world.aws.services.append(world.target_groups)
    targets = {service: [arn] for service, arn in ARNS.items()}
    return {"production": {"load_balancer": {"targets": targets, "endpoint": world.aws.url}}}


async def _migrations(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's cluster
    world.smoke.trouble = world.schemas.trouble
    world.cluster.add_scripts({**world.schemas.scripts(), **world.smoke.scripts()})
    table = {
        "list": ["npm", "run", "--silent", "migrate:list"],
        "secret": "omnicare-database",
        "deadline": 120,
        "proof": {"image": "postgres:15", "deadline": 120},
    }
    return {"production": {"migrations": table}, "staging": {"migrations": table}}


def _prove_restores(world: SandboxWorld) -> None:
    """A drill three weeks ago."""
    at = datetime.now(UTC) - timedelta(days=21)
    proof = {"snapshot": f"rds:{INSTANCES['production']}-{at:%Y-%m-%d}-03-00", "at": at.isoformat(), "minutes": 21.5}
    text = json.dumps({**proof, "by": "Dana", "checked": True, "evidence": "9 tables with about 48000 rows"})
    metadata = {
        "name": "restores-production",
        "namespace": BOT_NAMESPACE,
        "labels": {"omnicare.dev/record": "restores"},
    }
    world.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"last": text}})


async def _manifests(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - on the gates' GitHub
    return {"production": {"manifests": {"paths": [CONFIG]}}}


async def _deployments(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - on the gates' GitHub
    return {} if world.github is None else gates.on_github(world.github, deployments={"production": True})


async def _lock(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - a setting alone
    return {"production": {"lock_after_rollback": True}}


async def _sheet(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - a setting alone
    return {"production": {"sheet_in_thread": True}}


async def _secrets(world: SandboxWorld, stack: AsyncExitStack) -> Tables:  # noqa: ARG001 - ends with the world's AWS
    world.aws.services.append(SecretsManager())
    source = {"secret_id": SIGNING_SECRET, "region": REGION, "endpoint": world.aws.url}
    return {"production": {"rotations": {"jwt": JWT, "jwt-from-aws": {**JWT, "aws": source}}}}


PARTS: dict[str, ServesPart] = {
    "cdn": _cdn,
    "pool": _pool,
    "cache": _cache,
    "certificates": _certificates,
    "elasticache": _elasticache,
    "load-balancer": _load_balancer,
    "backups": _backups,
    "gates": gates.served,  # on those above
    "deployments": _deployments,
    "migrations": _migrations,
    "manifests": _manifests,
    "secrets": _secrets,
    "verification": _verification,
    "lock": _lock,
    "sheet": _sheet,
}


async def served(world: SandboxWorld, stack: AsyncExitStack, names: Collection[str]) -> dict[str, dict[str, object]]:
    """Starts the named parts, and returns their tables by environment."""
    tables: dict[str, dict[str, object]] = {}
    for name, part in PARTS.items():
        if name in names:
            for environment, found in (await part(world, stack)).items():
                tables.setdefault(environment, {}).update(found)
    if {"backups", "gates"} <= {*names} or "load-balancer" in names:
        world.aws.wake()  # a gate waits for it, or `diagnose`, and importing it takes seconds
    return tables
