"""Scenarios to choose from. `omnicare sandbox --scenario NAME` starts with some, and the page's *World* switches each on and off."""

from sandbox.scenarios.around import CACHE, CERTIFICATES, ELASTICACHE, LOGS, METRICS, REGIONS, SYNC, TARGETS, WEBSOCKETS
from sandbox.scenarios.database import DATABASE
from sandbox.scenarios.deploys import SCENARIOS
from sandbox.scenarios.gates import FREEZE, GATES
from sandbox.scenarios.standing import STANDING

GROUPS = (
    ("Wrong with production now", STANDING),
    ("Breaks when somebody deploys", SCENARIOS),
    ("The application", (*LOGS, *SYNC, *WEBSOCKETS, *METRICS)),
    ("The database", DATABASE),
    ("The cache and the load balancer", (*CACHE, *ELASTICACHE, *TARGETS)),
    ("Certificates", CERTIFICATES),
    ("A gate that does not pass", (*GATES, *FREEZE)),
    ("Another world", REGIONS),
)
EVERY = tuple(scenario for _, group in GROUPS for scenario in group)
BY_NAME = {scenario.name: scenario for scenario in EVERY}

__all__ = [
    "BY_NAME",
    "CACHE",
    "CERTIFICATES",
    "DATABASE",
    "ELASTICACHE",
    "EVERY",
    "FREEZE",
    "GATES",
    "GROUPS",
    "LOGS",
    "METRICS",
    "REGIONS",
    "SCENARIOS",
    "SYNC",
    "TARGETS",
    "WEBSOCKETS",
]
