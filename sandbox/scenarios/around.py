"""What can be wrong with logs, offline sync, metrics and regions: nothing was deployed."""

from sandbox.scenarios.scenario import Scenario
from sandbox.scenarios.world_acts import (
    Alert,
    BreakCache,
    BreakLogs,
    BreakMetrics,
    BreakSync,
    BreakTargets,
    Expire,
    FailOver,
)

LOGS: tuple[Scenario, ...] = (
    Scenario(
        "log-flood",
        "One pod of the backend writes 400 lines a second.",
        "logs backend --since 1m",
        "fatal ",
        (BreakLogs("flood"),),
    ),
    Scenario(
        "log-patients",
        "The backend writes patients' data into its log, all of it invented.",
        "logs backend",
        "Removed from these lines: ",
        (BreakLogs("patients"),),
    ),
    Scenario(
        "log-hang",
        "The log of one pod of the backend opens and says nothing.",
        "logs backend",
        "is missing or incomplete: no data for",
        (BreakLogs("hang"),),
    ),
)
SYNC: tuple[Scenario, ...] = (
    Scenario(
        "sync-stuck",
        "Nothing leaves the sync queue any more.",
        "sync status",
        "Sync in production is stuck",
        (BreakSync("stuck"), BreakMetrics("websocket_connections", 21, 2)),
    ),
    Scenario(
        "sync-missing",
        "The backend's image has no sync scripts.",
        "sync status",
        "has no script for this",
        (BreakSync("missing"),),
    ),
    Scenario(
        "sync-silent",
        "The sync scripts never answer.",
        "sync status",
        "did not answer within",
        (BreakSync("silent"),),
    ),
)

WEBSOCKETS: tuple[Scenario, ...] = (
    Scenario(
        "websocket-drops",
        "For 9 minutes something in front of the backend has cut off WebSocket connections that are idle.",
        "sync websocket",
        "WebSocket connections of backend in production drop",
        (BreakLogs("drops"), BreakMetrics("websocket_disconnects_total", 9)),
    ),
)

METRICS: tuple[Scenario, ...] = (
    Scenario(
        "error-rate",
        "For 25 minutes more than 2 % of the requests have failed.",
        "metrics",
        "error rate is above its limit",
        (BreakMetrics("http_requests_total", 25), Alert("HighErrorRate", 23)),
    ),
)
"""Only Prometheus and Alertmanager know of these."""

CACHE: tuple[Scenario, ...] = (
    Scenario(
        "cache-full",
        "The second shard of the cache is full and evicts nothing, so writes fail and fewer lookups succeed.",
        "cache",
        "The primary of shard 2 is full",
        (BreakCache("full"),),
    ),
    Scenario(
        "cache-replica-down",
        "A replica of the cache lost its primary 7 minutes ago.",
        "cache",
        "The replica of shard 3 lost its primary",
        (BreakCache("replica"),),
    ),
    Scenario(
        "cache-node-down",
        "The primary of the cache's first shard is gone, and no replica has taken over.",
        "cache",
        "The cache cluster is down",
        (BreakCache("node"),),
    ),
)

ELASTICACHE: tuple[Scenario, ...] = (
    Scenario(
        "cache-failover",
        "ElastiCache replaces the primary of the cache's first shard, and a replica is taking over.",
        "cache",
        "ElastiCache is making omnicare-prod-0001-002 the primary of omnicare-prod",
        (FailOver(),),
    ),
)

CERTIFICATES: tuple[Scenario, ...] = (
    Scenario(
        "cert-expiry",
        "The certificate that api.omnicare-health.com shows expires in 5 days. It was renewed in its Secret, and the load balancer has the old one.",
        "certs",
        "1 certificate of production needs action now",
        (Expire("api.omnicare-health.com", 5),),
    ),
)


TARGETS: tuple[Scenario, ...] = (
    Scenario(
        "targets-unhealthy",
        "The backend's pods are healthy, but all of them fail the load balancer's health check.",
        "diagnose",
        "backend: no target of the load balancer is healthy",
        (BreakTargets("all"),),
    ),
)

TWO_REGIONS = ("eu", "us")
REGIONS: tuple[Scenario, ...] = (
    Scenario(
        "two-regions",
        "Production runs in two regions, eu and us. The page's World can make either unreachable.",
        "deploy v2.0.0",
        "runs in production",
    ),
)
"""These need a world of their own: a second cluster."""
