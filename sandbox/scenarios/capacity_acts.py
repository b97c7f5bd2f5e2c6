"""What a scenario breaks about capacity: an autoscaler at its maximum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from sandbox.cluster.clock import stamp
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import AUTOSCALER, Json
from sandbox.scenarios.changes import Change
from sandbox.scenarios.scenario import PRODUCTION, Act, Stage


@dataclass(frozen=True)
class AutoscalerAtMost(Act):
    """A service has an autoscaler, whose CPU has asked for more pods than its maximum for some minutes."""

    service: str
    most: int
    minutes: float

    def changes(self, stage: Stage) -> Iterator[Change]:
        cluster, name = stage.cluster, self.service

        def put() -> None:
            cluster.replace(AUTOSCALER, PRODUCTION, name, None)
            cluster.create(self._manifest())
            since = stamp(cluster.clock.now() - timedelta(minutes=self.minutes))
            writer = Writer("kube-controller-manager", subresource="status")
            cluster.api.modify(
                AUTOSCALER, PRODUCTION, name, lambda draft: draft.update(status=self._status(since)), writer
            )

        def remember() -> Callable[[], object]:
            before = cluster.store.get(AUTOSCALER, PRODUCTION, name)
            return lambda: cluster.replace(AUTOSCALER, PRODUCTION, name, before)

        def stands() -> bool:
            return cluster.store.get(AUTOSCALER, PRODUCTION, name) is not None

        yield Change(f"{AUTOSCALER.name}/{PRODUCTION}/{name}", put, remember, stands)

    def _manifest(self) -> Json:
        target = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
        return {
            "apiVersion": AUTOSCALER.api_version,
            "kind": AUTOSCALER.name,
            "metadata": {"name": self.service, "namespace": PRODUCTION},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.service},
                "minReplicas": self.most,
                "maxReplicas": self.most,
                "metrics": [{"type": "Resource", "resource": target}],
            },
        }

    def _status(self, since: str) -> Json:
        measured = {"name": "cpu", "current": {"averageUtilization": 143, "averageValue": "143m"}}
        held = "the desired replica count is more than the maximum replica count"
        told = (("AbleToScale", "ReadyForNewScale", ""), ("ScalingActive", "ValidMetricFound", ""), ("ScalingLimited", "TooManyReplicas", held))  # fmt: skip
        return {
            "currentReplicas": self.most,
            "desiredReplicas": self.most,
            "currentMetrics": [{"type": "Resource", "resource": measured}],
            "conditions": [
                {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since}
                for kind, reason, message in told
            ],
        }
