"""`diagnose` on each scenario in which production is broken now: the cause stands first; of two at once both stand on the card."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.postgres import Database
from tests.support.worlds import ON_CALL, Story, story

pytestmark = pytest.mark.timeout(600)

FIRST = {
    "image-pull": "frontend: the image can't be pulled: the registry does not have it",
    "crash-loop": "backend: the container keeps starting and exiting (exit code 1)",
    "oom": "backend: the container is killed for using more memory than its limit of 512Mi",
    "pending": "frontend: no node has room for the new pod: insufficient cpu",
    "bad-release": "backend v1.2.0 → v2.1.0-errors, set outside the bot (kubectl-set); since then error rate: ",
    "bad-config": "ConfigMap backend-config (FHIR) was changed by kubectl-edit; backend read it when it restarted; since then error rate: ",
    "slow-db": "The database has become slower, and statement",
    "database-slow": "The primary answers slowly",
    "blocked-db": "4 sessions of the database wait for pid",
    "database-lock": "4 sessions of the database wait for pid",
    "pool-exhausted": "The database is running out of connections: role omnicare uses 12 of 12 connections",
    "replica-lag": "The replica does not replay what it receives: somebody paused it",
    "database-gone": "TCP connects to the primary",
    "sync-stuck": "Offline sync is stuck",
    "websocket-drops": "backend: WebSocket connections drop",
    "error-rate": "Error rate: ",
    "disk-full": "Node node-1 has a disk that is nearly full",
    "hpa-max": "backend: its autoscaler is at its maximum of 3 pods and wants more",
    "job-failed": "CronJob appointment-reminders: its last Job failed (BackoffLimitExceeded)",
    "webhook-down": "The cluster refuses changes to pods: Service image-policy in policies does not exist, and admission webhook ",
    "service-port": "backend: its Service backend leads to port 3002, which no container or probe of its pods names",
    "cert-expiry": "The certificate of api.omnicare-health.com",
    "cache-full": "The primary of shard 2 is full",
    "cache-replica-down": "The replica of shard 3 lost its primary",
    "cache-node-down": "The cache cluster is down",
    "cache-failover": "ElastiCache is making omnicare-prod-0001-002 the primary of omnicare-prod",
}
"""Scenario → the first words of what is found first."""
SAYS = {
    "crash-loop": (" --previous --env production",),
    "pending": ("Most is requested by nightly-export-node-1", "scale frontend 3 --env production"),
    "slow-db": ("reading all of audit_events", "The most expensive step of its plan", "db explain q"),
    "bad-config": ("restart backend --env production",),
    "webhook-down": (
        "delete the webhook's configuration",
        "frontend: admission webhook pods.image-policy.example does not answer",
    ),
    "service-port": ("targetPort", "Likely consequences: ", "Error rate: 3"),
    "pool-exhausted": ("db kill ", "restart backend --env production", "9 requests waiting"),
}
"""Scenario → what else stands on its card: how it is mended, and what shows it."""
ALONE = ("cache-failover", "job-failed", "webhook-down", "service-port")
"""Scenarios of which nothing else is a cause: what else is seen of them is evidence."""
PAIRS = (
    ("image-pull", "crash-loop"),
    ("bad-config", "image-pull"),
    ("pending", "pool-exhausted"),
    ("oom", "sync-stuck"),
    ("replica-lag", "websocket-drops"),
)
WELL = "production: nothing is wrong"
WAITED = 2.0
"""Seconds; who waits for a lock for less is about to get it."""


async def test_each_cause_is_named_first_and_two_at_once_are_both_named(tmp_path: Path) -> None:
    parts = ("pool", "cache", "elasticache", "verification", "certificates")
    async with Database().serve() as database, story(tmp_path / "world", parts=parts, database=database) as here:
        await here.inside()
        await database.ready()
        assert WELL in await diagnosed(here, WELL)
        wrong = []
        for name, words in FIRST.items():
            async with on(here, name):
                said = await diagnosed(here, words)
            if f"production: {words}" not in said.partition("\n")[0]:
                wrong.append(f"{name}: {said[:200]}")
            if name in ALONE and "Cause 2: " in said:
                wrong.append(f"{name} is not alone: {said}")
            wrong += [f"{name} does not say {each}: {said}" for each in SAYS.get(name, ()) if each not in said]
        for pair in PAIRS:
            async with on(here, *pair):
                said = await diagnosed(here, *(FIRST[name] for name in pair))
            wrong += [f"{'+'.join(pair)}: {said}" for name in pair if FIRST[name] not in said]
        assert not wrong, "\n".join(wrong)
        assert WELL in await diagnosed(here, WELL)


@asynccontextmanager
async def on(here: Story, *names: str) -> AsyncIterator[None]:
    """Until the block ends, these are on."""
    database = here.world.database
    assert database is not None
    for name in names:
        await here.world.switch(name, on=True)
    await database.settled()
    if database.broken & {"lock", "blocked"}:
        await here.until(lambda: time.monotonic() - database.waiting_since > WAITED, "they have waited for long enough")
    yield
    for name in names:
        await here.world.switch(name, on=False)
    await database.settled()


async def diagnosed(here: Story, first: str, *others: str) -> str:
    """Return the card's words, from its headline on; asked again where the busy machine, not the world, kept a rule from an answer."""
    said = ""
    for _ in range(3):
        said = await here.answer(ON_CALL, "diagnose")
        if (first in said.partition("\n")[0] and all(each in said for each in others)) or "within" not in said:
            break
    return said
