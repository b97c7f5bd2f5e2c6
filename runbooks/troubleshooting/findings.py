"""What a rule says: what it found, or that all is well, or why it could not look."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from runbooks.kit.targets import Frozen


class Confidence(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"
    """The system itself says so."""
    LIKELY = "likely"
    """It fits all that was seen."""
    POSSIBLE = "possible"
    """It often is the cause of what was seen."""


ORDER = {Confidence.CERTAIN: 0, Confidence.LIKELY: 1, Confidence.POSSIBLE: 2}
"""The surest first."""


class Trouble(StrEnum):
    """The kinds of trouble: one finding explains others by their kind."""

    # pods
    PENDING = "pending"
    IMAGE = "image"
    CRASHES = "crashes"
    OUT_OF_MEMORY = "out-of-memory"
    CONFIG_MISSING = "config-missing"
    PROBE = "probe"
    VOLUME = "volume"
    QUOTA = "quota"
    EVICTED = "evicted"
    RESTARTS = "restarts"
    ROLLOUT_STUCK = "rollout-stuck"
    NOT_READY = "not-ready"
    NOT_SERVED = "not-served"
    THROTTLED = "throttled"
    JOB = "job"
    SCHEDULE = "schedule"
    # the cluster
    CLUSTER = "cluster"
    NODE_DOWN = "node-down"
    NODE_PRESSURE = "node-pressure"
    AUTOSCALER = "autoscaler"
    CERTIFICATE = "certificate"
    TARGETS = "targets"
    INGRESS = "ingress"
    DNS = "dns"
    NETWORK_POLICY = "network-policy"
    WEBHOOK = "webhook"
    DISRUPTION_BUDGET = "disruption-budget"
    # what services need
    DATABASE_UNREACHABLE = "database-unreachable"
    DATABASE_CREDENTIALS = "database-credentials"
    POOL_EXHAUSTED = "pool-exhausted"
    SLOW_QUERIES = "slow-queries"
    BLOCKED_SESSIONS = "blocked-sessions"
    IDLE_TRANSACTIONS = "idle-transactions"
    TRANSACTION_IDS = "transaction-ids"
    REPLICATION_LAG = "replication-lag"
    DISK_FULL = "disk-full"
    CACHE = "cache"
    CACHE_MEMORY = "cache-memory"
    CACHE_REPLICATION = "cache-replication"
    CACHE_SERVICE = "cache-service"
    SYNC_STUCK = "sync-stuck"
    WEBSOCKET_DROPS = "websocket-drops"
    # what is measured, and what was done
    ERRORS = "errors"
    SLOW = "slow"
    METRIC = "metric"
    ALERT = "alert"
    CHANGE = "change"


class ToDo(Frozen):
    """One thing to do about it."""

    text: str
    """As an order: `Look at the newest lines of its log`."""
    command: str = ""
    """As it is typed, without the environment: `logs backend`. It becomes a button."""
    label: str = ""
    """The button's; empty: the command's own words."""


class Thing(Frozen):
    """Something that a finding is about, by which a person finds it in a terminal."""

    kind: Literal[
        "pod",
        "log",
        "node",
        "deployment",
        "configmap",
        "hpa",
        "statement",
        "sessions",
        "connections",
        "locks",
        "replicas",
    ]
    name: str = ""
    """Its name; of a log the pod's; the last four are the database's, and have none."""
    options: tuple[str, ...] = ()
    """Of a log: `--previous`, or the container."""


class Finding(Frozen):
    """One thing that is wrong."""

    kind: Trouble
    cause: str
    """In one sentence without its full stop, the thing first: `backend in us: the image can't be pulled`. Redacted."""
    evidence: tuple[str, ...] = ()
    """What showed it, the most telling first. Redacted."""
    confidence: Confidence
    since: datetime | None = None
    """When it began, where that is known."""
    service: str = ""
    """The service that it is about; empty: the environment as a whole."""
    region: str = ""
    to_do: tuple[ToDo, ...] = ()
    about: tuple[Thing, ...] = ()
    """What showed it, for who looks again in a terminal; empty: its service's Deployment."""
    explains: tuple[Trouble, ...] = ()
    """What it causes: findings of these kinds, of the same service and region, come after it."""
    ahead: bool = False
    """It will be trouble, and is none yet: it comes after what is."""
    recovering: bool = False
    """It is over, and only a number still shows it: no change is blamed for it."""
    measured: bool = False
    """It is a number beyond its limit, or an alert: what is wrong itself, of the same kind, explains it."""


def explains(cause: Finding, other: Finding) -> bool:
    """Return whether the first finding may be why there is the second. What is only possible explains nothing that is surer."""
    return (
        cause is not other
        and (other.kind in cause.explains or (other.measured and not cause.measured and other.kind is cause.kind))
        and ORDER[cause.confidence] <= max(ORDER[other.confidence], ORDER[Confidence.LIKELY])
        and (not cause.service or not other.service or cause.service == other.service)
        and (not cause.region or not other.region or cause.region == other.region)
    )


class RuleAnswer(Frozen):
    """What one rule says. It may have found something in one region and not have been able to look in another."""

    found: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    """Why it could not look at something, each a sentence without its full stop."""
    not_configured: bool = False
    """There is nothing of the kind here."""
    details: str = ""
    """What it found well, in a few words: `6 pods`. May be empty."""

    @property
    def well(self) -> bool:
        """It looked, at everything, and all is well."""
        return not (self.found or self.unknown or self.not_configured)


def found(*findings: Finding) -> RuleAnswer:
    """Return the answer of a rule that looked: all is well where there is no finding."""
    return RuleAnswer(found=findings)


def could_not_look(*why: str) -> RuleAnswer:
    """Return the answer of a rule whose source does not answer."""
    return RuleAnswer(unknown=tuple(each.rstrip(".") for each in why))


def no_answer(seconds: float) -> RuleAnswer:
    """Return the answer of a rule whose source did not answer within so many seconds."""
    return RuleAnswer(unknown=(f"no answer within {seconds:g} s",))


def not_configured() -> RuleAnswer:
    """Return the answer of a rule that has nothing to look at, because the configuration names nothing of the kind."""
    return RuleAnswer(not_configured=True)


def together(answers: Sequence[RuleAnswer]) -> RuleAnswer:
    """Return several answers of one rule as one."""
    return RuleAnswer(
        found=tuple(finding for each in answers for finding in each.found),
        unknown=tuple(dict.fromkeys(why for each in answers for why in each.unknown)),
        not_configured=bool(answers) and all(each.not_configured for each in answers),
        details=", ".join(dict.fromkeys(each.details for each in answers if each.details)),
    )
