"""What a scenario breaks around the cluster: the database, logs, metrics, what a gate looks at, the sync queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from sandbox.cache import CacheFault
from sandbox.cluster.log_moods import ANNOTATION, Mood, annotation
from sandbox.cluster.resources import CONFIG_MAP, POD
from sandbox.cluster.seed import BOT_NAMESPACE
from sandbox.load_balancer import TargetFault
from sandbox.outside.github import Github, Version, error
from sandbox.outside.prometheus import Raised
from sandbox.scenarios.changes import Change, Setting
from sandbox.scenarios.cluster_acts import entry
from sandbox.scenarios.scenario import Act, Stage
from sandbox.sync_queue import SyncQueue

RELEASE = "v2.0.0"
"""The version that the gates are about."""


@dataclass(frozen=True)
class BreakDatabase(Act):
    """The database is in a bad way: a lock that is held, a transaction left open, a statement that takes long, answers that take their time, no answer at all."""

    how: Literal["lock", "blocked", "lag", "full", "heavy", "slow", "gone"]

    def changes(self, stage: Stage) -> Iterator[Change]:
        database = stage.database
        if database is None:
            return

        def write(broken: bool) -> None:
            database.want(self.how, broken=broken)

        yield Setting(f"database/{self.how}", lambda: self.how in database.wanted, write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class BreakCache(Act):
    """The Redis cluster is in a bad way (`sandbox.cache`)."""

    how: CacheFault

    def changes(self, stage: Stage) -> Iterator[Change]:
        cache = stage.cache
        if cache is None:
            return

        def write(broken: bool) -> None:
            cache.want(self.how, broken=broken)

        yield Setting(f"cache/{self.how}", lambda: self.how in cache.wanted, write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class Expire(Act):
    """A host shows a certificate that is good for so many days; below zero, it has expired."""

    host: str
    days: int

    def changes(self, stage: Stage) -> Iterator[Change]:
        tls = stage.tls
        if tls is None:
            return
        yield Setting(f"tls/{self.host}", lambda: tls.days(self.host), lambda days: tls.issue(self.host, days)).to(
            self.days
        )


@dataclass(frozen=True)
class FailOver(Act):
    """ElastiCache makes a replica of the cache's first shard its primary (`sandbox.elasticache`)."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        service = stage.elasticache
        if service is None:
            return

        def write(broken: bool) -> None:
            service.want(broken=broken)

        yield Setting("elasticache/failover", lambda: service.failing_over, write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class BreakTargets(Act):
    """The load balancer takes targets of the backend for unhealthy (`sandbox.load_balancer`)."""

    how: TargetFault

    def changes(self, stage: Stage) -> Iterator[Change]:
        groups = stage.target_groups
        if groups is None:
            return

        def write(broken: bool) -> None:
            groups.want(self.how, broken=broken)

        yield Setting(f"targets/{self.how}", lambda: self.how in groups.wanted, write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class BreakLogs(Act):
    """Pods of the backend write in a bad way (`sandbox.cluster.log_moods`). One pod is enough for what one pod does."""

    mood: Literal["flood", "patients", "hang", "drops"]

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster = stage.cluster
        value = annotation(Mood(self.mood), cluster.clock.now())
        for namespace in stage.sync:
            pods = sorted(pod.name for pod in cluster.pods(namespace) if pod.deployment == "backend")
            for name in pods if self.mood in ("patients", "drops") else pods[:1]:

                def read(namespace: str = namespace, name: str = name) -> str | None:
                    pod = cluster.store.get(POD, namespace, name)
                    return None if pod is None else (pod["metadata"].get("annotations") or {}).get(ANNOTATION)

                def write(value: str | None, namespace: str = namespace, name: str = name) -> None:
                    cluster.annotate_pod(namespace, name, ANNOTATION, value)

                yield Setting(f"Pod/{namespace}/{name}/{ANNOTATION}", read, write).to(value)


@dataclass(frozen=True)
class BreakMetrics(Act):
    """A metric of Prometheus has had another value for some minutes: as bad as with a version `…-errors`, or the one that is given."""

    metric: str
    minutes: float
    value: float | None = None

    def changes(self, stage: Stage) -> Iterator[Change]:
        prometheus = stage.prometheus
        if prometheus is None:
            return

        def read() -> Raised | None:
            return prometheus.raised.get(self.metric)

        def write(raised: Raised | None) -> None:
            prometheus.raised.pop(self.metric, None)
            if raised is not None:
                prometheus.raised[self.metric] = raised

        raised = Raised(stage.cluster.clock.now().timestamp() - self.minutes * 60, self.value)
        yield Setting(f"metric/{self.metric}", read, write).to(raised)


@dataclass(frozen=True)
class Alert(Act):
    """A critical alert of production has fired for some minutes."""

    name: str
    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        alertmanager = stage.alertmanager
        if alertmanager is None:
            return

        def write(fires: bool) -> None:
            if fires:
                alertmanager.fire(self.name, self.minutes)
            else:
                alertmanager.resolve(self.name)

        yield Setting(f"alert/{self.name}", lambda: alertmanager.fires(self.name), write).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class BreakSync(Act):
    """The queue of offline sync, or the scripts that look after it, are in a bad way."""

    how: Literal["stuck", "missing", "silent"]

    def changes(self, stage: Stage) -> Iterator[Change]:
        for namespace, queue in stage.sync.items():

            def read(queue: SyncQueue = queue) -> str:
                return queue.broken

            def write(how: str, queue: SyncQueue = queue) -> None:
                queue.break_it(how)

            yield Setting(f"sync/{namespace}", read, write).to(self.how)


@dataclass(frozen=True)
class Freeze(Act):
    """Production is in a freeze window."""

    def changes(self, stage: Stage) -> Iterator[Change]:
        if stage.github is not None:  # it has gates
            yield Setting("freeze", lambda: stage.frozen, lambda frozen: stage.freeze(frozen=frozen)).to(True)  # noqa: FBT003


@dataclass(frozen=True)
class BreakGate(Act):
    """Something that a gate of v2.0.0 looks at is not as it should be: on GitHub, or in the record."""

    how: Literal["check", "coverage", "branch", "alert", "notes", "tag", "revision", "github", "promotion", "signature"]

    def changes(self, stage: Stage) -> Iterator[Change]:
        github = stage.github
        if github is None:
            return
        if self.how == "promotion":
            yield _forgotten(stage, "releases-staging", "releases")
        elif self.how == "signature":
            yield _forgotten(stage, "signatures-production", "signatures")
        else:
            yield _ON_GITHUB[self.how](github)


def _forgotten(stage: Stage, name: str, key: str) -> Change:
    """Nothing of the version is in the record."""
    found = stage.cluster.api.get(CONFIG_MAP, BOT_NAMESPACE, name)
    kept = [each for each in json.loads(found["data"][key]) if each["version"] != RELEASE]
    return entry(stage.cluster, CONFIG_MAP, BOT_NAMESPACE, name, key, json.dumps(kept, indent=1))


def _away(github: Github) -> Change:
    def write(away: bool) -> None:
        github.fault = (lambda _: error(503, "Service unavailable")) if away else None

    return Setting("github-answers", lambda: github.fault is not None, write).to(True)  # noqa: FBT003


def _check(github: Github) -> Change:
    def write(conclusion: str) -> None:
        github.versions[RELEASE].checks["Snyk"] = conclusion

    return Setting(f"github/{RELEASE}/check", lambda: github.versions[RELEASE].checks["Snyk"], write).to("failure")


def _coverage(github: Github) -> Change:
    def write(said: str) -> None:
        github.versions[RELEASE].coverage = said

    return Setting(f"github/{RELEASE}/coverage", lambda: github.versions[RELEASE].coverage, write).to(
        "71 % of lines are covered"
    )


def _branch(github: Github) -> Change:
    def write(merged: bool) -> None:
        github.versions[RELEASE].merged = merged

    return Setting(f"github/{RELEASE}/branch", lambda: github.versions[RELEASE].merged, write).to(False)  # noqa: FBT003


def _alert(github: Github) -> Change:
    def read() -> tuple[str, ...]:
        return tuple(github.alerts)

    def write(alerts: tuple[str, ...]) -> None:
        github.alerts = [*alerts]

    return Setting("github/alerts", read, write).to(("SQL built from user-controlled sources",))


def _notes(github: Github) -> Change:
    def write(notes: str | None) -> None:
        github.versions[RELEASE].notes = notes

    return Setting(f"github/{RELEASE}/notes", lambda: github.versions[RELEASE].notes, write).to(None)


def _tag(github: Github) -> Change:
    def write(version: Version | None) -> None:
        github.versions.pop(RELEASE, None)
        if version is not None:
            github.versions[RELEASE] = version

    return Setting(f"github/{RELEASE}", lambda: github.versions.get(RELEASE), write).to(None)


def _revision(github: Github) -> Change:
    def write(commit: str) -> None:
        github.versions[RELEASE].commit = commit

    return Setting(f"github/{RELEASE}/revision", lambda: github.versions[RELEASE].commit, write).to("e" * 40)


_ON_GITHUB: dict[str, Callable[[Github], Change]] = {
    "check": _check,
    "coverage": _coverage,
    "branch": _branch,
    "alert": _alert,
    "notes": _notes,
    "tag": _tag,
    "revision": _revision,
    "github": _away,
}
